//! The bytes against those of prost, made from the same spans by way of the specification's own messages.

mod expected;
mod samples;

use std::sync::Arc;

use loom_proto::trace_context::SpanId;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::record::{FreeDetail, MessageOperation, SpanKind, SpanStatus, SubscriptionName};
use samples::{any_resource, any_span, message_span};

fn decoded(request: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(request).expect("valid protobuf")
}

fn encoded(spans: &[SpanRecord]) -> ExportTraceServiceRequest {
    decoded(&Encoder::new().encode(&[("service.name".into(), "shop".into())], spans))
}

/// The only span of the only scope.
fn only(request: &ExportTraceServiceRequest) -> &Span {
    let [resource] = &request.resource_spans[..] else {
        panic!("{request:?}")
    };
    let [scope] = &resource.scope_spans[..] else {
        panic!("{request:?}")
    };
    assert_eq!(scope.schema_url, SCHEMA_URL);
    let own = scope.scope.as_ref().expect("a scope");
    assert_eq!((&*own.name, &*own.version), (SCOPE, SCOPE_VERSION));
    let [span] = &scope.spans[..] else {
        panic!("{request:?}")
    };
    span
}

/// An attribute as text, whatever its kind.
fn attributes(span: &Span) -> Vec<(&str, String)> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let text = |value: &Option<Value>| match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => format!("int {number}"),
        other => panic!("{other:?}"),
    };
    span.attributes
        .iter()
        .map(|pair| {
            let value = pair.value.as_ref().expect("a value");
            (&*pair.key, text(&value.value))
        })
        .collect()
}

#[test]
fn bridge_publish_says_all_that_it_knows() {
    let record = message_span(MessageOperation::BridgePublish { body_size: 256 });
    let request = encoded(std::slice::from_ref(&record));
    let span = only(&request);
    assert_eq!(span.name, "bridge.publish");
    assert_eq!(span.trace_id, record.context.trace_id.0);
    assert_eq!(span.span_id, record.context.span_id.0);
    assert_eq!(span.parent_span_id, record.parent_span_id.0);
    assert_eq!(span.kind, 4);
    assert_eq!(span.start_time_unix_nano, record.start_unix_nano);
    assert_eq!(span.end_time_unix_nano, record.end_unix_nano);
    assert_eq!(span.flags, 0x303, "W3C flags, and a parent that is remote");
    assert_eq!(span.status, None);
    let (trace_id, span_id) = (
        record.context.trace_id.to_string(),
        record.context.span_id.to_string(),
    );
    let event_id = "00010203-0405-0607-0809-0a0b0c0d0e0f".to_owned();
    assert_eq!(
        attributes(span),
        [
            ("agent_id", "sensor-agent".to_owned()),
            ("topic", "sensor.data".to_owned()),
            ("event_id", event_id.clone()),
            ("trace_id", trace_id),
            ("span_id", span_id),
            ("messaging.system", "loom".to_owned()),
            ("messaging.destination.name", "sensor.data".to_owned()),
            ("messaging.message.id", event_id),
            ("messaging.operation.name", "publish".to_owned()),
            ("messaging.operation.type", "send".to_owned()),
            ("messaging.client.id", "sensor-agent".to_owned()),
            ("messaging.message.body.size", "int 256".to_owned()),
        ]
    );
}

