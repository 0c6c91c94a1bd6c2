//! Groups over the wire: who takes an event says what became of it, whatever is killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use loom_proto::v1;
use loom_tests::agent::{RawAgent, event, hello};
use loom_tests::cli::run;
use loom_tests::server::TestServer;
use serde_json::Value;

const ORDERS: &str = "[streams.orders]\ntopics = [\"orders.>\"]\n";

pub(crate) fn keeping(data_dir: &Path) -> TestServer {
    TestServer::keeping(ORDERS, data_dir)
}

/// A Hello of a member of the group `workers`.
pub(crate) fn worker(agent_id: &str, max_in_flight: u32) -> v1::Hello {
    let mut hello = hello(agent_id, &["orders.>"]);
    hello.subscriptions[0].acknowledged = Some(v1::Acknowledged {
        group: "workers".to_owned(),
        max_in_flight,
        ..v1::Acknowledged::default()
    });
    hello
}

fn order(number: u32) -> v1::Event {
    v1::Event {
        payload: number.to_string().into(),
        ..event("orders.new", "")
    }
}

pub(crate) fn number_of(delivery: &v1::Delivery) -> u32 {
    let event = delivery.event.as_ref().expect("it has one");
    let text = std::str::from_utf8(&event.payload).expect("text");
    text.parse().expect("a number")
}

pub(crate) fn outcome(delivery: &v1::Delivery, verdict: v1::Verdict) -> v1::Outcome {
    v1::Outcome {
        subscription: delivery.subscription,
        offset: delivery.offset,
        attempt: delivery.attempt,
        verdict: verdict.into(),
        ..v1::Outcome::default()
    }
}

fn attempts_of(letter: &v1::Event) -> Vec<Value> {
    serde_json::from_str(&letter.metadata["loom-dead-attempts"]).expect("a list")
}

pub(crate) async fn say(agent: &RawAgent, outcome: v1::Outcome) {
    agent
        .send(v1::ClientEvent {
            outcome: vec![outcome],
            ..v1::ClientEvent::default()
        })
        .await;
}

pub(crate) async fn publish(server: &TestServer, numbers: std::ops::Range<u32>) {
    let mut shop = RawAgent::connect(server.bridge_addr(), hello("shop", &[])).await;
    shop.publish(numbers.map(order).collect()).await;
    assert!(shop.ack().await.rejected.is_empty());
}

#[tokio::test]
async fn what_a_lost_agent_had_in_hand_goes_to_another() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    publish(&server, 0..10).await;
    let mut one = RawAgent::connect(server.bridge_addr(), worker("one", 4)).await;
    let mut first = BTreeSet::new();
    for _ in 0..4 {
        let delivery = one.delivery().await;
        assert_eq!(delivery.attempt, 1);
        first.insert(number_of(&delivery));
    }
    let mut other = RawAgent::connect(server.bridge_addr(), worker("other", 100)).await;
    let mut attempts = BTreeMap::new();
    let take = async |agent: &mut RawAgent, attempts: &mut BTreeMap<u32, u32>| {
        let delivery = agent.delivery().await;
        say(agent, outcome(&delivery, v1::Verdict::Ack)).await;
        attempts.insert(number_of(&delivery), delivery.attempt);
    };
    for _ in 0..6 {
        take(&mut other, &mut attempts).await;
    }
    drop(one);
    for _ in 0..4 {
        take(&mut other, &mut attempts).await;
    }
    for number in 0..10 {
        let expected = if first.contains(&number) { 2 } else { 1 };
        assert_eq!(attempts.get(&number), Some(&expected), "{number}");
    }
}

#[tokio::test]
async fn a_group_goes_on_after_kill_9_of_the_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    publish(&server, 0..100).await;
    let mut worker_agent = RawAgent::connect(server.bridge_addr(), worker("one", 10)).await;
    let mut handled = BTreeSet::new();
    for _ in 0..30 {
        let delivery = worker_agent.delivery().await;
        say(&worker_agent, outcome(&delivery, v1::Verdict::Ack)).await;
        handled.insert(number_of(&delivery));
    }
    server.kill();

    let server = keeping(directory.path());
    let mut worker_agent = RawAgent::connect(server.bridge_addr(), worker("one", 10)).await;
    while handled.len() < 100 {
        let delivery = worker_agent.delivery().await;
        say(&worker_agent, outcome(&delivery, v1::Verdict::Ack)).await;
        handled.insert(number_of(&delivery));
    }
    // A server that is stopped knows exactly where to go on. It has heard the outcomes when it answers what came after them.
    worker_agent.publish(vec![event("elsewhere", "")]).await;
    worker_agent.ack().await;
    drop(worker_agent);
    server.has_not_agent("one").await;
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    let server = keeping(directory.path());
    publish(&server, 100..101).await;
    let mut worker_agent = RawAgent::connect(server.bridge_addr(), worker("one", 10)).await;
    assert_eq!(number_of(&worker_agent.delivery().await), 100);
}

