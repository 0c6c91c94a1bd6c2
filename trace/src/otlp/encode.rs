//! Spans as OTLP messages again, for gRPC.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1 as otlp_common;
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::resource::v1 as otlp_resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;

use crate::model::{Attributes, Event, Link, Resource, Scope, Span, Value};

/// What a span costs beside its own bytes: its tag and its length.
const FRAME: usize = 8;

/// The first of these spans as one message of about `max_bytes` at most, and how many they are: at least one, whatever its size,
/// unless there is none. A resource or a scope that is new may come on top.
pub fn chunk(spans: &[Span], max_bytes: usize) -> (otlp::TracesData, usize) {
    let mut chunk = Chunk::default();
    let mut taken = 0;
    for span in spans {
        let message = self::span(span);
        let bytes = message.encoded_len() + FRAME;
        if taken > 0 && chunk.bytes + bytes > max_bytes {
            break;
        }
        chunk.bytes += bytes;
        chunk.scope_spans(span).spans.push(message);
        taken += 1;
    }
    (chunk.data, taken)
}

/// A message as it grows. Spans that share a resource or a scope in memory share them here.
#[derive(Default)]
struct Chunk {
    data: otlp::TracesData,
    bytes: usize,
    resources: HashMap<*const Resource, usize>,
    scopes: HashMap<(usize, *const Scope), usize>,
}

impl Chunk {
    /// Where a span belongs.
    fn scope_spans(&mut self, span: &Span) -> &mut otlp::ScopeSpans {
        let groups = &mut self.data.resource_spans;
        let at_resource = *self
            .resources
            .entry(Arc::as_ptr(&span.resource))
            .or_insert_with(|| {
                groups.push(resource_spans(&span.resource));
                self.bytes += groups.last().map_or(0, Message::encoded_len) + FRAME;
                groups.len() - 1
            });
        let groups = &mut groups[at_resource].scope_spans;
        let at_scope = *self
            .scopes
            .entry((at_resource, Arc::as_ptr(&span.scope)))
            .or_insert_with(|| {
                groups.push(scope_spans(&span.scope));
                self.bytes += groups.last().map_or(0, Message::encoded_len) + FRAME;
                groups.len() - 1
            });
        &mut groups[at_scope]
    }
}

fn resource_spans(resource: &Resource) -> otlp::ResourceSpans {
    otlp::ResourceSpans {
        resource: Some(otlp_resource::Resource {
            attributes: attributes(&resource.attributes),
            dropped_attributes_count: resource.dropped_attributes,
            entity_refs: Vec::new(),
        }),
        scope_spans: Vec::new(),
        schema_url: resource.schema_url.clone(),
    }
}

fn scope_spans(scope: &Scope) -> otlp::ScopeSpans {
    otlp::ScopeSpans {
        scope: Some(otlp_common::InstrumentationScope {
            name: scope.name.clone(),
            version: scope.version.clone(),
            attributes: attributes(&scope.attributes),
            dropped_attributes_count: scope.dropped_attributes,
        }),
        spans: Vec::new(),
        schema_url: scope.schema_url.clone(),
    }
}

fn span(span: &Span) -> otlp::Span {
    otlp::Span {
        trace_id: span.trace_id.as_bytes().to_vec(),
        span_id: span.span_id.as_bytes().to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: span
            .parent_span_id
            .map(|id| id.as_bytes().to_vec())
            .unwrap_or_default(),
        flags: span.flags,
        name: span.name.clone(),
        kind: i32::from(span.kind as u8),
        start_time_unix_nano: span.start_ns,
        end_time_unix_nano: span.end_ns,
        attributes: attributes(&span.attributes),
        dropped_attributes_count: span.dropped_attributes,
        events: span.events.iter().map(event).collect(),
        dropped_events_count: span.dropped_events,
        links: span.links.iter().map(link).collect(),
        dropped_links_count: span.dropped_links,
        status: Some(otlp::Status {
            message: span.status.message.clone(),
            code: i32::from(span.status.code as u8),
        }),
    }
}

fn event(event: &Event) -> otlp::span::Event {
    otlp::span::Event {
        time_unix_nano: event.time_ns,
        name: event.name.clone(),
        attributes: attributes(&event.attributes),
        dropped_attributes_count: event.dropped_attributes,
    }
}

