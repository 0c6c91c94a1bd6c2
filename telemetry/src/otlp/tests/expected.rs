//! The same spans as the specification's own messages.

use std::collections::BTreeMap;

use loom_proto::TraceContext;
use loom_proto::semconv::{SCHEMA_URL, SCOPE, attribute};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use crate::record::{
    FreeDetail, MessageDetail, MessageOperation, SpanDetail, SpanRecord, SpanStatus, Value,
};

pub(super) fn request(
    resource: &[(Value, Value)],
    spans: &[SpanRecord],
) -> ExportTraceServiceRequest {
    // Loom's own scope first, then by name and version.
    let mut scopes = BTreeMap::<(bool, String, String), Vec<Span>>::new();
    for record in spans {
        let key = match &record.detail {
            SpanDetail::Free(free) if !text(&free.scope_name).is_empty() => {
                (true, text(&free.scope_name), text(&free.scope_version))
            }
            _ => (false, SCOPE.to_owned(), super::SCOPE_VERSION.to_owned()),
        };
        scopes.entry(key).or_default().push(span(record));
    }
    let scope_spans = scopes
        .into_iter()
        .map(|((is_foreign, name, version), spans)| ScopeSpans {
            scope: Some(InstrumentationScope {
                name,
                version,
                ..InstrumentationScope::default()
            }),
            spans,
            schema_url: if is_foreign { "" } else { SCHEMA_URL }.to_owned(),
        });
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: pairs(resource).0,
                ..Resource::default()
            }),
            scope_spans: scope_spans.collect(),
            schema_url: SCHEMA_URL.to_owned(),
        }],
    }
}

fn span(record: &SpanRecord) -> Span {
    let mut span = Span {
        trace_id: record.context.trace_id.0.to_vec(),
        span_id: record.context.span_id.0.to_vec(),
        parent_span_id: if record.is_root() {
            Vec::new()
        } else {
            record.parent_span_id.0.to_vec()
        },
        flags: u32::from(record.context.flags.0)
            + 0x100
            + 0x200 * u32::from(record.parent_is_remote),
        kind: record.kind as i32,
        start_time_unix_nano: record.start_unix_nano,
        end_time_unix_nano: record.end_unix_nano,
        status: (record.status != SpanStatus::Unset).then(|| Status {
            message: String::new(),
            code: record.status as i32,
        }),
        ..Span::default()
    };
    match &record.detail {
        SpanDetail::Message(detail) => message(&mut span, &record.context, detail),
        SpanDetail::Free(detail) => free(&mut span, detail),
    }
    span
}

fn message(span: &mut Span, context: &TraceContext, detail: &MessageDetail) {
    let (name, operation) = match detail.operation {
        MessageOperation::BridgePublish { .. } => ("bridge.publish", "publish"),
        MessageOperation::BusPublish { .. } => ("EventBus.publish", "publish"),
        MessageOperation::BridgeForward { .. } => ("bridge.forward", "forward"),
    };
    name.clone_into(&mut span.name);
    let mut add = |key: &'static str, value: Value| {
        span.attributes.extend(pairs(&[(key.into(), value)]).0);
    };
    if let Some(agent) = &detail.agent {
        add(attribute::AGENT_ID, agent.clone().into());
    }
    add(attribute::TOPIC, detail.topic.clone().into());
    add(attribute::EVENT_ID, detail.event_id.to_string().into());
    add(attribute::TRACE_ID, context.trace_id.to_string().into());
    add(attribute::SPAN_ID, context.span_id.to_string().into());
    add(attribute::MESSAGING_SYSTEM, "loom".into());
    add(
        attribute::MESSAGING_DESTINATION,
        detail.topic.clone().into(),
    );
    add(
        attribute::MESSAGING_MESSAGE_ID,
        detail.event_id.to_string().into(),
    );
    add(attribute::MESSAGING_OPERATION_NAME, operation.into());
    add(attribute::MESSAGING_OPERATION_TYPE, "send".into());
    if let Some(agent) = &detail.agent {
        add(attribute::MESSAGING_CLIENT_ID, agent.clone().into());
    }
    if let MessageOperation::BridgeForward { subscription, .. } = &detail.operation {
        add(
            attribute::MESSAGING_SUBSCRIPTION,
            subscription.pattern.clone().into(),
        );
        if let Some(group) = subscription.group.clone() {
            add(attribute::MESSAGING_GROUP, group.into());
        }
    }
    if let Some(error) = detail.error {
        add(attribute::ERROR_TYPE, error.into());
    }
    if detail.is_stand_in {
        add(attribute::STAND_IN, true.into());
    }
    match detail.operation {
        MessageOperation::BridgePublish { body_size } => {
            add(attribute::MESSAGING_BODY_SIZE, i64::from(body_size).into());
        }
        MessageOperation::BusPublish { matched } => {
            add(attribute::BUS_MATCHED, i64::from(matched).into());
        }
        MessageOperation::BridgeForward {
            attempt, wait_us, ..
        } => {
            add(
                attribute::MESSAGING_DELIVERY_ATTEMPT,
                i64::from(attempt).into(),
            );
            add(attribute::QUEUE_WAIT_US, i64::from(wait_us).into());
        }
    }
    span.links.extend(detail.link.as_deref().map(link));
}

