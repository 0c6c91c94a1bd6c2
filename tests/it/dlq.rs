//! Dead letters on the command line: found, redriven into a new trace that links to the former, dropped; and what is closed stays so.

use loom_proto::v1;
use loom_tests::agent::RawAgent;
use loom_tests::cli::{Said, run};
use loom_tests::eventually;
use loom_tests::server::TestServer;
use serde_json::Value;

use crate::groups::{keeping, number_of, outcome, publish, say, worker};

fn dlq(server: &TestServer, arguments: &[&str]) -> Said {
    run(&[&["dlq"], arguments].concat(), Some(server))
}

fn listed(server: &TestServer, filter: &[&str]) -> Vec<Value> {
    let said = dlq(server, &[&["ls", "--json"], filter].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    said.json()["items"].as_array().expect("a list").clone()
}

/// Rejects so many events; returns their deliveries when their letters are there.
async fn reject(server: &TestServer, agent: &mut RawAgent, count: usize) -> Vec<v1::Delivery> {
    let mut rejected = Vec::new();
    for _ in 0..count {
        let delivery = agent.delivery().await;
        let because = v1::Error::new(loom_proto::Code::HandlerFailed, "ValueError: no stock");
        let verdict = v1::Outcome {
            error: Some(because),
            ..outcome(&delivery, v1::Verdict::Reject)
        };
        say(agent, verdict).await;
        rejected.push(delivery);
    }
    eventually("the letters are there", async || {
        let there = listed(server, &[]).len();
        (there == count).then_some(()).ok_or(there)
    })
    .await;
    rejected
}

fn trace_of(delivery: &v1::Delivery) -> &str {
    &delivery.traceparent[3..35]
}

#[tokio::test]
async fn a_letter_is_redriven_into_a_trace_of_its_own_that_links_to_the_former() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    assert_eq!(dlq(&server, &["ls"]).err.trim(), "no dead letter is open");
    publish(&server, 0..3).await;
    let mut agent = RawAgent::connect(server.bridge_addr(), worker("one", 10)).await;
    let rejected = reject(&server, &mut agent, 3).await;

    let letters = listed(&server, &[]);
    let offsets: Vec<_> = letters
        .iter()
        .map(|letter| letter["offset"].clone())
        .collect();
    assert_eq!(offsets, [2, 1, 0], "newest first");
    let letter = &letters[2];
    assert_eq!(letter["error"], "ValueError: no stock");
    assert_eq!(letter["trace_id"], trace_of(&rejected[0]));
    let id = letter["letter_id"].as_str().expect("text");
    let event_id = letter["event_id"].as_str().expect("text");
    let shown = dlq(&server, &["show", event_id, "--json"]).json();
    assert_eq!(
        (&shown["letter_id"], &shown["payload"]),
        (&letter["letter_id"], &Value::from(0))
    );
    let page = dlq(&server, &["show", id]);
    assert!(
        page.out.contains("ValueError: no stock") && page.out.contains("orders.new"),
        "{page:?}"
    );

    let said = dlq(
        &server,
        &["redrive", "--topic", "orders.*", "--group", "workers"],
    );
    assert_eq!(
        (said.code, said.out.lines().count()),
        (Some(0), 3),
        "{said:?}"
    );
    let mut again = Vec::new();
    for _ in 0..3 {
        let delivery = agent.delivery().await;
        say(&agent, outcome(&delivery, v1::Verdict::Ack)).await;
        again.push(delivery);
    }
    let numbers: Vec<_> = again.iter().map(number_of).collect();
    assert_eq!(numbers, [0, 1, 2], "the oldest first");
    let event = again[0].event.as_ref().expect("it has one");
    assert_eq!(event.metadata["loom-redriven-from"], id);
    assert!(
        event
            .metadata
            .keys()
            .all(|key| !key.starts_with("loom-dead-"))
    );

    let trace = server.trace(trace_of(&again[0]), 3).await;
    assert_ne!(trace.trace_id, trace_of(&rejected[0]));
    let former = (
        trace_of(&rejected[0]).to_owned(),
        rejected[0].traceparent[36..52].to_owned(),
    );
    assert_eq!(trace.only("bridge.publish").links, [former]);
    assert_eq!(trace.only("bridge.publish").parent, None);

    assert!(listed(&server, &[]).is_empty());
    server.kill();
    let server = keeping(directory.path());
    assert!(listed(&server, &[]).is_empty(), "also after kill -9");
}

#[tokio::test]
async fn letters_are_dropped_by_what_is_said_of_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    publish(&server, 0..3).await;
    let mut agent = RawAgent::connect(server.bridge_addr(), worker("one", 10)).await;
    let rejected = reject(&server, &mut agent, 3).await;
    let letters = listed(&server, &["--limit", "1"]);
    assert_eq!(letters.len(), 1);
    let newest = letters[0]["letter_id"].as_str().expect("text");

    let said = dlq(&server, &["drop", "--id", newest, "--json"]);
    assert_eq!(said.json()["letter_id"], newest, "{said:?}");
    let again = dlq(&server, &["drop", "--id", newest]);
    assert_eq!(again.code, Some(4), "{again:?}");
    assert_eq!(dlq(&server, &["show", newest]).code, Some(4));

    // Each order has a trace of its own.
    let trace = trace_of(&rejected[0]);
    assert_eq!(listed(&server, &["--trace", trace]).len(), 1);
    assert_eq!(dlq(&server, &["drop", "--trace", trace]).code, Some(0));
    server.kill();
    let server = keeping(directory.path());
    assert_eq!(listed(&server, &[]).len(), 1);
    assert_eq!(dlq(&server, &["drop", "--all"]).code, Some(0));
    assert_eq!(dlq(&server, &["redrive", "--all"]).code, Some(4));
}

#[tokio::test]
async fn what_cannot_be_redriven_stays_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    publish(&server, 0..1).await;
    let mut agent = RawAgent::connect(server.bridge_addr(), worker("one", 10)).await;
    reject(&server, &mut agent, 1).await;
    server.kill();
    // Its topic is not kept any more.
    let other = "[streams.orders]\ntopics = [\"elsewhere.>\"]\n";
    let server = TestServer::keeping(other, directory.path());
    let said = dlq(&server, &["redrive", "--all"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("no stream keeps orders.new"), "{said:?}");
    assert_eq!(listed(&server, &[]).len(), 1);
}

#[test]
fn what_is_changed_must_be_said() {
    let server = TestServer::start();
    for wrong in [
        &["redrive"][..],
        &["drop"],
        &["drop", "--all", "--group", "workers"],
        &["ls", "--trace", "xyz"],
        &["ls", "--limit", "0"],
        &["show"],
    ] {
        assert_eq!(dlq(&server, wrong).code, Some(2), "{wrong:?}");
    }
    let said = dlq(&server, &["ls", "--topic", "orders..x"]);
    assert!(
        said.code == Some(1) && said.err.contains("segment 2"),
        "{said:?}"
    );
    let nothing_kept = dlq(&server, &["ls"]);
    assert_eq!(nothing_kept.code, Some(0), "{nothing_kept:?}");
}
