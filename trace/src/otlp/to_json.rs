//! Spans as OTLP/JSON: what came in as OTLP/JSON goes out as the same.
//!
//! proto3's JSON mapping with OTLP's exceptions: ids are hex, enums are numbers, 64-bit integers are text, bytes are base64, names
//! are lowerCamelCase, and a field with its default value is left out. What every reader of a span relies on is there
//! always: ids, name, times, resource and scope.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::grouped::{OfResource, OfScope, grouped};
use crate::model::{
    Attributes, Event, Link, Resource, Scope, Span, SpanId, Status, Trace, TraceId, Value,
};

/// `TracesData` of all these traces, one after the other.
pub struct TracesData<'a>(pub &'a [Trace]);

impl Serialize for TracesData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let groups = self.0.iter().flat_map(|trace| grouped(&trace.spans));
        let groups: Vec<_> = groups.map(ResourceSpans::from).collect();
        let mut data = serializer.serialize_map(Some(1))?;
        data.serialize_entry("resourceSpans", &groups)?;
        data.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: ResourceJson<'a>,
    scope_spans: Vec<ScopeSpans<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    schema_url: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceJson<'a> {
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    attributes: Pairs<'a>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_attributes_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeSpans<'a> {
    scope: ScopeJson<'a>,
    spans: Spans<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    schema_url: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    attributes: Pairs<'a>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_attributes_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanJson<'a> {
    trace_id: TraceId,
    span_id: SpanId,
    #[serde(skip_serializing_if = "str::is_empty")]
    trace_state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<SpanId>,
    #[serde(skip_serializing_if = "is_zero")]
    flags: u32,
    name: &'a str,
    #[serde(skip_serializing_if = "is_unset")]
    kind: u8,
    #[serde(serialize_with = "as_text")]
    start_time_unix_nano: u64,
    #[serde(serialize_with = "as_text")]
    end_time_unix_nano: u64,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    attributes: Pairs<'a>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_attributes_count: u32,
    #[serde(skip_serializing_if = "<[Event]>::is_empty", serialize_with = "events")]
    events: &'a [Event],
    #[serde(skip_serializing_if = "is_zero")]
    dropped_events_count: u32,
    #[serde(skip_serializing_if = "<[Link]>::is_empty", serialize_with = "links")]
    links: &'a [Link],
    #[serde(skip_serializing_if = "is_zero")]
    dropped_links_count: u32,
    #[serde(skip_serializing_if = "StatusJson::is_default")]
    status: StatusJson<'a>,
}

#[derive(Serialize)]
struct StatusJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "is_unset")]
    code: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventJson<'a> {
    #[serde(serialize_with = "as_text")]
    time_unix_nano: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    attributes: Pairs<'a>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_attributes_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkJson<'a> {
    trace_id: TraceId,
    span_id: SpanId,
    #[serde(skip_serializing_if = "str::is_empty")]
    trace_state: &'a str,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    attributes: Pairs<'a>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_attributes_count: u32,
    #[serde(skip_serializing_if = "is_zero")]
    flags: u32,
}

/// Spans of one scope; each is shaped when its turn has come.
struct Spans<'a>(Vec<&'a Span>);

/// A list of `KeyValue`.
struct Pairs<'a>(&'a Attributes);

#[derive(Serialize)]
struct KeyValue<'a> {
    key: &'a str,
    value: AnyValue<'a>,
}

struct AnyValue<'a>(&'a Value);

/// A list of `AnyValue`.
struct Values<'a>(&'a [Value]);

/// An object with the one field `values`.
#[derive(Serialize)]
struct Holding<T> {
    values: T,
}

impl<'a> From<OfResource<'a>> for ResourceSpans<'a> {
    fn from(group: OfResource<'a>) -> Self {
        let resource: &Resource = group.resource;
        Self {
            resource: ResourceJson {
                attributes: Pairs(&resource.attributes),
                dropped_attributes_count: resource.dropped_attributes,
            },
            scope_spans: group.scopes.into_iter().map(ScopeSpans::from).collect(),
            schema_url: &resource.schema_url,
        }
    }
}