fn free(span: &mut Span, detail: &FreeDetail) {
    span.name = text(&detail.name);
    span.trace_state.clone_from(&detail.tracestate);
    let (attributes, unwritten) = pairs(&detail.attributes);
    span.attributes = attributes;
    span.dropped_attributes_count = detail.dropped_attributes + unwritten;
    span.dropped_events_count = detail.dropped_events;
    span.dropped_links_count = detail.dropped_links;
    for event in &detail.events {
        let (attributes, unwritten) = pairs(&event.attributes);
        span.events.push(Event {
            time_unix_nano: event.time_unix_nano,
            name: text(&event.name),
            attributes,
            dropped_attributes_count: unwritten,
        });
    }
    for linked in &detail.links {
        let (attributes, unwritten) = pairs(&linked.attributes);
        span.links.push(Link {
            trace_state: linked.tracestate.clone(),
            attributes,
            dropped_attributes_count: unwritten,
            ..link(&linked.context)
        });
    }
    if let Some(status) = &mut span.status
        && status.code == SpanStatus::Error as i32
    {
        status.message.clone_from(&detail.status_message);
    }
}

fn link(context: &TraceContext) -> Link {
    Link {
        trace_id: context.trace_id.0.to_vec(),
        span_id: context.span_id.0.to_vec(),
        flags: u32::from(context.flags.0),
        ..Link::default()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The pairs whose key is a text, and how many others there are.
fn pairs(pairs: &[(Value, Value)]) -> (Vec<KeyValue>, u32) {
    let texts = pairs.iter().filter(|(key, _)| key.as_str().is_some());
    let written: Vec<_> = texts
        .map(|(key, value)| KeyValue {
            key: text(key),
            value: Some(any_value(value)),
            ..KeyValue::default()
        })
        .collect();
    let unwritten = (pairs.len() - written.len()) as u32;
    (written, unwritten)
}

fn any_value(value: &Value) -> AnyValue {
    use any_value::Value as Any;
    let value = match value {
        Value::Static(_) | Value::Shared(_) | Value::Text(_) => Any::StringValue(text(value)),
        Value::Bool(truth) => Any::BoolValue(*truth),
        Value::Int(number) => Any::IntValue(*number),
        Value::Double(number) => Any::DoubleValue(*number),
        Value::Bytes(bytes) => Any::BytesValue(bytes.clone()),
        Value::Array(values) => Any::ArrayValue(ArrayValue {
            values: values.iter().map(any_value).collect(),
        }),
        Value::Map(map) => Any::KvlistValue(KeyValueList {
            values: pairs(map).0,
        }),
    };
    AnyValue { value: Some(value) }
}
