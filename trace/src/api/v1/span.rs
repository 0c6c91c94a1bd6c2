//! One span with everything that it says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use loom_proto::semconv::{attribute, span as name};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::model::{Attributes, Span, SpanId, SpanKind, StatusCode, TraceId, Value};
use crate::query::{self, Performance};
use crate::time_text::rfc3339;

/// 2⁵³ - 1: what a browser can read as a number without rounding it.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// One span, with what it says and what is known of it.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct WholeSpan<'a> {
    /// Its trace.
    trace_id: TraceId,
    /// Its id.
    span_id: SpanId,
    /// The span above it; null: it is a root.
    parent_span_id: Option<SpanId>,
    /// Its name.
    name: &'a str,
    /// Its part in what is remote.
    kind: SpanKind,
    /// `service.name` of its resource.
    service: &'a str,
    /// RFC 3339, UTC.
    start_time: String,
    /// ns since the Unix epoch, as text because a browser would round it.
    start_ns: String,
    /// As `start_ns`.
    end_ns: String,
    /// ns, as text.
    duration_ns: String,
    /// Whether it failed.
    status: StatusCode,
    /// Says more of an error.
    status_message: Option<&'a str>,
    /// Integers beyond 2⁵³, NaN and the infinities are text, bytes are base64.
    #[schema(value_type = Object)]
    attributes: Plain<'a>,
    /// Attributes of its resource.
    #[schema(value_type = Object)]
    resource: Plain<'a>,
    /// What has instrumented it.
    scope: Scope<'a>,
    /// What happened meanwhile.
    events: Vec<Happened<'a>>,
    /// Other spans that it has to do with.
    links: Vec<LinkTo<'a>>,
    /// Spans that link to it.
    linked_from: Vec<LinkFrom<'a>>,
    /// Whom it is about.
    agent_id: Option<&'a str>,
    /// As `agent_id`.
    workflow_id: Option<&'a str>,
    /// As `agent_id`.
    session_id: Option<&'a str>,
    /// As `agent_id`.
    user_id: Option<&'a str>,
    /// As `agent_id`.
    tenant_id: Option<&'a str>,
    /// The conversation that it is about.
    thread_id: Option<&'a str>,
    /// The event that it is about.
    event_id: Option<&'a str>,
    /// The execution that it is, or that it handed over.
    execution_id: Option<SpanId>,
    /// What a model call or a handler has measured.
    performance: Option<&'a Performance>,
}

/// An instrumentation scope.
#[derive(Serialize, ToSchema)]
struct Scope<'a> {
    /// Its name.
    name: &'a str,
    /// Its version.
    version: &'a str,
    /// As of the span.
    #[schema(value_type = Object)]
    attributes: Plain<'a>,
}

/// An event of a span.
#[derive(Serialize, ToSchema)]
#[schema(as = SpanEvent)]
struct Happened<'a> {
    /// Its name.
    name: &'a str,
    /// ns since the Unix epoch, as text.
    time_ns: String,
    /// As of the span.
    #[schema(value_type = Object)]
    attributes: Plain<'a>,
}

/// A link of a span.
#[derive(Serialize, ToSchema)]
#[schema(as = SpanLink)]
struct LinkTo<'a> {
    /// Trace of the other span.
    trace_id: TraceId,
    /// The other span.
    span_id: SpanId,
    /// As of the span.
    #[schema(value_type = Object)]
    attributes: Plain<'a>,
}

/// A span that links to this one.
#[derive(Serialize, ToSchema)]
#[schema(as = LinkedSpan)]
struct LinkFrom<'a> {
    /// Its trace.
    trace_id: TraceId,
    /// Its id.
    span_id: SpanId,
    /// Its name.
    name: &'a str,
}