impl<'a> From<OfScope<'a>> for ScopeSpans<'a> {
    fn from(group: OfScope<'a>) -> Self {
        let scope: &Scope = group.scope;
        Self {
            scope: ScopeJson {
                name: &scope.name,
                version: &scope.version,
                attributes: Pairs(&scope.attributes),
                dropped_attributes_count: scope.dropped_attributes,
            },
            spans: Spans(group.spans),
            schema_url: &scope.schema_url,
        }
    }
}

impl<'a> From<&'a Span> for SpanJson<'a> {
    fn from(span: &'a Span) -> Self {
        Self {
            trace_id: span.trace_id,
            span_id: span.span_id,
            trace_state: &span.trace_state,
            parent_span_id: span.parent_span_id,
            flags: span.flags,
            name: &span.name,
            kind: span.kind as u8,
            start_time_unix_nano: span.start_ns,
            end_time_unix_nano: span.end_ns,
            attributes: Pairs(&span.attributes),
            dropped_attributes_count: span.dropped_attributes,
            events: &span.events,
            dropped_events_count: span.dropped_events,
            links: &span.links,
            dropped_links_count: span.dropped_links,
            status: StatusJson::from(&span.status),
        }
    }
}

impl<'a> From<&'a Status> for StatusJson<'a> {
    fn from(status: &'a Status) -> Self {
        Self {
            message: &status.message,
            code: status.code as u8,
        }
    }
}

impl StatusJson<'_> {
    fn is_default(&self) -> bool {
        self.message.is_empty() && is_unset(&self.code)
    }
}

impl<'a> From<&'a Event> for EventJson<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            time_unix_nano: event.time_ns,
            name: &event.name,
            attributes: Pairs(&event.attributes),
            dropped_attributes_count: event.dropped_attributes,
        }
    }
}

impl<'a> From<&'a Link> for LinkJson<'a> {
    fn from(link: &'a Link) -> Self {
        Self {
            trace_id: link.trace_id,
            span_id: link.span_id,
            trace_state: &link.trace_state,
            attributes: Pairs(&link.attributes),
            dropped_attributes_count: link.dropped_attributes,
            flags: link.flags,
        }
    }
}

impl Pairs<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pair = |(key, value)| KeyValue {
            key,
            value: AnyValue(value),
        };
        serializer.collect_seq(self.0.iter().map(pair))
    }
}

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|span| SpanJson::from(*span)))
    }
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(AnyValue))
    }
}

impl Serialize for AnyValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut one = serializer.serialize_map(None)?;
        match self.0 {
            Value::Empty => {}
            Value::String(text) => one.serialize_entry("stringValue", text)?,
            Value::Bool(flag) => one.serialize_entry("boolValue", flag)?,
            Value::Int(number) => one.serialize_entry("intValue", &number.to_string())?,
            Value::Double(number) if number.is_finite() => {
                one.serialize_entry("doubleValue", number)?;
            }
            Value::Double(number) => one.serialize_entry("doubleValue", not_finite(*number))?,
            Value::Bytes(bytes) => one.serialize_entry("bytesValue", &BASE64.encode(bytes))?,
            Value::Array(values) => {
                let values = Values(values);
                one.serialize_entry("arrayValue", &Holding { values })?;
            }
            Value::Map(map) => {
                let values = Pairs(map);
                one.serialize_entry("kvlistValue", &Holding { values })?;
            }
        }
        one.end()
    }
}

/// proto3's texts for what JSON has no numbers for.
fn not_finite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

fn events<S: Serializer>(events: &[Event], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(events.iter().map(EventJson::from))
}

fn links<S: Serializer>(links: &[Link], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(links.iter().map(LinkJson::from))
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference over"
)]
fn as_text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference over"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference over"
)]
fn is_unset(number: &u8) -> bool {
    *number == 0
}
