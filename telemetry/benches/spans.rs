//! What a span costs: pushed by the thread that made it, and written as OTLP by the pipeline's thread.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use loom_proto::EventId;
use loom_telemetry::otlp::Encoder;
use loom_telemetry::record::FreeDetail;
use loom_telemetry::{
    MessageDetail, MessageOperation, Recorder, RecorderConfig, SpanDetail, SpanKind, SpanRecord,
    SpanStatus, Value, ids,
};

const SPANS: usize = 1000;

fn resource() -> Vec<(Value, Value)> {
    vec![("service.name".into(), "loom".into())]
}

fn hop(topic: &Arc<str>, agent: &Arc<str>) -> SpanRecord {
    let now = ids::now_unix_nano();
    SpanRecord {
        context: ids::new_root(true),
        parent_span_id: ids::new_span_id(),
        parent_is_remote: false,
        kind: SpanKind::Producer,
        status: SpanStatus::Unset,
        start_unix_nano: now,
        end_unix_nano: now + 1,
        detail: SpanDetail::Message(MessageDetail {
            operation: MessageOperation::BridgeForward {
                subscription: Arc::default(),
                attempt: 1,
                wait_us: 12,
            },
            agent: Some(Arc::clone(agent)),
            topic: Arc::clone(topic),
            event_id: EventId([7; 16]),
            error: None,
            link: None,
            is_stand_in: false,
        }),
    }
}

/// As an instrumentation makes it: six attributes, four of them texts.
fn free() -> SpanRecord {
    SpanRecord {
        detail: SpanDetail::Free(Arc::new(FreeDetail {
            name: "chat gpt-x".into(),
            attributes: vec![
                ("gen_ai.operation.name".into(), "chat".into()),
                ("gen_ai.provider.name".into(), "example".into()),
                ("gen_ai.request.model".into(), "gpt-x".to_owned().into()),
                ("gen_ai.response.id".into(), "r-123456".to_owned().into()),
                ("gen_ai.usage.input_tokens".into(), 512.into()),
                ("gen_ai.usage.output_tokens".into(), 64.into()),
            ],
            ..FreeDetail::default()
        })),
        ..hop(&"t".into(), &"a".into())
    }
}

fn record(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(SPANS as u64));
    let config = RecorderConfig {
        shards: 1,
        shard_capacity: SPANS,
    };
    let recorder = Recorder::new(resource(), config);
    let (topic, agent): (Arc<str>, Arc<str>) = ("sensor.data".into(), "sensor-agent".into());
    let mut drained = Vec::new();
    group.bench_function("make and push", |bencher| {
        bencher.iter(|| {
            for _ in 0..SPANS {
                recorder.record(hop(&topic, &agent));
            }
            recorder.drain(&mut drained);
            drained.clear();
        });
    });
    let span = hop(&topic, &agent);
    group.bench_function("push", |bencher| {
        bencher.iter_batched_ref(
            || vec![span.clone(); SPANS],
            |spans| {
                for span in spans.drain(..) {
                    recorder.record(span);
                }
                recorder.drain(&mut drained);
                drained.clear();
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(SPANS as u64));
    let (topic, agent) = ("sensor.data".into(), "sensor-agent".into());
    let (resource, mut encoder) = (resource(), Encoder::new());
    for (name, spans) in [
        ("hops", vec![hop(&topic, &agent); SPANS]),
        ("free spans", vec![free(); SPANS]),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(encoder.encode(&resource, &spans)));
        });
    }
    group.finish();
}

fn record_and_encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record and encode");
    group.throughput(Throughput::Elements(SPANS as u64));
    let config = RecorderConfig {
        shards: 1,
        shard_capacity: SPANS,
    };
    let recorder = Recorder::new(resource(), config);
    let (topic, agent): (Arc<str>, Arc<str>) = ("sensor.data".into(), "sensor-agent".into());
    let (mut encoder, mut drained) = (Encoder::new(), Vec::new());
    group.bench_function("hops", |bencher| {
        bencher.iter(|| {
            for _ in 0..SPANS {
                recorder.record(hop(&topic, &agent));
            }
            recorder.drain(&mut drained);
            black_box(encoder.encode(recorder.resource(), &drained));
            drained.clear();
        });
    });
    group.finish();
}

criterion_group!(spans, record, encode, record_and_encode);
criterion_main!(spans);
