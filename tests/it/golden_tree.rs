//! Three real agents and the real binary: per reading exactly nine spans in one chain.

use std::collections::BTreeMap;

use loom_tests::collector::{Collector, ReceivedSpan};
use loom_tests::eventually;
use loom_tests::python::{PythonAgent, variables};
use loom_tests::server::{Options, TestServer};
use loom_tests::spans::GOLDEN_CHAIN;

const READINGS: usize = 5;

/// The agents of the demo, consumers first.
async fn start_agents(server: &TestServer, environment: &[(String, String)]) -> Vec<PythonAgent> {
    let mut agents = Vec::new();
    for name in ["output", "processor"] {
        let script = format!("demo/trace-test/agents/{name}.py");
        agents.push(PythonAgent::start(&script, environment.iter().cloned()));
        server.has_agent(&format!("{name}-agent")).await;
    }
    let readings = READINGS.to_string();
    let pace = variables([
        ("SENSOR_COUNT", readings.as_str()),
        ("SENSOR_INTERVAL_S", "0.01"),
    ]);
    let environment = environment.iter().cloned().chain(pace);
    agents.push(PythonAgent::start(
        "demo/trace-test/agents/sensor.py",
        environment,
    ));
    agents
}

/// The path leads through the bus, from the sensor's span to the handler that ends last, and explains every nanosecond. That is
/// the last one of the chain, unless the one before it was interrupted after it had published.
async fn assert_critical_path(server: &TestServer, id: &str) {
    let get = async |path: &str| -> serde_json::Value {
        let path = format!("/api/v1/traces/{id}{path}");
        server.http().get_json(&path).await.expect("an answer")
    };
    let trace = get("").await;
    let path = get("/critical-path").await;
    let segments = path["segments"].as_array().expect("segments");
    let mut reached = 0;
    for segment in segments {
        assert_eq!(segment["from"], reached, "{path}");
        reached = segment["to"].as_u64().expect("ns");
    }
    assert_eq!(trace["duration_ns"], reached.to_string());
    assert_eq!(
        (&path["summary"], &path["summary"]["other_ns"]),
        (&trace["summary"], &serde_json::json!(0))
    );
    let column = |name: &str| trace["columns"][name].as_array().expect("a column");
    let ns = |name: &str, place: usize| column(name)[place].as_u64().expect("ns");
    let last = (0..column("span_id").len())
        .max_by_key(|&place| ns("start", place) + ns("duration", place))
        .expect("spans");
    let ids = column("span_id");
    let ends = [segments.first(), segments.last()];
    let ends = ends.map(|segment| segment.map(|segment| &segment["span_id"]));
    assert_eq!(ends, [ids.first(), ids.get(last)], "{path}");
    // From one agent's span to the next one's there are four.
    let agents = last / 4 + 1;
    assert!(last % 4 == 0 && agents >= 2, "{trace}");
    let of_agents = segments.iter().filter(|s| s["kind"] == "work");
    assert!(of_agents.count() >= agents, "{path}");
}

