//! The same spans by way of prost's messages: what the decoder is held against.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as otlp_common;
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::trace::v1 as otlp;

use super::alias;
use crate::model::{
    Attributes, Event, Identity, Link, Resource, Scope, Span, SpanId, SpanKind, Status, StatusCode,
    TraceId, Value,
};

/// The good spans of a request.
pub(super) fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let sent = of_resource.resource.unwrap_or_default();
        let resource = Arc::new(Resource {
            attributes: attributes(sent.attributes),
            dropped_attributes: sent.dropped_attributes_count,
            schema_url: of_resource.schema_url,
        });
        for of_scope in of_resource.scope_spans {
            let sent = of_scope.scope.unwrap_or_default();
            let scope = Arc::new(Scope {
                name: sent.name,
                version: sent.version,
                attributes: attributes(sent.attributes),
                dropped_attributes: sent.dropped_attributes_count,
                schema_url: of_scope.schema_url,
            });
            let sent = of_scope.spans.into_iter();
            spans.extend(sent.filter_map(|sent| span(sent, &resource, &scope)));
        }
    }
    spans
}

/// `None` for a span with bad ids.
fn span(span: otlp::Span, resource: &Arc<Resource>, scope: &Arc<Scope>) -> Option<Span> {
    if !matches!(span.parent_span_id.len(), 0 | 8) {
        return None;
    }
    let status = span.status.unwrap_or_default();
    let mut attributes = attributes(span.attributes);
    alias::rename(&mut attributes);
    let links_before = span.links.len();
    let links: Vec<_> = span.links.into_iter().filter_map(link).collect();
    let dropped_here = (links_before - links.len()) as u32;
    Some(Span {
        trace_id: TraceId::from_bytes(&span.trace_id)?,
        span_id: SpanId::from_bytes(&span.span_id)?,
        parent_span_id: SpanId::from_bytes(&span.parent_span_id),
        trace_state: span.trace_state,
        flags: span.flags,
        name: span.name,
        kind: SpanKind::from_number(span.kind.into()),
        start_ns: span.start_time_unix_nano,
        end_ns: span.end_time_unix_nano,
        status: Status {
            code: StatusCode::from_number(status.code.into()),
            message: status.message,
        },
        identity: identity(&attributes, &resource.attributes),
        attributes,
        dropped_attributes: span.dropped_attributes_count,
        events: span.events.into_iter().map(event).collect(),
        dropped_events: span.dropped_events_count,
        links,
        dropped_links: span.dropped_links_count.saturating_add(dropped_here),
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
    })
}

fn event(event: otlp::span::Event) -> Event {
    Event {
        time_ns: event.time_unix_nano,
        name: event.name,
        attributes: attributes(event.attributes),
        dropped_attributes: event.dropped_attributes_count,
    }
}

/// `None` for a link that names no span; it is added to the span's count of dropped links.
fn link(link: otlp::span::Link) -> Option<Link> {
    Some(Link {
        trace_id: TraceId::from_bytes(&link.trace_id)?,
        span_id: SpanId::from_bytes(&link.span_id)?,
        trace_state: link.trace_state,
        flags: link.flags,
        attributes: attributes(link.attributes),
        dropped_attributes: link.dropped_attributes_count,
    })
}

fn attributes(pairs: Vec<otlp_common::KeyValue>) -> Attributes {
    pairs
        .into_iter()
        .map(|pair| (pair.key, value(pair.value)))
        .collect()
}

fn value(value: Option<otlp_common::AnyValue>) -> Value {
    match value.and_then(|v| v.value) {
        None | Some(OtlpValue::StringValueStrindex(_)) => Value::Empty,
        Some(OtlpValue::StringValue(text)) => Value::String(text),
        Some(OtlpValue::BoolValue(flag)) => Value::Bool(flag),
        Some(OtlpValue::IntValue(number)) => Value::Int(number),
        Some(OtlpValue::DoubleValue(number)) => Value::Double(number),
        Some(OtlpValue::BytesValue(bytes)) => Value::Bytes(bytes),
        Some(OtlpValue::ArrayValue(array)) => {
            let values = array.values.into_iter();
            Value::Array(values.map(|v| self::value(Some(v))).collect())
        }
        Some(OtlpValue::KvlistValue(list)) => Value::Map(attributes(list.values)),
    }
}

/// Looks in the span first and in its resource second.
fn identity(span: &Attributes, resource: &Attributes) -> Identity {
    let mut found = Identity::default();
    for (key, value) in span.iter().chain(resource.iter()) {
        let place = match key {
            "agent.id" | "agent_id" | "gen_ai.agent.id" => &mut found.agent,
            "workflow.id" | "workflow_id" | "gen_ai.workflow.id" => &mut found.workflow,
            "session.id" | "session_id" => &mut found.session,
            "user.id" | "user_id" | "enduser.id" => &mut found.user,
            "tenant.id" | "tenant_id" => &mut found.tenant,
            "thread_id" | "gen_ai.conversation.id" => &mut found.thread,
            _ => continue,
        };
        if place.is_none() && !matches!(value, Value::Empty) {
            *place = Some(value.to_text());
        }
    }
    found
}
