//! Attempts outlive the server: numbers, links and the story of a dead letter go on over kill -9.

use std::path::Path;

use loom_proto::v1;
use loom_tests::agent::{RawAgent, hello};
use loom_tests::eventually;
use loom_tests::server::TestServer;
use loom_trace::verify::Report;
use serde_json::Value;

use super::groups::{keeping, number_of, outcome, publish, say, worker};

const LOST: &str = "the server was lost";

fn twice(agent_id: &str) -> v1::Hello {
    let mut hello = worker(agent_id, 10);
    if let Some(wanted) = &mut hello.subscriptions[0].acknowledged {
        wanted.max_attempts = 2;
    }
    hello
}

fn span_of(delivery: &v1::Delivery) -> &str {
    &delivery.traceparent[36..52]
}

/// Waits until the group has saved the attempt, which is known by its span.
async fn is_saved(data_dir: &Path, delivery: &v1::Delivery) {
    let file = data_dir.join("streams/orders/workers.cursor");
    let span = u64::from_str_radix(span_of(delivery), 16).expect("hex");
    eventually("the attempt is saved", async || {
        let saved = std::fs::read(&file).unwrap_or_default();
        let mut places = saved.windows(8);
        if places.any(|bytes| bytes == span.to_be_bytes()) {
            Ok(())
        } else {
            Err(saved.len())
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_that_is_in_hand_whenever_the_server_is_killed_dies_with_its_whole_story() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut deliveries = Vec::new();
    for attempt in 1..=2 {
        let server = keeping(directory.path());
        if attempt == 1 {
            publish(&server, 7..8).await;
        }
        // It neither answers nor dies.
        let mut agent = RawAgent::connect(server.bridge_addr(), twice("one")).await;
        let delivery = agent.delivery().await;
        assert_eq!((number_of(&delivery), delivery.attempt), (7, attempt));
        is_saved(directory.path(), &delivery).await;
        deliveries.push(delivery);
        server.kill();
    }
    let server = keeping(directory.path());
    let mut undertaker = RawAgent::connect(server.bridge_addr(), hello("u", &["dlq.>"])).await;
    let _agent = RawAgent::connect(server.bridge_addr(), twice("one")).await;
    let letter = undertaker.delivery().await;
    let event = letter.event.as_ref().expect("it has one");
    assert_eq!(event.metadata["loom-dead-error"], LOST);
    let told: Vec<Value> =
        serde_json::from_str(&event.metadata["loom-dead-attempts"]).expect("a list");
    assert_eq!(told.len(), 2, "{told:?}");
    for ((number, told), delivery) in (1..).zip(&told).zip(&deliveries) {
        assert_eq!(told["number"], number);
        assert_eq!(told["error"], LOST);
        assert_eq!(told["span_id"], span_of(delivery));
    }

    // B1, E1, two B2; then E1 and B2 of the letter.
    let trace_id = &letter.traceparent[3..35];
    let trace = server.trace(trace_id, 6).await;
    let span = |id: &str| {
        let mut spans = trace.spans.iter();
        spans.find(|span| span.span_id == id).expect("it is there")
    };
    let attempts = [&deliveries[0], &deliveries[1]].map(|delivery| span(span_of(delivery)));
    for (number, attempt) in (1..).zip(attempts) {
        assert_eq!(attempt.name, "bridge.forward");
        let tag = &attempt.tags["messaging.message.delivery_attempt"];
        assert_eq!(tag, &format!("{number}"));
    }
    let first = (trace_id.to_owned(), attempts[0].span_id.clone());
    assert_eq!(attempts[0].links, []);
    assert_eq!(attempts[1].links, [first]);
    let forward = span(span_of(&letter));
    let published = span(forward.parent.as_ref().expect("it has one"));
    assert_eq!(published.parent.as_ref(), Some(&attempts[1].span_id));
    is_whole(&server).await;
}

async fn is_whole(server: &TestServer) {
    eventually("every trace is whole", async || {
        let report = server.http().get_json("/api/v1/verify").await;
        let report: Report = report.expect("the server verifies");
        if report.is_clean() {
            Ok(())
        } else {
            Err(format!("{report:#?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_verdict_counts_also_where_the_server_was_stopped_after_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = keeping(directory.path());
    publish(&server, 0..2).await;
    let mut agent = RawAgent::connect(server.bridge_addr(), worker("one", 10)).await;
    let (handled, held) = (agent.delivery().await, agent.delivery().await);
    say(&agent, outcome(&handled, v1::Verdict::Ack)).await;
    // The outcome is heard when what came after it is answered.
    agent
        .publish(vec![loom_tests::agent::event("elsewhere", "")])
        .await;
    agent.ack().await;
    drop(agent);
    server.has_not_agent("one").await;
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");

    let server = keeping(directory.path());
    let mut agent = RawAgent::connect(server.bridge_addr(), worker("one", 10)).await;
    let again = agent.delivery().await;
    assert_eq!(number_of(&again), number_of(&held));
    assert_eq!(again.attempt, 2);
}
