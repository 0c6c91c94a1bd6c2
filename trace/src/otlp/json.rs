//! OTLP/JSON to OTLP/protobuf, so that everything behind the doors knows one encoding.
//!
//! The rules are those of proto3's JSON mapping with OTLP's exceptions: ids are hex, field names are lowerCamelCase,
//! unknown fields are ignored, 64-bit integers may be numbers or strings, `null` is the same as absent.

mod fields;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use prost::Message;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::error::DecodeError;
use fields::{Base64, Enum, Float, Hex, Int32, Int64, Uint32, Uint64};

/// Turns a JSON request into the same request in protobuf.
pub fn to_protobuf(json: &[u8]) -> Result<Bytes, DecodeError> {
    let request: Request = serde_json::from_slice(json)?;
    let request = ExportTraceServiceRequest {
        resource_spans: list(request.resource_spans),
    };
    Ok(request.encode_to_vec().into())
}

/// Declares a JSON object. Each field may be absent or null, unknown ones are skipped. Written out rather than derived,
/// because derived ones also take a list for an object, by position.
macro_rules! object {
    ($name:ident { $($field:ident $key:literal: $type:ty,)* }) => {
        #[allow(clippy::struct_field_names, reason = "the names are OTLP's")]
        #[derive(Default)]
        struct $name { $($field: Option<$type>,)* }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;

                impl<'de> Visitor<'de> for Object {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut object = $name::default();
                        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                            match &*key {
                                $($key => object.$field = map.next_value()?,)*
                                _ => _ = map.next_value::<IgnoredAny>()?,
                            }
                        }
                        Ok(object)
                    }
                }

                deserializer.deserialize_map(Object)
            }
        }
    };
}

object!(Request {
    resource_spans "resourceSpans": Vec<ResourceSpans>,
});
object!(ResourceSpans {
    resource "resource": Resource,
    scope_spans "scopeSpans": Vec<ScopeSpans>,
    schema_url "schemaUrl": String,
});
object!(Resource {
    attributes "attributes": Vec<KeyValue>,
    dropped_attributes_count "droppedAttributesCount": Uint32,
});
object!(ScopeSpans {
    scope "scope": Scope,
    spans "spans": Vec<Span>,
    schema_url "schemaUrl": String,
});
object!(Scope {
    name "name": String,
    version "version": String,
    attributes "attributes": Vec<KeyValue>,
    dropped_attributes_count "droppedAttributesCount": Uint32,
});
object!(Span {
    trace_id "traceId": Hex,
    span_id "spanId": Hex,
    trace_state "traceState": String,
    parent_span_id "parentSpanId": Hex,
    flags "flags": Uint32,
    name "name": String,
    kind "kind": Enum<fields::Kind>,
    start_time_unix_nano "startTimeUnixNano": Uint64,
    end_time_unix_nano "endTimeUnixNano": Uint64,
    attributes "attributes": Vec<KeyValue>,
    dropped_attributes_count "droppedAttributesCount": Uint32,
    events "events": Vec<Event>,
    dropped_events_count "droppedEventsCount": Uint32,
    links "links": Vec<Link>,
    dropped_links_count "droppedLinksCount": Uint32,
    status "status": Status,
});
object!(Event {
    time_unix_nano "timeUnixNano": Uint64,
    name "name": String,
    attributes "attributes": Vec<KeyValue>,
    dropped_attributes_count "droppedAttributesCount": Uint32,
});
object!(Link {
    trace_id "traceId": Hex,
    span_id "spanId": Hex,
    trace_state "traceState": String,
    attributes "attributes": Vec<KeyValue>,
    dropped_attributes_count "droppedAttributesCount": Uint32,
    flags "flags": Uint32,
});
object!(Status {
    message "message": String,
    code "code": Enum<fields::Code>,
});
object!(KeyValue {
    key "key": String,
    value "value": AnyValue,
});
object!(AnyValue {
    string_value "stringValue": String,
    bool_value "boolValue": bool,
    int_value "intValue": Int64,
    double_value "doubleValue": Float,
    array_value "arrayValue": ArrayValue,
    kvlist_value "kvlistValue": KeyValueList,
    bytes_value "bytesValue": Base64,
    string_value_strindex "stringValueStrindex": Int32,
});
object!(ArrayValue {
    values "values": Vec<AnyValue>,
});
object!(KeyValueList {
    values "values": Vec<KeyValue>,
});

