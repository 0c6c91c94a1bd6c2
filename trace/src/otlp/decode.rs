//! OTLP bytes to [`Span`]s: a pure function, one span at a time.
//!
//! The two outer levels are walked on the wire and only one span at a time becomes an object, so a request of 16 MiB
//! costs the memory of one span beside its bytes.

use std::sync::Arc;

use loom_proto::wire::{self, Fields};
use opentelemetry_proto::tonic::common::v1 as otlp_common;
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::resource::v1 as otlp_resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;

use super::alias;
use super::scan::Rejected;
use super::wire::{MAX_DEPTH, WireError};
use crate::error::DecodeError;
use crate::model::{
    Attributes, Event, Identity, Link, Resource, Scope, Span, SpanId, SpanKind, Status, StatusCode,
    TraceId, Value,
};

/// What a request held.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    /// The good spans in their order.
    pub spans: Vec<Span>,
    /// The others, by reason.
    pub rejected: Rejected,
}

/// Decodes a whole `ExportTraceServiceRequest`.
pub fn decode(request: &[u8]) -> Result<Decoded, DecodeError> {
    let mut spans = Vec::new();
    let rejected = decode_each::<DecodeError>(request, |span| {
        spans.push(span);
        Ok(())
    })?;
    Ok(Decoded { spans, rejected })
}

/// Decodes an `ExportTraceServiceRequest` and hands its good spans to `sink` one by one. Stops at the sink's first error.
pub fn decode_each<E: From<DecodeError>>(
    request: &[u8],
    mut sink: impl FnMut(Span) -> Result<(), E>,
) -> Result<Rejected, E> {
    let mut rejected = Rejected::default();
    for_each_message::<E>(request, 1, |resource_spans| {
        let resource = Arc::new(resource(resource_spans)?);
        for_each_message::<E>(resource_spans, 2, |scope_spans| {
            let scope = Arc::new(scope(scope_spans)?);
            for_each_message::<E>(scope_spans, 2, |bytes| {
                let span = otlp::Span::decode(bytes).map_err(DecodeError::from)?;
                if rejected.judge(&span.trace_id, &span.span_id, &span.parent_span_id)
                    && let Some(span) = self::span(span, &resource, &scope)
                {
                    sink(span)?;
                }
                Ok(())
            })
        })
    })?;
    Ok(rejected)
}

/// Calls `visit` with each embedded message in field `number`.
fn for_each_message<'a, E: From<DecodeError>>(
    message: &'a [u8],
    number: u32,
    mut visit: impl FnMut(&'a [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut fields = Fields::with_groups(message, MAX_DEPTH);
    loop {
        match fields.try_next() {
            Ok(Some(field)) => {
                if let (wire::Value::Bytes(bytes), true) = (field.value, field.number == number) {
                    visit(bytes)?;
                }
            }
            Ok(None) => return Ok(()),
            Err(error) => {
                return Err(DecodeError::from(WireError::at(&fields, message.len(), error)).into());
            }
        }
    }
}

/// Field 1 and 3 of `ResourceSpans` and `ScopeSpans` alike: the common owner of the spans, and the schema's URL.
fn owner<M: Message + Default>(message: &[u8]) -> Result<(M, String), DecodeError> {
    let mut owner = M::default();
    let mut schema_url = String::new();
    for_each_message::<DecodeError>(message, 1, |bytes| Ok(owner.merge(bytes)?))?;
    for_each_message::<DecodeError>(message, 3, |bytes| {
        schema_url = String::from_utf8_lossy(bytes).into_owned();
        Ok(())
    })?;
    Ok((owner, schema_url))
}

fn resource(message: &[u8]) -> Result<Resource, DecodeError> {
    let (resource, schema_url) = owner::<otlp_resource::Resource>(message)?;
    Ok(Resource {
        attributes: attributes(resource.attributes),
        dropped_attributes: resource.dropped_attributes_count,
        schema_url,
    })
}

fn scope(message: &[u8]) -> Result<Scope, DecodeError> {
    let (scope, schema_url) = owner::<otlp_common::InstrumentationScope>(message)?;
    Ok(Scope {
        name: scope.name,
        version: scope.version,
        attributes: attributes(scope.attributes),
        dropped_attributes: scope.dropped_attributes_count,
        schema_url,
    })
}

/// `None` for a span with bad ids, which the caller has judged before.
fn span(span: otlp::Span, resource: &Arc<Resource>, scope: &Arc<Scope>) -> Option<Span> {
    let status = span.status.unwrap_or_default();
    let mut attributes = attributes(span.attributes);
    alias::rename(&mut attributes);
    let links_before = span.links.len();
    let links: Vec<_> = span.links.into_iter().filter_map(link).collect();
    let dropped_here = (links_before - links.len()) as u32;
    Some(Span {
        trace_id: TraceId::from_bytes(&span.trace_id)?,
        span_id: SpanId::from_bytes(&span.span_id)?,
        // Eight zero bytes mean "no parent" to every SDK that sends them.
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
        // The index into a string table belongs to profiles; in a span it is to be taken as absent.
        None | Some(OtlpValue::StringValueStrindex(_)) => Value::Empty,
        Some(OtlpValue::StringValue(text)) => Value::String(text),
        Some(OtlpValue::BoolValue(flag)) => Value::Bool(flag),
        Some(OtlpValue::IntValue(number)) => Value::Int(number),
        Some(OtlpValue::DoubleValue(number)) => Value::Double(number),
        Some(OtlpValue::BytesValue(bytes)) => Value::Bytes(bytes),
        Some(OtlpValue::ArrayValue(array)) => Value::Array(
            array
                .values
                .into_iter()
                .map(|v| self::value(Some(v)))
                .collect(),
        ),
        Some(OtlpValue::KvlistValue(list)) => Value::Map(attributes(list.values)),
    }
}

/// Looks in the span first and in its resource second: an agent's process may name the agent once for all spans.
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

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
