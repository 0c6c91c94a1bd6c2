//! The spans of an event's way through the server, and what W3C says of bad contexts.

use std::collections::HashMap;
use std::sync::Arc;

use loom_bridge::BridgeConfig;
use loom_core::BusConfig;
use loom_proto::trace_context::{SpanId, TraceContext};
use loom_proto::v1;
use loom_telemetry::{Drainer, MessageOperation, Recorder, RecorderConfig, SpanDetail, SpanRecord};

use crate::agent::{Relay, event, eventually};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traced(traceparent: &str) -> v1::Event {
    let envelope = v1::Envelope {
        traceparent: traceparent.into(),
        tracestate: "vendor=1".into(),
        ..Default::default()
    };
    v1::Event {
        envelope: Some(envelope),
        ..event("a", "x")
    }
}

fn name(span: &SpanRecord) -> &'static str {
    match &span.detail {
        SpanDetail::Message(message) => match message.operation {
            MessageOperation::BridgePublish { .. } => "bridge.publish",
            MessageOperation::BusPublish { .. } => "EventBus.publish",
            MessageOperation::BridgeForward { .. } => "bridge.forward",
        },
        SpanDetail::Free(_) => "other",
    }
}

/// Publishes one event to one subscriber; returns the delivery and the spans by name.
async fn one(event: v1::Event) -> (v1::Delivery, HashMap<&'static str, SpanRecord>, Relay) {
    let relay = Relay::start().await;
    let mut receiver = relay.listener("receiver", &["a"]).await;
    let mut sender = relay.listener("sender", &[]).await;
    sender.publish(vec![event]).await;
    assert_eq!(sender.settled().await, []);
    let delivery = receiver.deliveries(1).await.remove(0);
    let spans = relay
        .spans()
        .into_iter()
        .map(|span| (name(&span), span))
        .collect();
    (delivery, spans, relay)
}

#[tokio::test]
async fn three_spans_stand_in_one_chain() {
    let (delivery, spans, _relay) = one(traced(&format!("00-{TRACE}-{PARENT}-03"))).await;
    assert_eq!(spans.len(), 3);
    let [b1, e1, b2] =
        ["bridge.publish", "EventBus.publish", "bridge.forward"].map(|name| &spans[name]);
    assert_eq!(b1.parent_span_id.to_string(), PARENT);
    assert!(b1.parent_is_remote);
    assert_eq!(e1.parent_span_id, b1.context.span_id);
    assert_eq!(b2.parent_span_id, e1.context.span_id);
    assert_eq!(delivery.traceparent, b2.context.to_string());
    for span in [b1, e1, b2] {
        assert_eq!(span.context.trace_id.to_string(), TRACE);
        assert_eq!(span.context.flags.0, 3, "the random bit is passed on");
        assert!(span.start_unix_nano <= span.end_unix_nano);
    }
    assert!(b1.start_unix_nano <= e1.start_unix_nano && e1.start_unix_nano <= b2.start_unix_nano);
}

#[tokio::test]
async fn an_unsampled_parent_costs_no_span() {
    let (delivery, spans, relay) = one(traced(&format!("00-{TRACE}-{PARENT}-02"))).await;
    assert!(spans.is_empty());
    assert_eq!(relay.recorder.stats().recorded, 0);
    assert_eq!(delivery.traceparent, format!("00-{TRACE}-{PARENT}-02"));
}

#[tokio::test]
async fn without_a_valid_context_a_new_trace_begins() {
    let zero = "0".repeat(32);
    for (traceparent, reason) in [
        (String::new(), None),
        ("garbage".to_owned(), Some("length")),
        (format!("00-{zero}-{PARENT}-01"), Some("zero_trace_id")),
        (
            format!("00-{TRACE}-0000000000000000-01"),
            Some("zero_span_id"),
        ),
        (
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            Some("hex"),
        ),
        (format!("00-{TRACE}-{PARENT}-01-too-long"), Some("length")),
        (format!("ff-{TRACE}-{PARENT}-01"), Some("version")),
    ] {
        let (delivery, spans, relay) = one(traced(&traceparent)).await;
        let root = &spans["bridge.publish"];
        assert_eq!(root.parent_span_id, SpanId::default(), "{traceparent}");
        assert_ne!(root.context.trace_id.to_string(), TRACE);
        let handed_on: TraceContext = delivery.traceparent.parse().expect("a valid context");
        assert_eq!(handed_on.trace_id, root.context.trace_id);
        let counted = relay.bridge.bus_stats().invalid_context;
        assert_eq!(
            counted.keys().next().map(String::as_str),
            reason,
            "{traceparent}"
        );
    }
}

#[tokio::test]
async fn a_future_version_is_read_as_version_00() {
    let (_, spans, _relay) = one(traced(&format!("cc-{TRACE}-{PARENT}-01-what-comes"))).await;
    assert_eq!(spans["bridge.publish"].context.trace_id.to_string(), TRACE);
}