fn link(link: &Link) -> otlp::span::Link {
    otlp::span::Link {
        trace_id: link.trace_id.as_bytes().to_vec(),
        span_id: link.span_id.as_bytes().to_vec(),
        trace_state: link.trace_state.clone(),
        attributes: attributes(&link.attributes),
        dropped_attributes_count: link.dropped_attributes,
        flags: link.flags,
    }
}

fn attributes(attributes: &Attributes) -> Vec<otlp_common::KeyValue> {
    attributes
        .iter()
        .map(|(key, value)| otlp_common::KeyValue {
            key: key.to_owned(),
            value: Some(any_value(value)),
            ..otlp_common::KeyValue::default()
        })
        .collect()
}

fn any_value(value: &Value) -> otlp_common::AnyValue {
    let value = match value {
        Value::Empty => None,
        Value::String(text) => Some(OtlpValue::StringValue(text.clone())),
        Value::Bool(flag) => Some(OtlpValue::BoolValue(*flag)),
        Value::Int(number) => Some(OtlpValue::IntValue(*number)),
        Value::Double(number) => Some(OtlpValue::DoubleValue(*number)),
        Value::Bytes(bytes) => Some(OtlpValue::BytesValue(bytes.clone())),
        Value::Array(values) => Some(OtlpValue::ArrayValue(otlp_common::ArrayValue {
            values: values.iter().map(any_value).collect(),
        })),
        Value::Map(map) => Some(OtlpValue::KvlistValue(otlp_common::KeyValueList {
            values: attributes(map),
        })),
    };
    otlp_common::AnyValue { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::decode;
    use crate::testing::{golden_chain, request, string};

    #[test]
    fn what_was_decoded_is_encoded_again() {
        let everything = otlp::Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            trace_state: "a=b".to_owned(),
            parent_span_id: vec![3; 8],
            flags: 0x301,
            name: "x".to_owned(),
            kind: 5,
            start_time_unix_nano: 7,
            end_time_unix_nano: 9,
            attributes: vec![string("k", "v")],
            dropped_attributes_count: 1,
            events: vec![otlp::span::Event {
                time_unix_nano: 8,
                name: "e".to_owned(),
                attributes: vec![string("k", "v")],
                dropped_attributes_count: 2,
            }],
            dropped_events_count: 3,
            links: vec![otlp::span::Link {
                trace_id: vec![4; 16],
                span_id: vec![5; 8],
                trace_state: "c=d".to_owned(),
                attributes: vec![string("k", "v")],
                dropped_attributes_count: 4,
                flags: 1,
            }],
            dropped_links_count: 5,
            status: Some(otlp::Status {
                message: "no".to_owned(),
                code: 2,
            }),
        };
        let mut sent = request("svc", vec![everything]);
        let group = &mut sent.resource_spans[0];
        group.schema_url = "r".to_owned();
        group.scope_spans[0].schema_url = "s".to_owned();
        group.scope_spans[0].scope = Some(otlp_common::InstrumentationScope {
            name: "n".to_owned(),
            version: "1".to_owned(),
            attributes: vec![string("k", "v")],
            dropped_attributes_count: 6,
        });
        let spans = decode(&sent.encode_to_vec()).expect("good").spans;
        let (data, taken) = chunk(&spans, 1);
        assert_eq!(taken, 1);
        assert_eq!(data.resource_spans, sent.resource_spans);
    }

    #[test]
    fn a_chunk_holds_what_fits_and_at_least_one() {
        let spans = golden_chain();
        let mut rest = &spans[..];
        let mut ids = Vec::new();
        while !rest.is_empty() {
            let (data, taken) = chunk(rest, 300);
            // A resource that is new may come on top.
            assert!(data.encoded_len() <= 400, "{}", data.encoded_len());
            assert!(taken < spans.len());
            for group in data.resource_spans {
                let spans = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
                ids.extend(spans.map(|span| span.span_id[7]));
            }
            rest = &rest[taken..];
        }
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(chunk(&spans, usize::MAX).1, spans.len());
        assert_eq!(chunk(&[], 300).1, 0);
    }
}
