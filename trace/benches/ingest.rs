//! What a span costs on its way: at the door, in the spool, in the decoder, in the database.
//!
//! The steps before the database are measured with spans of ten attributes of mixed types, the way into the database with
//! those of `hop`.

#[path = "ingest/hop.rs"]
mod hop;

use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hop::{Load, Names};
use loom_trace::otlp::{decode_each, scan};
use loom_trace::spool::{Position, Spool, SpoolConfig};
use loom_trace::{Config, DecodeError, TraceStore};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SPANS_PER_REQUEST: u64 = 512;
const SPANS_PER_TRACE: u64 = 9;
const TRACES_PER_REQUEST: u64 = 40;
/// Requests per measured run of the whole store.
const REQUESTS: u64 = 200;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, text: &str) -> KeyValue {
    attribute(key, Value::StringValue(text.to_owned()))
}

/// Spreads the numbers of traces over all ids, as random ids are.
fn trace_id(number: u64) -> Vec<u8> {
    let high = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let low = high.rotate_left(32) ^ 0x5851_f42d_4c95_7f2d;
    [high.to_be_bytes(), low.to_be_bytes()].concat()
}

fn span(number: u64) -> Span {
    let (trace, place) = (number / SPANS_PER_TRACE + 1, number % SPANS_PER_TRACE);
    let start = 1_767_225_600_000_000_000 + number * 1_000;
    let parent = (place > 0).then(|| number.to_be_bytes().to_vec());
    Span {
        trace_id: trace_id(trace),
        span_id: (number + 1).to_be_bytes().to_vec(),
        parent_span_id: parent.unwrap_or_default(),
        name: ["bridge.publish", "EventBus.publish", "bridge.forward"][place as usize % 3]
            .to_owned(),
        kind: 4,
        flags: 0x101,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 40_000,
        attributes: vec![
            text("agent_id", "processor-agent"),
            text("topic", "sensor.data"),
            text(
                "event_id",
                &format!("01890f3e-7b4a-7cc2-98c9-{number:012x}"),
            ),
            text("messaging.system", "loom"),
            text("messaging.destination.name", "sensor.data"),
            text("messaging.operation.type", "send"),
            attribute("messaging.message.body.size", Value::IntValue(256)),
            attribute("loom.bus.matched", Value::IntValue(2)),
            attribute("loom.queue.wait_us", Value::DoubleValue(12.5)),
            attribute("sampled", Value::BoolValue(true)),
        ],
        ..Span::default()
    }
}

fn request(first: u64) -> Bytes {
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", "loom"),
                    text("service.instance.id", "1"),
                ],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: (first..first + SPANS_PER_REQUEST).map(span).collect(),
                ..ScopeSpans::default()
            }],
            schema_url: String::new(),
        }],
    };
    request.encode_to_vec().into()
}

fn door(c: &mut Criterion) {
    let mut group = c.benchmark_group("door");
    let bytes = request(0);
    group.throughput(Throughput::Elements(SPANS_PER_REQUEST));
    group.bench_function("scan", |b| b.iter(|| scan(&bytes).expect("good")));
    group.bench_function("spool", |b| {
        b.iter_custom(|rounds| {
            let dir = tempfile::tempdir().expect("a folder");
            let config = SpoolConfig {
                max_bytes: u64::MAX,
                ..SpoolConfig::default()
            };
            let (spool, _, _) =
                Spool::open(dir.path(), config, Position::default()).expect("opens");
            let start = Instant::now();
            for _ in 0..rounds {
                spool
                    .append(&bytes, SPANS_PER_REQUEST as u32, 0)
                    .expect("room");
            }
            start.elapsed()
        });
    });
    group.bench_function("decode", |b| {
        b.iter(|| {
            let mut spans = 0;
            decode_each::<DecodeError>(&bytes, |_| {
                spans += 1;
                Ok(())
            })
            .expect("good");
            spans
        });
    });
    group.finish();
}

/// Until everything is in the database: one thread decodes and writes.
fn index(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let mut group = c.benchmark_group("index");
    group.sample_size(10);
    group.throughput(Throughput::Elements(
        REQUESTS * TRACES_PER_REQUEST * hop::SPANS,
    ));
    for (name, names) in [("all name", Names::All), ("agents name", Names::Agents)] {
        let load = Load {
            begin_ns: 1_767_225_600_000_000_000,
            step_ns: 100_000,
            names,
        };
        for (unit, clock) in [
            ("time", ClockId::Monotonic),
            ("processor time", ClockId::ProcessCPUTime),
        ] {
            group.bench_function(format!("{name}, {unit}"), |b| {
                b.iter_custom(|rounds| {
                    let store = TraceStore::open(Config {
                        ephemeral: true,
                        ..Config::default()
                    })
                    .expect("opens");
                    (0..rounds)
                        .map(|round| run(&runtime, &store, load, round, clock))
                        .sum()
                });
            });
        }
    }
    group.finish();
}

/// Stores as many spans as one run has, and waits until all of them can be found.
fn run(runtime: &Runtime, store: &TraceStore, load: Load, round: u64, clock: ClockId) -> Duration {
    let first = |request| (round * REQUESTS + request) * TRACES_PER_REQUEST;
    let requests: Vec<Bytes> = (0..REQUESTS)
        .map(|request| {
            load.request(first(request)..first(request + 1))
                .encode_to_vec()
                .into()
        })
        .collect();
    let ingest = store.ingest();
    let start = now(clock);
    for request in requests {
        ingest.append(request).expect("room");
    }
    runtime
        .block_on(store.flush(Duration::from_secs(60)))
        .expect("indexed");
    let took = now(clock).saturating_sub(start);
    assert_eq!(store.counters().duplicates, 0);
    took
}

fn now(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).expect("not before its begin")
}

criterion_group!(benches, door, index);
criterion_main!(benches);
