//! Traces of what was killed: the runtime tells what the dead cannot tell any more.

use loom_proto::v1;
use loom_tests::agent::{RawAgent, event, hello};
use loom_tests::eventually;
use loom_tests::python::PythonAgent;
use loom_tests::server::{Options, TestServer};
use loom_tests::spans::SpanView;
use loom_trace::verify::Report;
use serde_json::Value;

const STREAMS: &str = r#"
[streams.orders]
topics = ["orders.>"]
[streams.results]
topics = ["results.>"]
"#;

fn worker(server: &TestServer, id: &str, more: &[(&str, &str)]) -> PythonAgent {
    let mut environment = server.environment();
    let variables = [("LOST_ID", id)].into_iter().chain(more.iter().copied());
    environment.extend(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    PythonAgent::start("tests/agents/lost_worker.py", environment)
}

async fn publish(server: &TestServer, payloads: &[&str]) {
    let order = |payload: &&str| v1::Event {
        payload: payload.to_string().into(),
        ..event("orders.new", "")
    };
    let mut shop = RawAgent::connect(server.bridge_addr(), hello("shop", &[])).await;
    shop.publish(payloads.iter().map(order).collect()).await;
    assert!(shop.ack().await.rejected.is_empty());
}

/// Worker `one` has handled an order, and does not come to the end of the next one.
async fn is_stuck(server: &TestServer, one: &PythonAgent) {
    eventually("the agent is stuck", async || {
        let log = one.log();
        if log.contains("stuck") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    // Without one span of its own an agent might as well be one that tells none.
    server
        .trace_ids("agent=one&operation=agent.on_event", 1)
        .await;
}

async fn is_whole(server: &TestServer) -> Report {
    eventually("every trace is whole", async || {
        let report = server.http().get_json("/api/v1/verify").await;
        let report: Report = report.expect("the server verifies");
        if report.is_clean() {
            Ok(report)
        } else {
            Err(format!("{report:#?}"))
        }
    })
    .await
}

#[tokio::test]
async fn an_agent_that_was_killed_over_an_event_is_told_dead_and_the_next_one_goes_on() {
    let server = TestServer::with(Options {
        settings: format!("{STREAMS}[telemetry]\nmend_after = \"200ms\"\n"),
        ..Options::default()
    });
    let one = worker(&server, "one", &[("LOST_STUCK", "1")]);
    publish(&server, &["fine", "stuck"]).await;
    is_stuck(&server, &one).await;
    one.kill();
    let other = worker(&server, "other", &[]);
    let ids = server
        .trace_ids("agent=other&operation=agent.on_event", 1)
        .await;

    // Two publishes, below one of two attempts.
    let trace = server.trace(&ids[0], 8).await;
    let named = |name: &str| -> Vec<&SpanView> {
        trace
            .spans
            .iter()
            .filter(|span| span.name == name)
            .collect()
    };
    let attempts = named("bridge.forward");
    let [first, second] = attempts[..] else {
        panic!("{:#?}", trace.outline())
    };
    let handlers = named("agent.on_event");
    let of = |attempt: &SpanView| {
        let mut all = handlers.iter();
        let found = all.find(|span| span.parent.as_ref() == Some(&attempt.span_id));
        found.unwrap_or_else(|| panic!("{:#?}", trace.outline()))
    };
    let (dead, done) = (of(first), of(second));
    assert_eq!(dead.tags["agent.id"], "one");
    assert_eq!(dead.tags["loom.stand_in"], "true");
    assert_eq!(dead.tags["loom.execution.state"], "DEAD");
    assert_eq!(dead.tags["error.type"], "agent_lost");
    assert_eq!(done.tags["agent.id"], "other");
    assert!(!done.tags.contains_key("loom.stand_in"));
    assert_eq!(second.links[0].1, first.span_id);
    let begun = named("bridge.publish");
    let parents: Vec<_> = begun.iter().map(|span| span.parent.as_ref()).collect();
    assert!(
        parents.contains(&Some(&dead.span_id)),
        "what the dead handler had published is its child: {:#?}",
        trace.outline()
    );
    is_whole(&server).await;
    other.stop();
}

#[tokio::test]
async fn an_event_that_died_with_its_agent_is_not_told_handled() {
    let server = TestServer::with(Options {
        settings: format!("{STREAMS}[telemetry]\nmend_after = \"200ms\"\n"),
        ..Options::default()
    });
    let one = worker(
        &server,
        "one",
        &[("LOST_STUCK", "1"), ("LOST_ATTEMPTS", "1")],
    );
    publish(&server, &["fine", "stuck"]).await;
    is_stuck(&server, &one).await;
    one.kill();
    let lost = eventually("the lost handler is told", async || {
        let path = "/api/v1/executions?agent=one&state=DEAD";
        let page: Value = server.http().get_json(path).await.expect("a page");
        match page["items"].as_array().map(Vec::as_slice) {
            Some([one]) => Ok(one.clone()),
            _ => Err(page.to_string()),
        }
    })
    .await;
    let letters: Value = server
        .http()
        .get_json("/api/v1/dead-letters")
        .await
        .expect("a page");
    assert_eq!(
        letters["items"][0]["trace_id"], lost["trace_id"],
        "{letters}"
    );
    is_whole(&server).await;
}

#[tokio::test]
async fn what_a_killed_server_had_not_handed_on_is_told_by_the_next_one() {
    let directory = tempfile::tempdir().expect("a directory");
    // Hardly anything is handed on before the kill: only what the marks ask for, once a second.
    let settings = format!("{STREAMS}[telemetry]\ninterval = \"10m\"\n");
    let server = TestServer::keeping(&settings, directory.path());
    publish(&server, &["order"; 500]).await;
    server.kill();

    let server = TestServer::keeping(STREAMS, directory.path());
    // What was published just now is not looked for yet.
    let report = eventually("all events are looked for", async || {
        let report = is_whole(&server).await;
        match report.accepted {
            500 => Ok(report),
            _ => Err(format!("{report:#?}")),
        }
    })
    .await;
    assert!(
        (1..=1000).contains(&report.stand_ins),
        "at most two for each publish: {report:#?}"
    );
}
