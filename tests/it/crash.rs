//! kill -9 of the server leaves a store that can be read, with every span that had been accepted.

use loom_tests::cli::run;
use loom_tests::eventually;
use loom_tests::python::PythonAgent;
use loom_tests::server::{Options, TestServer};

#[tokio::test]
async fn accepted_spans_survive_the_server() {
    let kept = tempfile::tempdir().expect("a directory");
    let data_dir = Some(kept.path().join("data"));
    let server = TestServer::with(Options {
        data_dir: data_dir.clone(),
        ..Options::default()
    });
    let bridge = server.bridge().await;
    for _ in 0..300 {
        bridge
            .publish(loom_tests::agent::event("before.crash", ""))
            .await
            .expect("published");
    }
    // Accepted, and perhaps not indexed yet.
    eventually("the store has accepted all spans", async || {
        let recorded = server.metric("loom_spans_recorded_total").await;
        let accepted = server
            .metric("loom_spans_exported_total{sink=\"store\"}")
            .await;
        if recorded == accepted && accepted >= 600 {
            Ok(())
        } else {
            Err((recorded, accepted))
        }
    })
    .await;
    server.kill();

    let again = TestServer::with(Options {
        data_dir,
        ..Options::default()
    });
    let ids = again.trace_ids("operation=EventBus.publish", 300).await;
    assert_eq!(ids.len(), 300);
    for id in ids.iter().step_by(50) {
        again
            .trace(id, 2)
            .await
            .assert_chain(&[("bridge.publish", "loom"), ("EventBus.publish", "loom")]);
    }
    let said = run(&["trace", &ids[0], "--check"], Some(&again));
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[tokio::test]
async fn agents_come_back_when_the_server_does() {
    let server = TestServer::start();
    let address = server.bridge_addr().to_string();
    let agent = PythonAgent::start("demo/trace-test/agents/output.py", server.environment());
    server.has_agent("output-agent").await;
    server.kill();
    let arguments = vec!["--bridge-addr".to_owned(), address];
    let again = TestServer::with(Options {
        arguments,
        ..Options::default()
    });
    again.has_agent("output-agent").await;
    let said = run(
        &["publish", "processed.data", "{\"number\": 1, \"value\": 2}"],
        Some(&again),
    );
    assert_eq!(said.code, Some(0), "{said:?}");
    eventually("the agent handles events again", async || {
        let log = agent.log();
        if log.contains("reading 1: 2 ") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    agent.stop();
}