fn list<T: Into<U>, U>(items: Option<Vec<T>>) -> Vec<U> {
    items
        .unwrap_or_default()
        .into_iter()
        .map(Into::into)
        .collect()
}

/// The plain value of a field, or protobuf's default.
fn plain<T: Into<U>, U: Default>(field: Option<T>) -> U {
    field.map(Into::into).unwrap_or_default()
}

impl From<ResourceSpans> for trace::ResourceSpans {
    fn from(json: ResourceSpans) -> Self {
        Self {
            resource: json.resource.map(Into::into),
            scope_spans: list(json.scope_spans),
            schema_url: plain(json.schema_url),
        }
    }
}

impl From<Resource> for resource::Resource {
    fn from(json: Resource) -> Self {
        Self {
            attributes: list(json.attributes),
            dropped_attributes_count: plain(json.dropped_attributes_count),
            entity_refs: Vec::new(),
        }
    }
}

impl From<ScopeSpans> for trace::ScopeSpans {
    fn from(json: ScopeSpans) -> Self {
        Self {
            scope: json.scope.map(Into::into),
            spans: list(json.spans),
            schema_url: plain(json.schema_url),
        }
    }
}

impl From<Scope> for common::InstrumentationScope {
    fn from(json: Scope) -> Self {
        Self {
            name: plain(json.name),
            version: plain(json.version),
            attributes: list(json.attributes),
            dropped_attributes_count: plain(json.dropped_attributes_count),
        }
    }
}

impl From<Span> for trace::Span {
    fn from(json: Span) -> Self {
        Self {
            trace_id: plain(json.trace_id),
            span_id: plain(json.span_id),
            trace_state: plain(json.trace_state),
            parent_span_id: plain(json.parent_span_id),
            flags: plain(json.flags),
            name: plain(json.name),
            kind: plain(json.kind),
            start_time_unix_nano: plain(json.start_time_unix_nano),
            end_time_unix_nano: plain(json.end_time_unix_nano),
            attributes: list(json.attributes),
            dropped_attributes_count: plain(json.dropped_attributes_count),
            events: list(json.events),
            dropped_events_count: plain(json.dropped_events_count),
            links: list(json.links),
            dropped_links_count: plain(json.dropped_links_count),
            status: json.status.map(Into::into),
        }
    }
}

impl From<Event> for trace::span::Event {
    fn from(json: Event) -> Self {
        Self {
            time_unix_nano: plain(json.time_unix_nano),
            name: plain(json.name),
            attributes: list(json.attributes),
            dropped_attributes_count: plain(json.dropped_attributes_count),
        }
    }
}

impl From<Link> for trace::span::Link {
    fn from(json: Link) -> Self {
        Self {
            trace_id: plain(json.trace_id),
            span_id: plain(json.span_id),
            trace_state: plain(json.trace_state),
            attributes: list(json.attributes),
            dropped_attributes_count: plain(json.dropped_attributes_count),
            flags: plain(json.flags),
        }
    }
}

impl From<Status> for trace::Status {
    fn from(json: Status) -> Self {
        Self {
            message: plain(json.message),
            code: plain(json.code),
        }
    }
}

impl From<KeyValue> for common::KeyValue {
    fn from(json: KeyValue) -> Self {
        Self {
            key: plain(json.key),
            value: json.value.map(Into::into),
            key_strindex: 0,
        }
    }
}

impl From<AnyValue> for common::AnyValue {
    fn from(json: AnyValue) -> Self {
        let value = if let Some(text) = json.string_value {
            Some(OtlpValue::StringValue(text))
        } else if let Some(flag) = json.bool_value {
            Some(OtlpValue::BoolValue(flag))
        } else if let Some(number) = json.int_value {
            Some(OtlpValue::IntValue(number.into()))
        } else if let Some(number) = json.double_value {
            Some(OtlpValue::DoubleValue(number.into()))
        } else if let Some(array) = json.array_value {
            Some(OtlpValue::ArrayValue(common::ArrayValue {
                values: list(array.values),
            }))
        } else if let Some(map) = json.kvlist_value {
            Some(OtlpValue::KvlistValue(common::KeyValueList {
                values: list(map.values),
            }))
        } else if let Some(bytes) = json.bytes_value {
            Some(OtlpValue::BytesValue(bytes.into()))
        } else {
            json.string_value_strindex
                .map(|index| OtlpValue::StringValueStrindex(index.into()))
        };
        Self { value }
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
