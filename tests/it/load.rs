//! The golden tree as fast as backpressure allows: every trace whole, nothing lost, the books balance.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use loom_tests::eventually;
use loom_tests::python::{PythonAgent, variables};
use loom_tests::server::{Options, TestServer};
use loom_trace::check::{self, check};
use loom_trace::model::{Span, SpanId};
use loom_trace::query::{Field, Found, Predicate, Query, Search, Sort};
use loom_trace::{Config, TraceStore};

const READINGS: usize = 20_000;
const SENSORS: usize = 3;
/// Spans of one reading.
const SPANS: usize = 9;

const CHAIN: [&str; SPANS] = [
    "sensor.emit_data",
    "bridge.publish",
    "EventBus.publish",
    "bridge.forward",
    "agent.on_event",
    "bridge.publish",
    "EventBus.publish",
    "bridge.forward",
    "agent.on_event",
];

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_readings_are_twenty_thousand_whole_traces() {
    let kept = tempfile::tempdir().expect("a directory");
    let data = kept.path().join("data");
    let server = TestServer::with(Options {
        data_dir: Some(data.clone()),
        ..Options::default()
    });

    let start = |script: &str, id: &str, more: &[(&str, &str)]| {
        let own = variables([("LOAD_ID", id)].into_iter().chain(more.iter().copied()));
        PythonAgent::start(
            &format!("tests/agents/{script}.py"),
            server.environment().into_iter().chain(own),
        )
    };
    let mut consumers = Vec::new();
    for (role, script) in [("output", "load_output"), ("processor", "load_processor")] {
        for lane in ["0", "1"] {
            let id = format!("{role}-{lane}");
            consumers.push(start(script, &id, &[("LOAD_LANE", lane)]));
            server.has_agent(&id).await;
        }
    }
    let mut sensors: Vec<_> = (0..SENSORS)
        .map(|number| {
            let count = READINGS / SENSORS + usize::from(number < READINGS % SENSORS);
            start(
                "load_sensor",
                &format!("sensor-{number}"),
                &[("LOAD_COUNT", &count.to_string())],
            )
        })
        .collect();
    for sensor in &mut sensors {
        let status = sensor.wait();
        assert!(status.success(), "{status}: {}", sensor.log());
    }

    // Every reading is published twice and delivered twice, and the books say so.
    let twice = 2 * READINGS as u64;
    let bus = eventually("all deliveries are made", async || {
        let bus = server.stats().await.bus.expect("counters");
        if bus.delivered == twice {
            Ok(bus)
        } else {
            Err(bus)
        }
    })
    .await;
    assert_eq!((bus.published, bus.routed, bus.unrouted), (twice, twice, 0));
    assert_eq!((bus.offered, bus.delivered, bus.queued), (twice, twice, 0));
    assert!(
        bus.dropped.is_empty() && bus.rejected.is_empty() && bus.invalid_context.is_empty(),
        "{bus:?}"
    );

    // Agents first, then the server: what is on its way is flushed.
    consumers.into_iter().rev().for_each(PythonAgent::stop);
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("0 dropped + 0 in_flight; spans:"), "{log}");
    assert!(
        log.contains("stored + 0 sampled_out + 0 dropped + 0 queued"),
        "{log}"
    );

    let store = TraceStore::open(Config {
        data_dir: data,
        ..Config::default()
    })
    .expect("the store is readable");
    store
        .flush(Duration::from_secs(60))
        .await
        .expect("all is indexed");
    let query = store.query();
    let found = roots(&query).await;
    assert_eq!(found.len(), READINGS, "traces that have their root");
    let mut broken = BTreeMap::new();
    for found in found {
        let trace = query
            .trace(found.trace_id, 100)
            .await
            .expect("an answer")
            .expect("it was found");
        let findings = check(&trace.spans, &check::Options::default());
        if !findings.is_empty() || chain(&trace.spans) != CHAIN {
            broken.insert(trace.id, (format!("{:?}", chain(&trace.spans)), findings));
        }
    }
    let examples: Vec<_> = broken.iter().take(3).collect();
    assert!(
        broken.is_empty(),
        "{} of {READINGS} traces are not whole: {examples:#?}",
        broken.len()
    );
}

/// The traces that have their root.
async fn roots(query: &Query) -> Vec<Found> {
    let mut search = Search {
        matching: Predicate::Is(Field::Operation, "sensor.emit_data".to_owned()),
        no_errors: false,
        sort: Sort::Newest,
        after: None,
        limit: READINGS + 1,
    };
    let mut found = Vec::new();
    loop {
        let page = query.search(search.clone()).await.expect("an answer");
        found.extend(page.items);
        if page.next.is_none() {
            break;
        }
        search.after = page.next;
    }
    found
}

/// Names from the root on, for as long as there is exactly one child.
fn chain(spans: &[Span]) -> Vec<&str> {
    let mut children: HashMap<Option<SpanId>, Vec<&Span>> = HashMap::new();
    for span in spans {
        children.entry(span.parent_span_id).or_default().push(span);
    }
    let mut names = Vec::new();
    let mut parent = None;
    while let Some([child]) = children.get(&parent).map(Vec::as_slice) {
        names.push(child.name.as_str());
        parent = Some(child.span_id);
    }
    names
}