#[tokio::test]
async fn a_rejected_event_is_a_dead_letter_with_its_story() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    let mut undertaker = RawAgent::connect(server.bridge_addr(), hello("u", &["dlq.>"])).await;
    publish(&server, 7..8).await;
    let mut worker_agent = RawAgent::connect(server.bridge_addr(), worker("one", 10)).await;
    let delivery = worker_agent.delivery().await;
    let because = v1::Error::new(loom_proto::Code::HandlerFailed, "ValueError: no such thing");
    let rejected = v1::Outcome {
        error: Some(because),
        ..outcome(&delivery, v1::Verdict::Reject)
    };
    say(&worker_agent, rejected).await;
    let letter = undertaker.delivery().await;
    let trace_of = |delivery: &v1::Delivery| delivery.traceparent[3..35].to_owned();
    assert_eq!(trace_of(&letter), trace_of(&delivery), "its trace goes on");
    let letter = letter.event.expect("it has one");
    assert_eq!(
        (letter.topic.as_str(), &letter.payload[..]),
        ("dlq.orders.workers", &b"7"[..])
    );
    assert_eq!(
        letter.metadata["loom-dead-error"],
        "ValueError: no such thing"
    );
    assert_eq!(attempts_of(&letter).len(), 1);
}

#[tokio::test]
async fn the_attempts_of_an_event_and_its_dead_letter_are_one_story() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    let mut undertaker = RawAgent::connect(server.bridge_addr(), hello("u", &["dlq.>"])).await;
    publish(&server, 7..8).await;
    // The first is lost with its agent, the second fails, the third is refused.
    let mut lost = RawAgent::connect(server.bridge_addr(), worker("one", 10)).await;
    let first = lost.delivery().await;
    drop(lost);
    let mut agent = RawAgent::connect(server.bridge_addr(), worker("two", 10)).await;
    let second = agent.delivery().await;
    say(&agent, outcome(&second, v1::Verdict::Retry)).await;
    let third = agent.delivery().await;
    say(&agent, outcome(&third, v1::Verdict::Reject)).await;
    let letter = undertaker.delivery().await;

    let spans: Vec<_> = [&first, &second, &third]
        .map(|delivery| delivery.traceparent[36..52].to_owned())
        .into();
    let told = attempts_of(letter.event.as_ref().expect("it has one"));
    let told: Vec<_> = told.iter().map(|attempt| &attempt["span_id"]).collect();
    assert_eq!(told, spans.iter().collect::<Vec<_>>());

    // B1, E1, three B2; then E1 and B2 of the letter.
    let trace = server.trace(&first.traceparent[3..35], 7).await;
    let span = |id: &str| {
        let mut spans = trace.spans.iter();
        spans.find(|span| span.span_id == id).expect("it is there")
    };
    let mut previous = None;
    for (number, id) in (1..).zip(&spans) {
        let attempt = span(id);
        assert_eq!(attempt.name, "bridge.forward");
        assert_eq!(
            attempt.tags["messaging.message.delivery_attempt"],
            number.to_string()
        );
        let before = previous.replace(id.clone());
        let before: Vec<_> = before
            .map(|id| (trace.trace_id.clone(), id))
            .into_iter()
            .collect();
        assert_eq!(attempt.links, before, "{number}");
    }
    let forward = span(&letter.traceparent[36..52]);
    let publish = span(forward.parent.as_ref().expect("it has one"));
    assert_eq!(publish.name, "EventBus.publish");
    assert_eq!(publish.parent.as_ref(), spans.last());
}

#[tokio::test]
async fn a_group_is_listed_and_moved_on_the_command_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    let reset = |to: &str| run(&["groups", "reset", "workers", "--to", to], Some(&server));
    assert_eq!(reset("oldest").code, Some(4), "there is none");
    publish(&server, 0..3).await;
    let mut agent = RawAgent::connect(server.bridge_addr(), worker("one", 10)).await;
    for _ in 0..3 {
        let delivery = agent.delivery().await;
        say(&agent, outcome(&delivery, v1::Verdict::Ack)).await;
    }
    // The outcomes are heard when what came after them is answered.
    agent.publish(vec![event("elsewhere", "")]).await;
    agent.ack().await;
    let listed = run(&["groups", "ls", "--json"], Some(&server)).json();
    let group = &listed["items"][0];
    assert_eq!(
        (&group["group"], &group["lag"]),
        (&"workers".into(), &0.into())
    );
    assert_eq!(group["active"]["members"], 1);
    let refused = reset("oldest");
    assert!(
        refused.code == Some(1) && refused.err.contains("members (1)"),
        "{refused:?}"
    );
    drop(agent);
    server.has_not_agent("one").await;
    let moved = reset("1");
    assert_eq!(
        (moved.code, moved.out.trim()),
        (Some(0), "workers goes on at 1 of orders")
    );
    let mut agent = RawAgent::connect(server.bridge_addr(), worker("one", 10)).await;
    assert_eq!(number_of(&agent.delivery().await), 1);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_by_name() {
    let server = TestServer::start();
    let refused = RawAgent::try_connect(server.bridge_addr(), worker("one", 1)).await;
    let status = refused.expect_err("nothing is kept here");
    for part in [
        "no stream keeps events",
        "on the disk",
        "storage = \"memory\"",
    ] {
        assert!(status.message().contains(part), "{status}");
    }

    let mut agent = RawAgent::connect(server.bridge_addr(), hello("plain", &["a"])).await;
    agent.publish(vec![event("a", "")]).await;
    let delivery = agent.delivery().await;
    say(&agent, outcome(&delivery, v1::Verdict::Ack)).await;
    let status = agent.ended().await.expect_err("it has no share in a group");
    assert!(status.message().contains("not acknowledged"), "{status}");
    assert_eq!(
        status.metadata().get("loom-field").expect("named"),
        "outcome.subscription"
    );
}
