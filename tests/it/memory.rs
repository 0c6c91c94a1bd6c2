//! A stream in memory gives what one on the disk gives, as long as the server lives and no longer.

use loom_proto::{EventId, v1};
use loom_tests::agent::{RawAgent, event, hello};
use loom_tests::cli::run;
use loom_tests::eventually;
use loom_tests::python::PythonAgent;
use loom_tests::server::{Options, TestServer};
use loom_trace::verify::Report;
use serde_json::Value;

const READINGS: &str = "[streams.readings]\ntopics = [\"readings.>\"]\nstorage = \"memory\"\n";

fn in_memory(more: &str) -> TestServer {
    TestServer::with(Options {
        settings: format!("{READINGS}{more}"),
        ..Options::default()
    })
}

/// A reading; those of one thread are handled in their order.
fn reading(payload: &str) -> v1::Event {
    v1::Event {
        payload: payload.to_owned().into(),
        envelope: Some(v1::Envelope {
            thread_id: "sensor".to_owned(),
            ..v1::Envelope::default()
        }),
        ..event("readings.new", "")
    }
}

async fn publish(server: &TestServer, readings: impl IntoIterator<Item = v1::Event>) {
    let mut sensor = RawAgent::connect(server.bridge_addr(), hello("sensor", &[])).await;
    for reading in readings {
        sensor.publish(vec![reading]).await;
        assert!(sensor.ack().await.rejected.is_empty());
    }
}

/// The stream as `/api/v1/info` shows it.
async fn shown(server: &TestServer) -> Value {
    let info: Value = server
        .http()
        .get_json("/api/v1/info")
        .await
        .expect("it says");
    let mut streams = info["streams"].as_array().expect("a list").iter();
    let found = streams.find(|stream| stream["name"] == "readings");
    found.unwrap_or_else(|| panic!("{info:#}")).clone()
}

async fn verified(server: &TestServer, is_as_wanted: impl Fn(&Report) -> bool) {
    eventually("every trace is whole", async || {
        let report = server.http().get_json("/api/v1/verify").await;
        let report: Report = report.expect("the server verifies");
        let is_good = report.is_clean() && is_as_wanted(&report);
        is_good.then_some(()).ok_or(format!("{report:#?}"))
    })
    .await;
}

#[tokio::test]
async fn what_fails_comes_again_in_the_order_of_its_thread() {
    let server = in_memory("");
    let worker = PythonAgent::start("tests/agents/memory_worker.py", server.environment());
    let readings: Vec<_> = ["zero", "one", "two"].map(reading).into();
    publish(&server, readings.clone()).await;
    let acked = "loom_group_acked_total{stream=\"readings\",group=\"workers\"}";
    eventually("all are handled", async || {
        let acked = server.metric(acked).await;
        (acked == 3).then_some(()).ok_or(worker.log())
    })
    .await;
    let log = worker.log();
    let attempts: Vec<_> = log
        .lines()
        .filter(|line| line.starts_with("reading "))
        .collect();
    let expected = [
        "reading zero attempt 1 offset 0",
        "reading zero attempt 2 offset 0",
        "reading one attempt 1 offset 1",
        "reading one attempt 2 offset 1",
        "reading two attempt 1 offset 2",
        "reading two attempt 2 offset 2",
    ];
    assert_eq!(attempts, expected, "{log}");

    // A retry of the producer is none of the group's.
    let id = EventId::from_slice(&readings[1].id)
        .expect("an id")
        .to_string();
    let said = run(
        &["publish", "readings.new", "one", "--id", &id, "--json"],
        Some(&server),
    );
    let stored = serde_json::json!({ "stream": "readings", "offset": 1, "duplicate": true });
    assert_eq!(said.json()["stored"], stored, "{said:?}");

    let tail = ["tail", "--stream", "readings", "--from", "1", "--json"];
    let said = run(&tail, Some(&server));
    assert_eq!(
        (said.code, said.out.lines().count()),
        (Some(0), 2),
        "{said:?}"
    );
    let said = run(&["groups", "ls"], Some(&server));
    assert!(said.out.contains("workers"), "{said:?}");
    worker.stop();
    verified(&server, |report| report.accepted == 3).await;
    let stats: Value = server
        .http()
        .get_json("/api/v1/stats")
        .await
        .expect("the books");
    assert_eq!(stats["bus"]["balanced"], true, "{stats:#}");
}

