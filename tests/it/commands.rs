//! The command line, as a person or a script uses it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use loom_tests::agent::{RawAgent, hello};
use loom_tests::cli::run;
use loom_tests::process::{Guarded, command, loom};
use loom_tests::server::TestServer;
use serde_json::Value;

const COMMANDS: [&str; 16] = [
    "up",
    "run",
    "traces",
    "trace",
    "agents",
    "executions",
    "verify",
    "stats",
    "publish",
    "tail",
    "dlq",
    "groups",
    "invoke",
    "db",
    "doctor",
    "completion",
];

#[test]
fn every_command_shows_examples() {
    for name in COMMANDS {
        let said = run(&[name, "--help"], None);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(
            said.out.contains("Examples:") && said.out.contains(&format!("loom {name}")),
            "{name}: {}",
            said.out
        );
    }
    let said = run(&["--help"], None);
    for name in COMMANDS {
        assert!(
            said.out.contains(&format!("  {name} ")),
            "{name} is missing: {}",
            said.out
        );
    }
    for code in 0..=5 {
        assert!(
            said.out.contains(&format!("\n  {code}  ")),
            "exit code {code} is missing: {}",
            said.out
        );
    }
}

#[test]
fn wrong_usage_is_code_2() {
    for wrong in [
        &["nonsense"][..],
        &["trace"],
        &["traces", "--limit", "0"],
        &["trace", "xyz"],
        &["trace", "ab"],
    ] {
        let said = run(wrong, None);
        assert_eq!(said.code, Some(2), "{wrong:?}: {said:?}");
    }
}

#[test]
fn completion_knows_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let said = run(&["completion", shell], None);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(
            said.out.contains("traces") && said.out.contains("doctor"),
            "{shell}"
        );
    }
}

#[tokio::test]
async fn an_event_is_published_tailed_and_found_as_a_trace() {
    let server = TestServer::start();
    let mut tail = Guarded(
        command(loom())
            .args(["tail", "order.>", "--count", "1", "--json"])
            .envs(server.environment())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started"),
    );
    loom_tests::eventually("the tail listens", async || {
        let said = run(&["agents", "--json"], Some(&server)).json();
        let listens = said["items"].as_array().is_some_and(|agents| {
            agents
                .iter()
                .any(|agent| agent["subscriptions"][0]["pattern"] == "order.>")
        });
        if listens { Ok(()) } else { Err(said) }
    })
    .await;
    let publish = [
        "publish",
        "order.new",
        "{\"n\": 1}",
        "--type",
        "order",
        "--header",
        "customer=42",
        "--thread-id",
        "t1",
        "--json",
    ];
    let published = run(&publish, Some(&server)).json();
    assert_eq!(published["matched"], 1);

    let status = tail.wait();
    assert!(status.success());
    let mut line = String::new();
    BufReader::new(tail.0.stdout.take().expect("a pipe"))
        .read_line(&mut line)
        .expect("readable");
    let event: Value = serde_json::from_str(&line).expect("a line of JSON");
    assert_eq!(event["event_id"], published["event_id"]);
    assert_eq!(event["trace_id"], published["trace_id"]);
    assert_eq!(event["payload"]["n"], 1);
    assert_eq!(
        (&event["type"], &event["thread_id"]),
        (&Value::from("order"), &Value::from("t1"))
    );
    assert_eq!(event["metadata"]["customer"], "42");
    assert_eq!(event["content_type"], "application/json");

    let id = published["trace_id"].as_str().expect("an id");
    server.trace(id, 3).await;
    let shown = run(&["trace", &id[..12], "--check"], Some(&server));
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(
        shown.out.contains("└ EventBus.publish") && shown.err.contains("whole"),
        "{shown:?}"
    );
    assert!(!shown.out.contains('\u{1b}'), "no colours in a pipe");
    let listed = run(
        &[
            "traces",
            "--operation",
            "bridge.forward",
            "--since",
            "1h",
            "--json",
        ],
        Some(&server),
    )
    .json();
    assert_eq!(listed["items"][0]["trace_id"], id);
    let table = run(&["traces"], Some(&server));
    assert!(
        table.out.starts_with("TRACE") && table.out.contains(id),
        "{table:?}"
    );
    let unknown = run(&["trace", &"f".repeat(32)], Some(&server));
    assert_eq!(unknown.code, Some(4), "{unknown:?}");
}

#[tokio::test]
async fn a_broken_trace_is_code_5_and_says_where() {
    let server = TestServer::start();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let said = run(
        &["publish", "a.b", "--traceparent", traceparent],
        Some(&server),
    );
    assert_eq!(said.code, Some(0), "{said:?}");
    server.trace("4bf92f3577b34da6a3ce929d0e0e4736", 2).await;
    let checked = run(&["trace", "4bf9", "--check"], Some(&server));
    assert_eq!(checked.code, Some(5), "{checked:?}");
    assert!(
        checked.err.contains("00f067aa0ba902b7") && checked.out.contains("missing"),
        "{checked:?}"
    );
    let report = run(&["trace", "4bf9", "--check", "--json"], Some(&server));
    assert_eq!(
        (report.code, &report.json()["findings"][0]["kind"]),
        (Some(5), &Value::from("orphan"))
    );
}

#[tokio::test]
async fn the_agents_are_listed_with_what_they_want() {
    let server = TestServer::start();
    let _agent = RawAgent::connect(server.bridge_addr(), hello("lister", &["a.*", "b.>"])).await;
    let said = run(&["agents"], Some(&server));
    assert!(
        said.out.contains("lister") && said.out.contains("a.* b.>"),
        "{said:?}"
    );
    let from_api: Value = server
        .http()
        .get_json("/api/v1/agents")
        .await
        .expect("an answer");
    let from_bridge = run(&["agents", "--json"], Some(&server)).json();
    for field in [
        "agent_id",
        "instance_id",
        "client",
        "subscriptions",
        "capabilities",
        "connected_at",
    ] {
        assert_eq!(
            from_api["items"][0][field], from_bridge["items"][0][field],
            "{field}"
        );
    }
}

#[tokio::test]
async fn a_healthy_set_up_passes_the_doctor() {
    let server = TestServer::start();
    let said = run(&["doctor", "--json"], Some(&server));
    assert_eq!(said.code, Some(0), "{said:?}");
    let report = said.json();
    assert_eq!(report["ok"], true);
    let outcome = |name: &str| {
        let checks = report["checks"].as_array().expect("a list");
        let check = checks.iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("{name} is missing: {report}"))["outcome"].clone()
    };
    for name in [
        "bridge",
        "HTTP API",
        "OTLP over gRPC",
        "OTLP over HTTP",
        "event and trace",
        "clock",
        "version",
    ] {
        assert_eq!(outcome(name), "good", "{report}");
    }
}

#[tokio::test]
async fn the_metrics_of_bus_and_store_stand_on_one_page() {
    let server = TestServer::start();
    let text = server.http().get_text("/metrics").await.expect("metrics");
    for metric in loom_proto::semconv::metric::ALL {
        assert!(
            text.contains(&format!("# TYPE {} ", metric.value)),
            "{} is missing: {text}",
            metric.value
        );
    }
    for probe in ["/livez", "/readyz"] {
        assert_eq!(
            server
                .http()
                .get_text(probe)
                .await
                .expect("an answer")
                .trim(),
            "ok"
        );
    }
}