#[tokio::test]
async fn a_context_in_the_metadata_counts_where_the_envelope_has_none() {
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let with_metadata = |mut event: v1::Event| {
        event
            .metadata
            .insert("traceparent".into(), traceparent.clone());
        event
    };
    let (_, spans, _relay) = one(with_metadata(event("a", "x"))).await;
    assert_eq!(spans["bridge.publish"].context.trace_id.to_string(), TRACE);
    let other = "0af7651916cd43dd8448eb211c80319c";
    let (_, spans, _relay) = one(with_metadata(traced(&format!("00-{other}-{PARENT}-01")))).await;
    assert_eq!(spans["bridge.publish"].context.trace_id.to_string(), other);
}

#[tokio::test]
async fn a_malformed_tracestate_or_baggage_is_dropped_and_counted_and_the_trace_goes_on() {
    let mut sent = traced(&format!("00-{TRACE}-{PARENT}-01"));
    let envelope = sent.envelope.get_or_insert_default();
    envelope.tracestate = "no member".into();
    envelope.baggage = "k=\u{e9}".into();
    envelope.thread_id = "t".into();
    let (delivery, spans, relay) = one(sent).await;
    assert_eq!(spans["bridge.publish"].parent_span_id.to_string(), PARENT);
    let envelope = delivery
        .event
        .expect("an event")
        .envelope
        .expect("an envelope");
    assert_eq!(
        (envelope.tracestate.as_str(), envelope.baggage.as_str()),
        ("", "")
    );
    assert_eq!(envelope.thread_id, "t");
    let counted = relay.bridge.bus_stats().invalid_context;
    assert_eq!(
        counted,
        [("baggage".to_owned(), 1), ("tracestate".to_owned(), 1)].into()
    );
}

#[tokio::test]
async fn concurrent_publishers_never_get_each_others_spans() {
    const AGENTS: usize = 4;
    const EVENTS: usize = 500;
    let relay = Relay::start().await;
    let mut receiver = relay.listener("receiver", &["a"]).await;
    let mut parents = HashMap::new();
    let mut senders = Vec::new();
    for agent in 0..AGENTS {
        let mut sender = relay.listener(&format!("sender-{agent}"), &[]).await;
        let contexts: Vec<_> = (0..EVENTS)
            .map(|_| loom_telemetry::ids::new_root(true))
            .collect();
        parents.extend(
            contexts
                .iter()
                .map(|context| (context.trace_id, context.span_id)),
        );
        senders.push(tokio::spawn(async move {
            for context in contexts {
                sender.publish(vec![traced(&context.to_string())]).await;
            }
            sender.settled().await
        }));
    }
    receiver.deliveries(AGENTS * EVENTS).await;
    for sender in senders {
        assert_eq!(sender.await.expect("no panic"), []);
    }
    eventually("all is recorded", || {
        relay.recorder.stats().recorded == 3 * (AGENTS * EVENTS) as u64
    })
    .await;
    let spans = relay.spans();
    let by_trace = |operation: &str| -> HashMap<_, _> {
        spans
            .iter()
            .filter(|span| name(span) == operation)
            .map(|span| (span.context.trace_id, span))
            .collect()
    };
    let (b1, e1, b2) = (
        by_trace("bridge.publish"),
        by_trace("EventBus.publish"),
        by_trace("bridge.forward"),
    );
    for (trace_id, parent) in parents {
        assert_eq!(b1[&trace_id].parent_span_id, parent);
        assert_eq!(e1[&trace_id].parent_span_id, b1[&trace_id].context.span_id);
        assert_eq!(b2[&trace_id].parent_span_id, e1[&trace_id].context.span_id);
    }
}

#[tokio::test]
async fn events_and_deliveries_wait_for_the_buffers_of_their_spans() {
    const EVENTS: usize = 10_000;
    // A pipeline that is always late: it drains when the buffers are nearly full and everybody else had many turns.
    let buffers = RecorderConfig {
        shards: 1,
        shard_capacity: 4096,
    };
    let recorder = Recorder::new(Vec::new(), buffers);
    recorder.set_drainer(Arc::new(Drainer::new(std::thread::current())));
    let relay = Relay::recording(
        recorder.clone(),
        BridgeConfig::default(),
        BusConfig::default(),
    )
    .await;
    let mut receiver = relay.listener("receiver", &["a"]).await;
    let mut sender = relay.listener("sender", &[]).await;
    let agents = tokio::spawn(async move {
        for _ in 0..EVENTS / 2000 {
            sender.publish(vec![event("a", "x"); 2000]).await;
            assert_eq!(sender.settled().await, []);
        }
        receiver.deliveries(EVENTS).await.len()
    });

    let mut spans = 0;
    while !agents.is_finished() {
        eventually("the buffers are full, or all is done", || {
            !recorder.has_room() || agents.is_finished()
        })
        .await;
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        spans += relay.spans().len();
    }
    spans += relay.spans().len();
    assert_eq!(agents.await.expect("no panic"), EVENTS);
    assert_eq!((spans, recorder.stats().buffer_full), (3 * EVENTS, 0));
}