#[tokio::test]
async fn what_nobody_can_handle_is_a_dead_letter_on_the_disk() {
    let server = in_memory("");
    let mut worker = RawAgent::connect(server.bridge_addr(), member("worker")).await;
    publish(&server, [reading("bad")]).await;
    let delivery = worker.delivery().await;
    let outcome = v1::Outcome {
        subscription: delivery.subscription,
        offset: delivery.offset,
        attempt: delivery.attempt,
        verdict: v1::Verdict::Reject.into(),
        ..v1::Outcome::default()
    };
    let said = v1::ClientEvent {
        outcome: vec![outcome],
        ..v1::ClientEvent::default()
    };
    worker.send(said).await;
    eventually("its letter is kept", async || {
        let said = run(&["dlq", "ls", "--json"], Some(&server));
        let letter = &said.json()["items"][0];
        let is_there = letter["stream"] == "readings" && letter["group"] == "workers";
        is_there.then_some(()).ok_or(said)
    })
    .await;
    let kept = server.data_dir().join("streams");
    assert!(kept.join("dlq").exists() && !kept.join("readings").exists());
}

#[tokio::test]
async fn what_memory_has_no_room_for_is_told_as_expired() {
    const READING: usize = 100_000;
    let server = in_memory("max_size = \"1MiB\"\n");
    // The group is there, and nobody of it.
    drop(RawAgent::connect(server.bridge_addr(), member("early")).await);
    server.has_not_agent("early").await;
    publish(&server, (0..40).map(|_| reading(&"7".repeat(READING)))).await;
    let stream = shown(&server).await;
    assert_eq!((&stream["begin"], &stream["end"]), (&30.into(), &40.into()));

    let mut late = RawAgent::connect(server.bridge_addr(), member("late")).await;
    assert_eq!(late.delivery().await.offset, 30);
    let expired =
        "loom_group_unreadable_total{stream=\"readings\",group=\"workers\",reason=\"expired\"}";
    assert_eq!(server.metric(expired).await, 30);
}

#[tokio::test]
async fn the_next_server_begins_empty_and_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    // Nothing is handed on before the kill.
    let settings = format!("{READINGS}[telemetry]\ninterval = \"10m\"\n");
    let server = TestServer::keeping(&settings, directory.path());
    drop(RawAgent::connect(server.bridge_addr(), member("worker")).await);
    publish(&server, [reading("zero"), reading("one")]).await;
    assert_eq!(shown(&server).await["end"], 2);
    server.kill();

    let server = TestServer::keeping(READINGS, directory.path());
    let stream = shown(&server).await;
    let place = (&stream["storage"], &stream["begin"], &stream["end"]);
    assert_eq!(place, (&"memory".into(), &0.into(), &0.into()));
    assert!(server.log().contains("it begins empty"), "{}", server.log());
    let said = run(&["groups", "ls"], Some(&server));
    assert!(!said.out.contains("workers"), "{said:?}");
    verified(&server, |report| report.accepted + report.stand_ins == 0).await;

    publish(&server, [reading("two")]).await;
    let mut worker = RawAgent::connect(server.bridge_addr(), member("worker")).await;
    assert_eq!(worker.delivery().await.offset, 0);
    drop(worker);
    server.has_not_agent("worker").await;
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("has not settled end with the server"), "{log}");
}

fn member(agent_id: &str) -> v1::Hello {
    let mut hello = hello(agent_id, &["readings.>"]);
    hello.subscriptions[0].acknowledged = Some(v1::Acknowledged {
        group: "workers".to_owned(),
        ..v1::Acknowledged::default()
    });
    hello
}
