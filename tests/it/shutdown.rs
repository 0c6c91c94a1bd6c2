//! The end of a server: agents are told, spans are flushed, nothing hangs.

use loom_tests::agent::{RawAgent, event, hello};
use loom_tests::eventually;
use loom_tests::process::{Guarded, command, loom};
use loom_tests::python::PythonAgent;
use loom_tests::server::{Options, TestServer};

fn numbers(log: &str, line: &str) -> Vec<u64> {
    let line = log
        .lines()
        .find(|found| found.starts_with(line))
        .unwrap_or_else(|| panic!("no {line} in {log}"));
    line.split(|c: char| !c.is_ascii_digit())
        .filter_map(|text| text.parse().ok())
        .collect()
}

#[tokio::test]
async fn what_was_recorded_is_stored_before_the_end() {
    let kept = tempfile::tempdir().expect("a directory");
    let data_dir = Some(kept.path().join("data"));
    let server = TestServer::with(Options {
        data_dir: data_dir.clone(),
        ..Options::default()
    });
    let publisher = RawAgent::connect(server.bridge_addr(), hello("publisher", &[])).await;
    for number in 0..50 {
        publisher
            .publish(
                (0..20)
                    .map(|_| event(&format!("last.{number}"), ""))
                    .collect(),
            )
            .await;
    }
    eventually("the bus has them", async || {
        let bus = server.stats().await.bus.expect("counters");
        if bus.published == 1000 {
            Ok(())
        } else {
            Err(bus.published)
        }
    })
    .await;
    drop(publisher);
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    let counted = numbers(&log, "events: ");
    // events: published, rejected; deliveries: published = delivered + filtered + dead_lettered + expired + dropped + in_flight;
    // spans: recorded = stored + sampled_out + dropped + queued
    let [
        events,
        rejected,
        published,
        delivered,
        filtered,
        0,
        0,
        0,
        0,
        recorded,
        stored,
        0,
        dropped,
        queued,
    ] = counted[..]
    else {
        panic!("{counted:?}")
    };
    assert_eq!(
        (events, rejected, published, delivered, filtered),
        (1000, 0, 1000, 0, 1000)
    );
    assert_eq!((recorded, dropped, queued), (stored, 0, 0));
    assert!(
        recorded >= 2000,
        "two spans for each event, and those of the start and the end"
    );

    // And it is all there for the next server.
    let again = TestServer::with(Options {
        data_dir,
        ..Options::default()
    });
    let ids = again.trace_ids("operation=EventBus.publish", 1000).await;
    assert_eq!(ids.len(), 1000);
    let trace = again.trace(&ids[0], 2).await;
    trace.assert_chain(&[("bridge.publish", "loom"), ("EventBus.publish", "loom")]);
}

#[tokio::test]
async fn agents_are_told_and_one_that_does_not_leave_is_cut_off() {
    let settings = "[server]\ndrain_grace = '200ms'".to_owned();
    let server = TestServer::with(Options {
        settings,
        ..Options::default()
    });
    let python = PythonAgent::start("demo/trace-test/agents/output.py", server.environment());
    server.has_agent("output-agent").await;
    let mut stubborn = RawAgent::connect(server.bridge_addr(), hello("stubborn", &["a"])).await;
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    assert!(
        log.contains("1 published") || log.contains("0 published"),
        "{log}"
    );
    // Cut off means an end of the stream, with a status or without.
    drop(stubborn.ended().await);
    // An agent outlives its server and can be ended all the same.
    python.stop();
}

#[tokio::test]
async fn a_second_signal_does_not_wait() {
    let any = "127.0.0.1:0";
    let home = tempfile::tempdir().expect("a directory");
    let settings = home.path().join("loom.toml");
    std::fs::write(&settings, "[server]\ndrain_grace = '1h'").expect("written");
    let log = home.path().join("log");
    let mut spawned = command(loom());
    spawned
        .args([
            "up",
            "--json",
            "--ephemeral",
            "--bridge-addr",
            any,
            "--otlp-grpc-addr",
            any,
        ])
        .args(["--otlp-http-addr", any, "--http-addr", any, "--config"])
        .arg(&settings)
        .stdout(std::process::Stdio::piped())
        .stderr(std::fs::File::create(&log).expect("a log"));
    let mut process = Guarded(spawned.spawn().expect("started"));
    let stdout = process.0.stdout.take().expect("a pipe");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("readable");
    let addresses: loom_server::app::Addresses = serde_json::from_str(&line).expect("addresses");
    let _stubborn =
        RawAgent::connect(addresses.bridge.expect("open"), hello("stubborn", &["a"])).await;

    process.signal(rustix::process::Signal::INT);
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("the server drains", async || {
        if said().contains("stopping") {
            Ok(())
        } else {
            Err(said())
        }
    })
    .await;
    let status = process.terminate();
    assert_eq!(status.code(), Some(1), "{}", said());
    assert!(said().contains("at once"), "{}", said());
}
