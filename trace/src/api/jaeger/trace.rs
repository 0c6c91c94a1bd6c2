//! A trace in Jaeger's legacy JSON: shapes, units and quirks.
//!
//! Times are µs, ids are padded to 32 and 16 digits, what JSON cannot say of a tag is text, integers that a browser
//! would round are text too, lists are never null.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::Value as Json;

use super::super::v1::span::Plain;
use super::find;
use crate::model::value::to_json;
use crate::model::{Attributes, Link, Resource, Span, SpanId, StatusCode, Trace, TraceId, Value};

/// The one flag that means the same on both sides: W3C's second one says that the trace's id is random, Jaeger's is `debug`.
const SAMPLED: u32 = 1;
/// The largest integer that every JSON reader keeps exactly.
const MAX_SAFE_INTEGER: u64 = 1 << 53;

#[derive(Debug, Serialize)]
pub(super) struct JaegerTrace {
    #[serde(rename = "traceID")]
    trace_id: TraceId,
    spans: Vec<JaegerSpan>,
    processes: BTreeMap<String, Process>,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JaegerSpan {
    #[serde(rename = "traceID")]
    trace_id: TraceId,
    #[serde(rename = "spanID")]
    span_id: SpanId,
    flags: u32,
    operation_name: String,
    references: Vec<Reference>,
    start_time: u64,
    duration: u64,
    tags: Vec<Tag>,
    logs: Vec<Log>,
    #[serde(rename = "processID")]
    process_id: String,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: RefType,
    #[serde(rename = "traceID")]
    trace_id: TraceId,
    #[serde(rename = "spanID")]
    span_id: SpanId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum RefType {
    ChildOf,
    FollowsFrom,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Tag {
    key: String,
    #[serde(rename = "type")]
    kind: &'static str,
    value: Json,
}

#[derive(Debug, Serialize)]
struct Log {
    timestamp: u64,
    fields: Vec<Tag>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    service_name: String,
    tags: Vec<Tag>,
}

impl From<&Trace> for JaegerTrace {
    fn from(trace: &Trace) -> Self {
        let mut processes = Processes::default();
        let spans = trace
            .spans
            .iter()
            .map(|span| JaegerSpan::new(span, processes.id(&span.resource)))
            .collect();
        let warnings = find::cut_warning(trace).map(|warning| vec![warning]);
        Self {
            trace_id: trace.id,
            spans,
            processes: processes.known,
            warnings,
        }
    }
}

/// Gives equal processes equal ids: p1, p2, …
#[derive(Default)]
struct Processes {
    known: BTreeMap<String, Process>,
    /// Ids by the place of the resource in memory, which the store's reader shares between spans.
    by_place: HashMap<*const Resource, String>,
    /// Ids by the resource's content.
    by_content: HashMap<String, String>,
}

impl Processes {
    fn id(&mut self, resource: &Arc<Resource>) -> String {
        if let Some(id) = self.by_place.get(&Arc::as_ptr(resource)) {
            return id.clone();
        }
        let next = self.by_content.len() + 1;
        let id = match self.by_content.entry(to_json(&**resource)) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                let id = entry.insert(format!("p{next}")).clone();
                self.known.insert(id.clone(), Process::from(&**resource));
                id
            }
        };
        self.by_place.insert(Arc::as_ptr(resource), id.clone());
        id
    }
}

impl From<&Resource> for Process {
    fn from(resource: &Resource) -> Self {
        let others = resource
            .attributes
            .iter()
            .filter(|(key, _)| *key != "service.name");
        Self {
            service_name: resource.service().to_owned(),
            tags: others.map(|(key, value)| tag(key, value)).collect(),
        }
    }
}

impl JaegerSpan {
    fn new(span: &Span, process_id: String) -> Self {
        let backwards = (span.end_ns < span.start_ns)
            .then(|| vec!["the span ends before it starts; its duration is shown as 0".to_owned()]);
        Self {
            trace_id: span.trace_id,
            span_id: span.span_id,
            flags: span.flags & SAMPLED,
            operation_name: span.name.clone(),
            references: references(span),
            start_time: span.start_ns / 1_000,
            duration: span.duration_ns() / 1_000,
            tags: span_tags(span),
            logs: span.events.iter().map(log).collect(),
            process_id,
            warnings: backwards,
        }
    }
}

/// The parent first, then the links; a link to the parent only refines its type.
fn references(span: &Span) -> Vec<Reference> {
    let of = |link: &Link| match link.attributes.get("opentracing.ref_type") {
        Some(Value::String(kind)) if kind == "child_of" => RefType::ChildOf,
        _ => RefType::FollowsFrom,
    };
    let is_parent =
        |link: &&Link| link.trace_id == span.trace_id && Some(link.span_id) == span.parent_span_id;
    let parent = span.parent_span_id.map(|span_id| Reference {
        ref_type: match span.links.iter().find(is_parent) {
            Some(link) if link.attributes.get("opentracing.ref_type").is_some() => of(link),
            _ => RefType::ChildOf,
        },
        trace_id: span.trace_id,
        span_id,
    });
    let links = span.links.iter().filter(|link| !is_parent(link));
    parent
        .into_iter()
        .chain(links.map(|link| Reference {
            ref_type: of(link),
            trace_id: link.trace_id,
            span_id: link.span_id,
        }))
        .collect()
}

fn span_tags(span: &Span) -> Vec<Tag> {
    let mut tags = tags(&span.attributes);
    let mut add = |key: &str, text: &str| {
        if !text.is_empty() {
            tags.push(tag(key, &Value::from(text)));
        }
    };
    add("otel.scope.name", &span.scope.name);
    add("otel.scope.version", &span.scope.version);
    add("span.kind", span.kind.name().unwrap_or_default());
    match span.status.code {
        StatusCode::Unset => {}
        StatusCode::Ok => add("otel.status_code", "OK"),
        StatusCode::Error => add("otel.status_code", "ERROR"),
    }
    add("otel.status_description", &span.status.message);
    add("w3c.tracestate", &span.trace_state);
    if span.is_error() && span.attributes.get("error").is_none() {
        tags.push(tag("error", &Value::Bool(true)));
    }
    tags
}

fn log(event: &crate::model::Event) -> Log {
    let mut fields = vec![tag("event", &Value::from(event.name.as_str()))];
    fields.extend(tags(&event.attributes));
    Log {
        timestamp: event.time_ns / 1_000,
        fields,
    }
}

fn tags(attributes: &Attributes) -> Vec<Tag> {
    attributes
        .iter()
        .map(|(key, value)| tag(key, value))
        .collect()
}

fn tag(key: &str, value: &Value) -> Tag {
    let (kind, value) = match value {
        Value::String(text) => ("string", text.as_str().into()),
        Value::Bool(flag) => ("bool", (*flag).into()),
        Value::Int(number) if number.unsigned_abs() > MAX_SAFE_INTEGER => {
            ("int64", number.to_string().into())
        }
        Value::Int(number) => ("int64", (*number).into()),
        // JSON has no NaN and no infinities.
        Value::Double(number) if !number.is_finite() => ("float64", number.to_string().into()),
        Value::Double(number) => ("float64", (*number).into()),
        Value::Bytes(bytes) => ("binary", BASE64.encode(bytes).into()),
        Value::Empty => ("string", "".into()),
        Value::Array(_) | Value::Map(_) => ("string", to_json(&Plain::Value(value)).into()),
    };
    Tag {
        key: key.to_owned(),
        kind,
        value,
    }
}

#[cfg(test)]
#[path = "trace_tests.rs"]
mod tests;
