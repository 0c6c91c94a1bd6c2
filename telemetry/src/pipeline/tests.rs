//! Where spans can get lost, and that the books say so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use parking_lot::{Condvar, Mutex};
use prost::Message;

use super::*;
use crate::ids;
use crate::record::{FreeDetail, SpanDetail, SpanKind, SpanRecord, SpanStatus};
use crate::sink::{DropReason, SpanBatch};

/// Long enough for any machine; a test that needs it fails anyway.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a test sees of its sink.
#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Bytes>>,
    held: Mutex<Vec<SpanBatch>>,
    changed: Condvar,
}

/// What a sink of a test does with its batches.
#[derive(Clone, Copy)]
enum Deed {
    Settle,
    Hold,
    Refuse,
    LetGo,
    Panic,
}

struct TestSink(&'static str, Deed, Arc<Seen>);

impl SpanSink for TestSink {
    fn name(&self) -> &'static str {
        self.0
    }

    fn export(&mut self, batch: SpanBatch) {
        let mut requests = self.2.requests.lock();
        requests.push(batch.request().clone());
        self.2.changed.notify_all();
        drop(requests);
        match self.1 {
            Deed::Settle => batch.exported(),
            Deed::Hold => self.2.held.lock().push(batch),
            Deed::Refuse => batch.dropped(DropReason::StoreFull),
            Deed::LetGo => drop(batch),
            Deed::Panic => panic!("a sink with a fault"),
        }
    }
}

impl Drop for TestSink {
    fn drop(&mut self) {
        self.2.held.lock().clear();
    }
}

impl Seen {
    fn names(&self) -> Vec<String> {
        let requests = self.requests.lock();
        requests.iter().flat_map(names).collect()
    }

    fn wait_for(&self, spans: usize) {
        let deadline = soon();
        let mut requests = self.requests.lock();
        while requests
            .iter()
            .map(|bytes| names(bytes).len())
            .sum::<usize>()
            < spans
        {
            let timeout = self.changed.wait_until(&mut requests, deadline);
            assert!(!timeout.timed_out(), "the spans never came");
        }
    }
}

fn decoded(request: &Bytes) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(&request[..]).expect("valid OTLP")
}

