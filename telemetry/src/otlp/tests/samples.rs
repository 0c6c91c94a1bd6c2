//! Spans to encode.

use std::sync::Arc;

use loom_proto::EventId;
use loom_proto::trace_context::{SpanId, TraceContext, TraceFlags, TraceId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::record::{
    FreeDetail, MessageDetail, MessageOperation, SpanDetail, SpanEvent, SpanKind, SpanLink,
    SpanRecord, SpanStatus, SubscriptionName, Value,
};

pub(super) fn message_span(operation: MessageOperation) -> SpanRecord {
    SpanRecord {
        context: TraceContext {
            trace_id: TraceId(*b"trace id of 16 B"),
            span_id: SpanId(*b"span id."),
            flags: TraceFlags(3),
        },
        parent_span_id: SpanId(*b"parent.."),
        parent_is_remote: true,
        kind: SpanKind::Producer,
        status: SpanStatus::Unset,
        start_unix_nano: 1_700_000_000_000_000_000,
        end_unix_nano: 1_700_000_000_000_012_345,
        detail: SpanDetail::Message(MessageDetail {
            operation,
            agent: Some("sensor-agent".into()),
            topic: "sensor.data".into(),
            event_id: EventId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
            error: None,
            link: None,
            is_stand_in: false,
        }),
    }
}

fn any_text() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec!["", "short", "service.name"]).prop_map(Value::Static),
        any::<String>().prop_map(|text| Value::Shared(text.into())),
        "\\PC{0,300}".prop_map(Value::Text),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let flat = prop_oneof![
        4 => any_text(),
        1 => any::<bool>().prop_map(Value::Bool),
        2 => any::<i64>().prop_map(Value::Int),
        // Not a number is unequal to itself, which says nothing about its bytes.
        1 => any::<f64>().prop_filter("a number", |number| !number.is_nan()).prop_map(Value::Double),
        1 => vec(any::<u8>(), 0..200).prop_map(Value::Bytes),
    ];
    flat.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((any_key(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

/// Mostly a text; what is none cannot be written.
fn any_key() -> impl Strategy<Value = Value> {
    prop_oneof![9 => any_text(), 1 => any::<i64>().prop_map(Value::Int)]
}

fn any_attributes() -> impl Strategy<Value = Vec<(Value, Value)>> {
    vec((any_key(), any_value()), 0..6)
}

pub(super) fn any_resource() -> impl Strategy<Value = Vec<(Value, Value)>> {
    vec((any_text(), any_value()), 0..4)
}

fn any_context() -> impl Strategy<Value = TraceContext> {
    (any::<[u8; 16]>(), any::<[u8; 8]>(), 0..4_u8).prop_map(|(trace_id, span_id, flags)| {
        TraceContext {
            trace_id: TraceId(trace_id),
            span_id: SpanId(span_id),
            flags: TraceFlags(flags),
        }
    })
}

fn any_event() -> impl Strategy<Value = SpanEvent> {
    (any_text(), any::<u64>(), any_attributes()).prop_map(|(name, time_unix_nano, attributes)| {
        SpanEvent {
            name,
            time_unix_nano,
            attributes,
        }
    })
}

fn any_link() -> impl Strategy<Value = SpanLink> {
    (any_context(), ".{0,40}", any_attributes()).prop_map(|(context, tracestate, attributes)| {
        SpanLink {
            context,
            tracestate,
            attributes,
        }
    })
}

prop_compose! {
    fn any_free()(
        name in any_text(),
        attributes in any_attributes(),
        events in vec(any_event(), 0..3),
        links in vec(any_link(), 0..3),
        texts in (".{0,40}", ".{0,40}"),
        scope in (any_text(), any_text()),
        dropped in (0..3_u32, 0..3_u32, any::<u32>()),
    ) -> FreeDetail {
        FreeDetail {
            name,
            attributes,
            events,
            links,
            status_message: texts.0,
            tracestate: texts.1,
            scope_name: scope.0,
            scope_version: scope.1,
            dropped_attributes: dropped.0,
            dropped_events: dropped.1,
            dropped_links: dropped.2,
        }
    }
}

fn any_operation() -> impl Strategy<Value = MessageOperation> {
    prop_oneof![
        any::<u32>().prop_map(|body_size| MessageOperation::BridgePublish { body_size }),
        any::<u32>().prop_map(|matched| MessageOperation::BusPublish { matched }),
        (
            any::<String>(),
            prop::option::of(any::<String>()),
            any::<u32>(),
            any::<u32>()
        )
            .prop_map(|(pattern, group, attempt, wait_us)| {
                MessageOperation::BridgeForward {
                    subscription: Arc::new(SubscriptionName { pattern, group }),
                    attempt,
                    wait_us,
                }
            }),
    ]
}

prop_compose! {
    fn any_message()(
        operation in any_operation(),
        agent in prop::option::of(any::<String>()),
        topic in "[a-z.]{1,200}",
        id in any::<[u8; 16]>(),
        error in prop::option::of(Just("timeout")),
        link in prop::option::of(any_context().prop_map(Box::new)),
        is_stand_in: bool,
    ) -> MessageDetail {
        MessageDetail {
            operation,
            agent: agent.map(Into::into),
            topic: topic.into(),
            event_id: EventId(id),
            error,
            link,
            is_stand_in,
        }
    }
}

prop_compose! {
    pub(super) fn any_span()(
        context in any_context(),
        parent in prop_oneof![Just([0; 8]), any::<[u8; 8]>()],
        parent_is_remote in any::<bool>(),
        kind in prop::sample::select(vec![
            SpanKind::Internal, SpanKind::Server, SpanKind::Client, SpanKind::Producer, SpanKind::Consumer,
        ]),
        status in prop::sample::select(vec![SpanStatus::Unset, SpanStatus::Ok, SpanStatus::Error]),
        times in (any::<u64>(), any::<u64>()),
        detail in prop_oneof![
            any_message().prop_map(SpanDetail::Message),
            any_free().prop_map(|detail| SpanDetail::Free(Arc::new(detail))),
        ],
    ) -> SpanRecord {
        SpanRecord {
            context,
            parent_span_id: SpanId(parent),
            parent_is_remote,
            kind,
            status,
            start_unix_nano: times.0,
            end_unix_nano: times.1,
            detail,
        }
    }
}
