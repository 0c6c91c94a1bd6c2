//! The collector is away for the whole run: everything works the same, and one line says so.

use std::net::TcpListener;

use loom_tests::eventually;
use loom_tests::python::{PythonAgent, variables};
use loom_tests::server::{Options, TestServer};

#[tokio::test]
async fn nothing_but_one_line_and_counted_spans() {
    // No other test listens on this loopback address, so nobody takes the port.
    let gone = TcpListener::bind("127.0.0.78:0").expect("a port");
    let endpoint = format!("http://{}", gone.local_addr().expect("an address"));
    drop(gone);
    let away = variables([("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())]);
    let server = TestServer::with(Options {
        environment: away.clone(),
        ..Options::default()
    });
    let mut environment = server.environment();
    environment.retain(|(name, _)| name != "OTEL_EXPORTER_OTLP_ENDPOINT");
    environment.extend(away);

    let mut agents = Vec::new();
    for name in ["output", "processor"] {
        let script = format!("demo/trace-test/agents/{name}.py");
        agents.push(PythonAgent::start(&script, environment.iter().cloned()));
        server.has_agent(&format!("{name}-agent")).await;
    }
    let pace = variables([("SENSOR_COUNT", "20"), ("SENSOR_INTERVAL_S", "0.01")]);
    let all = environment.iter().cloned().chain(pace);
    let mut sensor = PythonAgent::start("demo/trace-test/agents/sensor.py", all);
    let status = sensor.wait();
    assert!(status.success(), "{status}: {}", sensor.log());

    // Every reading has arrived.
    eventually("the output has all readings", async || {
        let log = agents[0].log();
        if log.contains("reading 20: ") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    let bus = server.stats().await.bus.expect("counters");
    assert_eq!((bus.published, bus.delivered), (40, 40));

    // The server's own spans are in its store all the same, and those for the collector are not forgotten.
    let recorded = server.metric("loom_spans_recorded_total").await;
    assert!(recorded >= 120);
    eventually("every span is accounted for", async || {
        let stored = server
            .metric("loom_spans_exported_total{sink=\"store\"}")
            .await;
        let queued = server.metric("loom_spans_queued{sink=\"otlp\"}").await;
        let recorded = server.metric("loom_spans_recorded_total").await;
        if stored == recorded && queued == recorded {
            Ok(())
        } else {
            Err((recorded, stored, queued))
        }
    })
    .await;

    let warnings = |log: &str| {
        log.lines()
            .filter(|line| line.contains(&endpoint) && line.contains("WARN"))
            .count()
    };
    for agent in agents {
        agent.stop();
    }
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    assert!(
        log.contains("0 dropped + 0 queued; otlp: 0 exported + "),
        "the last line tells what was lost: {log}"
    );
    assert!(
        warnings(&log) <= 2,
        "one line when it was found away, one at the end for what was lost: {log}"
    );
    assert!(warnings(&log) >= 1, "{log}");
}

#[tokio::test]
async fn a_server_never_exports_to_itself() {
    // No other test listens on this loopback address, so the port is still free a moment later.
    let found = TcpListener::bind("127.0.0.79:0").expect("a port");
    let address = found.local_addr().expect("an address").to_string();
    drop(found);
    let server = TestServer::with(Options {
        arguments: vec!["--otlp-grpc-addr".to_owned(), address.clone()],
        environment: variables([(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://{address}").as_str(),
        )]),
        ..Options::default()
    });
    let info: serde_json::Value = server
        .http()
        .get_json("/api/v1/info")
        .await
        .expect("an answer");
    assert_eq!(info["span_sinks"], serde_json::json!(["store"]));
    let log = server.log();
    assert!(
        log.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && log.contains("own receiver"),
        "{log}"
    );
}