#[tokio::test]
async fn a_reading_is_one_chain_in_the_store() {
    let server = TestServer::start();
    let mut agents = start_agents(&server, &server.environment()).await;
    let sensor = agents.pop().map(|mut sensor| (sensor.wait(), sensor.log()));
    assert!(
        sensor.as_ref().is_some_and(|(status, _)| status.success()),
        "{sensor:?}"
    );

    let ids = server
        .trace_ids("service=agent-output-agent", READINGS)
        .await;
    assert_eq!(ids.len(), READINGS);
    for id in &ids {
        let trace = server.trace(id, GOLDEN_CHAIN.len()).await;
        trace.assert_chain(&GOLDEN_CHAIN);
        let chain = trace.chain();

        // Whose spans they are, and what they are about.
        let tag = |place: usize, key: &str| chain[place].tags.get(key).map(String::as_str);
        let kinds: Vec<_> = (0..9)
            .map(|place| tag(place, "span.kind").unwrap_or("-"))
            .collect();
        let hop = ["consumer", "producer", "producer", "consumer"];
        assert_eq!(kinds[0], "internal");
        assert_eq!((&kinds[1..5], &kinds[5..9]), (&hop[..], &hop[..]));
        for (place, agent, topic) in [
            (1, "sensor-agent", "sensor.data"),
            (3, "processor-agent", "sensor.data"),
            (5, "processor-agent", "processed.data"),
            (7, "output-agent", "processed.data"),
        ] {
            assert_eq!(tag(place, "agent_id"), Some(agent));
            assert_eq!(tag(place, "topic"), Some(topic));
            assert_eq!(tag(place, "messaging.destination.name"), Some(topic));
            assert_eq!(tag(place, "messaging.system"), Some("loom"));
            assert_eq!(tag(place, "trace_id"), Some(id.as_str()));
            assert_eq!(tag(place, "span_id"), Some(chain[place].span_id.as_str()));
        }
        // One event is one id, at every hop.
        for hop in [1..4, 5..8] {
            let mut events: Vec<_> = hop.clone().map(|place| tag(place, "event_id")).collect();
            events.push(tag(hop.end, "event.id"));
            assert!(events[0].is_some_and(|id| id.len() == 36));
            assert!(events.iter().all(|event| *event == events[0]), "{events:?}");
        }
        assert_eq!(tag(4, "agent.id"), Some("processor-agent"));
        assert_eq!(tag(4, "event.type"), Some("reading"));
        assert_eq!(tag(8, "agent.id"), Some("output-agent"));

        // A child starts after its parent, and no span is longer than the whole.
        let whole = chain
            .iter()
            .map(|span| span.start_us + span.duration_us)
            .max()
            .expect("spans")
            - chain[0].start_us;
        for pair in chain.windows(2) {
            assert!(
                pair[1].start_us >= pair[0].start_us,
                "{:#?}",
                trace.outline()
            );
            assert!(pair[1].duration_us <= whole);
        }
    }

    // What was found by hand is what the check says.
    for id in &ids {
        let report: serde_json::Value = server
            .http()
            .get_json(&format!("/api/v1/traces/{id}/check"))
            .await
            .expect("a report");
        assert_eq!(report["ok"], true, "{report}");
        assert_critical_path(&server, id).await;
    }
    agents.into_iter().for_each(PythonAgent::stop);
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    assert!(
        log.contains(
            "10 published, 0 rejected; deliveries: 10 published = 10 delivered + 0 filtered"
        ),
        "{log}"
    );
}

#[tokio::test]
async fn a_reading_is_one_chain_at_a_collector_that_knows_nothing_of_loom() {
    let collector = Collector::start().await;
    let export = variables([("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint().as_str())]);
    let server = TestServer::with(Options {
        environment: export.clone(),
        ..Options::default()
    });
    let mut environment = server.environment();
    environment.retain(|(name, _)| name != "OTEL_EXPORTER_OTLP_ENDPOINT");
    environment.extend(export);
    let agents = start_agents(&server, &environment).await;

    let traces = eventually("all spans have arrived", async || {
        let traces = by_trace(collector.spans());
        let whole = traces
            .values()
            .filter(|spans| spans.len() == GOLDEN_CHAIN.len())
            .count();
        if whole == READINGS {
            Ok(traces)
        } else {
            Err(format!("{whole} whole traces"))
        }
    })
    .await;
    for spans in traces
        .values()
        .filter(|spans| spans.len() == GOLDEN_CHAIN.len())
    {
        let mut parent: &[u8] = &[];
        for (name, service) in GOLDEN_CHAIN {
            let children: Vec<_> = spans
                .iter()
                .filter(|span| span.span.parent_span_id == parent)
                .collect();
            let [child] = children[..] else {
                panic!("{} children where {name} should be", children.len())
            };
            assert_eq!(
                (child.span.name.as_str(), child.service.as_str()),
                (name, service)
            );
            assert!(child.span.end_time_unix_nano >= child.span.start_time_unix_nano);
            parent = &child.span.span_id;
        }
    }
    drop(agents);
}

fn by_trace(spans: Vec<ReceivedSpan>) -> BTreeMap<Vec<u8>, Vec<ReceivedSpan>> {
    let mut traces: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for span in spans {
        traces
            .entry(span.span.trace_id.clone())
            .or_default()
            .push(span);
    }
    traces
}