fn names(request: &Bytes) -> Vec<String> {
    let scopes = decoded(request).resource_spans.remove(0).scope_spans;
    let spans = scopes.into_iter().flat_map(|scope| scope.spans);
    spans.map(|span| span.name).collect()
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

fn span(name: impl Into<Value>) -> SpanRecord {
    SpanRecord {
        context: ids::new_root(true),
        parent_span_id: loom_proto::SpanId::default(),
        parent_is_remote: false,
        kind: SpanKind::Internal,
        status: SpanStatus::Unset,
        start_unix_nano: 1,
        end_unix_nano: 2,
        detail: SpanDetail::Free(Arc::new(FreeDetail {
            name: name.into(),
            ..FreeDetail::default()
        })),
    }
}

fn service(name: &'static str) -> Vec<(Value, Value)> {
    vec![("service.name".into(), name.into())]
}

/// Nothing moves unless a test asks for it.
fn still() -> PipelineConfig {
    PipelineConfig {
        interval: Duration::from_secs(3600),
        ..PipelineConfig::default()
    }
}

fn start(sinks: &[(&'static str, Deed)], config: PipelineConfig) -> (Pipeline, Vec<Arc<Seen>>) {
    let seen: Vec<Arc<Seen>> = sinks.iter().map(|_| Arc::default()).collect();
    let boxed = sinks.iter().zip(&seen).map(|((name, deed), seen)| {
        Box::new(TestSink(name, *deed, Arc::clone(seen))) as Box<dyn SpanSink>
    });
    let pipeline = Pipeline::start(boxed.collect(), config).expect("a thread");
    (pipeline, seen)
}

fn one(deed: Deed, config: PipelineConfig) -> (Pipeline, Arc<Seen>) {
    let (pipeline, mut seen) = start(&[("test", deed)], config);
    (pipeline, seen.remove(0))
}

#[test]
fn the_books_balance_under_load_for_every_sink() {
    let config = PipelineConfig {
        interval: Duration::from_millis(1),
        batch_spans: 100,
        recorder: RecorderConfig {
            shards: 2,
            shard_capacity: 500,
        },
        ..PipelineConfig::default()
    };
    let sinks = [
        ("good", Deed::Settle),
        ("slow", Deed::Hold),
        ("full", Deed::Refuse),
        ("careless", Deed::LetGo),
    ];
    let (pipeline, seen) = start(&sinks, config);
    let recorders = [
        pipeline.recorder(service("a")),
        pipeline.recorder(service("b")),
    ];
    std::thread::scope(|scope| {
        for recorder in recorders.iter().cycle().take(4) {
            scope.spawn(|| (0..5000).for_each(|_| recorder.record(span("work"))));
        }
    });
    let flushed = pipeline.flush(Instant::now());
    assert!(!flushed.is_complete, "one sink holds on to its batches");
    seen[0].wait_for(flushed.stats.recorded as usize);
    drop(recorders);

    let report = pipeline.shutdown(soon_enough());
    let stats = &report.stats;
    assert!(stats.is_balanced(), "{stats:?}");
    assert_eq!(stats.recorded + stats.refused.total(), 20_000);
    assert_eq!(
        stats.refused.total(),
        stats.refused.get(DropReason::BufferFull)
    );
    assert_eq!((stats.waiting, stats.sinks[1].queued), (0, 0));
    let fate = |sink: &SinkStats, reason| (sink.exported, sink.dropped.get(reason));
    assert_eq!(
        fate(&stats.sinks[0], DropReason::SinkClosed),
        (stats.recorded, 0)
    );
    assert_eq!(
        fate(&stats.sinks[1], DropReason::SinkClosed),
        (0, stats.recorded)
    );
    assert_eq!(
        fate(&stats.sinks[2], DropReason::StoreFull),
        (0, stats.recorded)
    );
    assert_eq!(
        fate(&stats.sinks[3], DropReason::SinkClosed),
        (0, stats.recorded)
    );
    assert_eq!(seen[0].names().len() as u64, stats.recorded);
}

/// For a sink that will not settle: the outcome is the same however short the wait.
fn soon_enough() -> Instant {
    Instant::now() + Duration::from_millis(200)
}

#[test]
fn every_recorder_has_its_own_resource_and_every_sink_the_same_bytes() {
    let (pipeline, seen) = start(&[("one", Deed::Settle), ("two", Deed::Settle)], still());
    let (shop, till) = (
        pipeline.recorder(service("shop")),
        pipeline.recorder(service("till")),
    );
    shop.record(span("sell"));
    till.record(span("count"));
    assert!(pipeline.flush(soon()).is_complete);

    let requests = seen[0].requests.lock().clone();
    assert_eq!(requests, *seen[1].requests.lock());
    let told: Vec<_> = requests
        .iter()
        .map(|request| {
            let resource = decoded(request).resource_spans.remove(0).resource;
            let attribute = resource.expect("a resource").attributes.remove(0);
            (attribute.value, names(request))
        })
        .collect();
    let expected = |service: &str, name: &str| {
        use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
        let value = Some(any_value::Value::StringValue(service.to_owned()));
        (Some(AnyValue { value }), vec![name.to_owned()])
    };
    assert_eq!(told, [expected("shop", "sell"), expected("till", "count")]);
}

#[test]
fn spans_come_by_themselves() {
    let config = PipelineConfig {
        interval: Duration::from_millis(1),
        ..PipelineConfig::default()
    };
    let (pipeline, seen) = one(Deed::Settle, config);
    pipeline.recorder(service("a")).record(span("work"));
    seen.wait_for(1);
}

#[test]
fn a_half_full_buffer_does_not_wait_for_the_interval() {
    let config = PipelineConfig {
        recorder: RecorderConfig {
            shards: 1,
            shard_capacity: 9,
        },
        ..still()
    };
    let (pipeline, seen) = one(Deed::Settle, config);
    let recorder = pipeline.recorder(service("a"));
    (0..5).for_each(|_| recorder.record(span("work")));
    seen.wait_for(5);
}

#[test]
fn a_dropped_recorder_is_drained_to_the_end_and_forgotten() {
    let (pipeline, seen) = one(Deed::Settle, still());
    for _ in 0..3 {
        let recorder = pipeline.recorder(service("short"));
        recorder.record(span("last words"));
    }
    let kept = pipeline.recorder(service("long"));
    kept.record(span("still here"));
    assert!(pipeline.flush(soon()).is_complete);
    assert_eq!(seen.names().len(), 4);
    assert_eq!(pipeline.owner.registry.errand().recorders.len(), 1);
    assert_eq!(
        pipeline.stats().recorded,
        4,
        "what is forgotten still counts"
    );
}

#[test]
fn a_flush_is_bounded_by_its_deadline() {
    let (pipeline, seen) = one(Deed::Hold, still());
    let recorder = pipeline.recorder(service("a"));
    recorder.record(span("work"));
    let report = pipeline.flush(soon_enough());
    assert!(!report.is_complete);
    assert!(report.stats.is_balanced(), "{report:?}");

    seen.wait_for(1);
    for batch in std::mem::take(&mut *seen.held.lock()) {
        batch.exported();
    }
    assert!(pipeline.flush(soon()).is_complete);
}

#[test]
fn a_shutdown_takes_what_came_before_and_refuses_what_comes_after() {
    let (pipeline, seen) = one(Deed::Settle, still());
    let recorder = pipeline.recorder(service("a"));
    recorder.record(span("before"));
    let report = pipeline.shutdown(soon());
    assert!(report.is_complete);

    recorder.record(span("after"));
    pipeline.recorder(service("late")).record(span("late"));
    let again = pipeline.shutdown(soon());
    assert_eq!(seen.names(), ["before"]);
    assert_eq!(again.stats.recorded, 1);
    assert_eq!(again.stats.dropped("test").get(DropReason::Shutdown), 2);
    assert!(again.stats.is_balanced());
    assert_eq!(
        again.to_string(),
        "spans: 1 recorded, 2 refused (shutdown 2); test: 1 exported"
    );
}

#[test]
fn what_a_sink_does_not_settle_in_time_is_counted_as_lost() {
    let (pipeline, _) = one(Deed::Hold, still());
    pipeline.recorder(service("a")).record(span("work"));
    let report = pipeline.shutdown(soon_enough());
    assert!(!report.is_complete);
    assert_eq!(
        report.to_string(),
        "spans: 1 recorded; test: 0 exported, 1 dropped (sink_closed 1)"
    );
}

#[test]
fn the_last_handle_takes_the_thread_with_it() {
    let (pipeline, seen) = one(Deed::Settle, still());
    let (other, registry) = (pipeline.clone(), Arc::clone(&pipeline.owner.registry));
    let recorder = pipeline.recorder(service("a"));
    recorder.record(span("work"));
    drop(pipeline);
    assert_eq!(other.stats().waiting, 1, "a clone keeps it alive");
    drop(other);
    registry.wait_ended(soon());
    assert_eq!(seen.names(), ["work"]);
}

#[test]
fn a_request_stays_below_its_bound_of_bytes() {
    let config = PipelineConfig {
        batch_bytes: 10_000,
        ..still()
    };
    let (pipeline, seen) = one(Deed::Settle, config);
    let recorder = pipeline.recorder(service("a"));
    for _ in 0..50 {
        recorder.record(span("x".repeat(1000)));
    }
    recorder.record(span("y".repeat(20_000)));
    assert!(pipeline.flush(soon()).is_complete);
    assert_eq!(seen.names().len(), 51);
    let requests = seen.requests.lock().clone();
    let large: Vec<_> = requests
        .iter()
        .filter(|request| request.len() > 10_000)
        .collect();
    assert_eq!(large.len(), 1);
    assert_eq!(names(large[0]).len(), 1, "what cannot be split goes alone");
}

#[test]
fn a_sink_that_panics_loses_spans_and_nothing_else() {
    let (pipeline, _) = one(Deed::Panic, still());
    let recorder = pipeline.recorder(service("a"));
    recorder.record(span("work"));
    assert!(
        !pipeline.flush(soon()).is_complete,
        "at once, not at the deadline"
    );
    recorder.record(span("later"));
    let stats = pipeline.stats();
    assert_eq!(stats.sinks[0].dropped.get(DropReason::SinkClosed), 1);
    assert_eq!(stats.refused.get(DropReason::Shutdown), 1);
}

#[tokio::test]
async fn who_asks_for_room_loses_nothing() {
    const SPANS: u64 = 5_000;
    let recorder = RecorderConfig {
        shards: 1,
        shard_capacity: 64,
    };
    let (seen, config) = (
        Arc::<Seen>::default(),
        PipelineConfig {
            recorder,
            ..PipelineConfig::default()
        },
    );
    let sink = TestSink("store", Deed::Settle, Arc::clone(&seen));
    let pipeline = Pipeline::start(vec![Box::new(sink)], config).expect("a thread");
    let recorder = pipeline.recorder(Vec::new());
    for _ in 0..SPANS {
        recorder.room().await;
        recorder.record(span("work"));
    }
    let report = tokio::task::spawn_blocking(move || pipeline.shutdown(soon()))
        .await
        .expect("no panic");
    assert_eq!(
        (report.stats.recorded, report.stats.refused),
        (SPANS, DropCounts::default())
    );
}

#[tokio::test]
async fn after_a_panic_in_a_sink_nobody_waits_for_room() {
    let recorder = RecorderConfig {
        shards: 1,
        shard_capacity: 4,
    };
    let config = PipelineConfig {
        recorder,
        ..PipelineConfig::default()
    };
    let sink = TestSink("store", Deed::Panic, Arc::default());
    let pipeline = Pipeline::start(vec![Box::new(sink)], config).expect("a thread");
    let recorder = pipeline.recorder(Vec::new());
    for _ in 0..100 {
        recorder.room().await;
        recorder.record(span("work"));
    }
    assert!(
        pipeline.stats().refused.total() > 0,
        "counted, not waited for"
    );
}