impl<'a> WholeSpan<'a> {
    pub(super) fn of(whole: &'a query::WholeSpan) -> Self {
        let span = &whole.span;
        let identity = &span.identity;
        let events = span.events.iter().map(|event| Happened {
            name: &event.name,
            time_ns: event.time_ns.to_string(),
            attributes: Plain::Map(&event.attributes),
        });
        let links = span.links.iter().map(|link| LinkTo {
            trace_id: link.trace_id,
            span_id: link.span_id,
            attributes: Plain::Map(&link.attributes),
        });
        let linked_from = whole.linked_from.iter().map(|link| LinkFrom {
            trace_id: link.trace_id,
            span_id: link.span_id,
            name: &link.name,
        });
        let message = span.status.message.as_str();
        Self {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            name: &span.name,
            kind: span.kind,
            service: span.service(),
            start_time: rfc3339(span.start_ns),
            start_ns: span.start_ns.to_string(),
            end_ns: span.end_ns.to_string(),
            duration_ns: span.duration_ns().to_string(),
            status: span.status.code,
            status_message: (!message.is_empty()).then_some(message),
            attributes: Plain::Map(&span.attributes),
            resource: Plain::Map(&span.resource.attributes),
            scope: Scope {
                name: &span.scope.name,
                version: &span.scope.version,
                attributes: Plain::Map(&span.scope.attributes),
            },
            events: events.collect(),
            links: links.collect(),
            linked_from: linked_from.collect(),
            agent_id: identity.agent.as_deref(),
            workflow_id: identity.workflow.as_deref(),
            session_id: identity.session.as_deref(),
            user_id: identity.user.as_deref(),
            tenant_id: identity.tenant.as_deref(),
            thread_id: identity.thread.as_deref(),
            event_id: event_id(span),
            execution_id: execution_id(span),
            performance: whole.performance.as_ref(),
        }
    }
}

fn event_id(span: &Span) -> Option<&str> {
    let keys = [attribute::EVENT_ID, attribute::EVENT];
    keys.into_iter()
        .find_map(|key| match span.attributes.get(key) {
            Some(Value::String(id)) => Some(id.as_str()),
            _ => None,
        })
}

/// An execution has the id of the span that handed it over; a handler that nobody handed anything its own.
fn execution_id(span: &Span) -> Option<SpanId> {
    match span.name.as_str() {
        name::ON_EVENT | name::ON_ACTION => Some(span.parent_span_id.unwrap_or(span.span_id)),
        name::BRIDGE_FORWARD | name::BROKER_INVOKE => Some(span.span_id),
        _ => None,
    }
}

/// Attributes as a browser reads them: what JSON has no number for is text, bytes are base64.
pub(in super::super) enum Plain<'a> {
    Map(&'a Attributes),
    Value(&'a Value),
}

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = match self {
            Self::Map(attributes) => return map(attributes, serializer),
            Self::Value(value) => *value,
        };
        match value {
            Value::Empty => serializer.serialize_unit(),
            Value::String(text) => serializer.serialize_str(text),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Int(number) if number.unsigned_abs() > MAX_SAFE_INTEGER => {
                serializer.collect_str(number)
            }
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Double(number) if !number.is_finite() => serializer.collect_str(number),
            Value::Double(number) => serializer.serialize_f64(*number),
            Value::Bytes(bytes) => serializer.serialize_str(&BASE64.encode(bytes)),
            Value::Array(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&Plain::Value(value))?;
                }
                list.end()
            }
            Value::Map(attributes) => map(attributes, serializer),
        }
    }
}

/// Of equal keys the first one counts.
fn map<S: Serializer>(attributes: &Attributes, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (place, (key, value)) in attributes.0.iter().enumerate() {
        if attributes.0[..place].iter().all(|(other, _)| other != key) {
            map.serialize_entry(key, &Plain::Value(value))?;
        }
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_as_a_browser_reads_them() {
        let attributes: Attributes = [
            ("small", Value::Int(-5)),
            ("large", Value::Int(i64::MAX)),
            ("nan", Value::Double(f64::NAN)),
            ("bytes", Value::Bytes(vec![1, 2])),
            ("none", Value::Empty),
            ("small", Value::Bool(true)),
            (
                "deep",
                Value::Map(
                    [("$x", Value::Array(vec![Value::from("y")]))]
                        .into_iter()
                        .collect(),
                ),
            ),
        ]
        .into_iter()
        .collect();
        let expected = json!({
            "small": -5, "large": "9223372036854775807", "nan": "NaN", "bytes": "AQI=", "none": null,
            "deep": { "$x": ["y"] },
        });
        assert_eq!(json!(Plain::Map(&attributes)), expected);
    }
}