#[test]
fn the_bus_has_no_agent_and_counts_its_matches() {
    let mut record = message_span(MessageOperation::BusPublish { matched: 3 });
    let SpanDetail::Message(detail) = &mut record.detail else {
        unreachable!()
    };
    detail.agent = None;
    detail.error = Some("mailbox_full");
    record.status = SpanStatus::Error;
    record.parent_is_remote = false;

    let request = encoded(&[record]);
    let span = only(&request);
    assert_eq!(span.name, "EventBus.publish");
    assert_eq!(
        span.flags, 0x103,
        "W3C flags, and a parent that is not remote"
    );
    assert_eq!(span.status.as_ref().map(|status| status.code), Some(2));
    let attributes = attributes(span);
    let value = |key| {
        let found = attributes.iter().find(|(other, _)| *other == key);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(value("loom.bus.matched"), Some("int 3"));
    assert_eq!(value("error.type"), Some("mailbox_full"));
    assert_eq!(value("agent_id"), None);
    assert_eq!(value("messaging.client.id"), None);
}

#[test]
fn bridge_forward_tells_its_delivery() {
    let request = encoded(&[message_span(MessageOperation::BridgeForward {
        subscription: Arc::new(SubscriptionName {
            pattern: "sensor.>".to_owned(),
            group: Some("workers".to_owned()),
        }),
        attempt: 2,
        wait_us: 1500,
    })]);
    let span = only(&request);
    assert_eq!(span.name, "bridge.forward");
    let attributes = attributes(span);
    for expected in [
        ("messaging.operation.name", "forward"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.subscription.name", "sensor.>"),
        ("messaging.consumer.group.name", "workers"),
        ("messaging.message.delivery_attempt", "int 2"),
        ("loom.queue.wait_us", "int 1500"),
    ] {
        let expected = (expected.0, expected.1.to_owned());
        assert!(attributes.contains(&expected), "{expected:?}");
    }
}

#[test]
fn a_root_has_no_parent() {
    let mut record = message_span(MessageOperation::BusPublish { matched: 0 });
    record.parent_span_id = SpanId::default();
    assert!(only(&encoded(&[record])).parent_span_id.is_empty());
}

#[test]
fn foreign_scopes_stand_beside_looms_own() {
    let free = |name: &'static str, scope: &'static str| SpanRecord {
        detail: SpanDetail::Free(Arc::new(FreeDetail {
            name: name.into(),
            scope_name: scope.into(),
            ..FreeDetail::default()
        })),
        kind: SpanKind::Internal,
        ..message_span(MessageOperation::BusPublish { matched: 0 })
    };
    let request = encoded(&[
        free("a", "openai"),
        free("b", ""),
        free("c", "http"),
        free("d", "openai"),
    ]);
    let scopes: Vec<_> = request.resource_spans[0]
        .scope_spans
        .iter()
        .map(|scope| {
            let spans = scope.spans.iter().map(|span| span.name.as_str());
            let name = &*scope.scope.as_ref().expect("a scope").name;
            (name, spans.collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(
        scopes,
        [
            ("loom", vec!["b"]),
            ("http", vec!["c"]),
            ("openai", vec!["a", "d"]),
        ]
    );
}

#[test]
fn values_end_at_the_deepest_level() {
    let mut deep = Value::Bool(true);
    for _ in 0..10_000 {
        deep = Value::Map(vec![("in".into(), deep)]);
    }
    let mut record = message_span(MessageOperation::BusPublish { matched: 0 });
    record.detail = SpanDetail::Free(Arc::new(FreeDetail {
        attributes: vec![("deep".into(), deep)],
        ..FreeDetail::default()
    }));
    // A reader's limit is 100 messages; decoding fails beyond it.
    assert_eq!(only(&encoded(&[record])).attributes.len(), 1);
}

#[test]
fn an_empty_batch_is_a_resource_without_spans() {
    let request = encoded(&[]);
    assert!(request.resource_spans[0].scope_spans.is_empty());
    assert!(request.resource_spans[0].resource.is_some());
}

proptest! {
    #[test]
    fn any_spans_are_written_as_prost_writes_them(
        resource in any_resource(),
        spans in prop::collection::vec(any_span(), 0..8),
    ) {
        let mut encoder = Encoder::new();
        let expected = expected::request(&resource, &spans);
        let written = encoder.encode(&resource, &spans);
        prop_assert_eq!(&decoded(&written), &expected);
        prop_assert_eq!(&written[..], &expected.encode_to_vec()[..]);
        // What it has learnt of sizes and scopes changes nothing.
        prop_assert_eq!(encoder.encode(&resource, &spans), written);
    }
}
