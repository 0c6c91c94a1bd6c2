//! One span with everything that it says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use loom_proto::semconv::{attribute, span as name};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::model::{Attributes, Span, StatusCode, Value};
use crate::query::WholeSpan;
use crate::time_text::rfc3339;

/// 2⁵³ - 1: what a browser can read as a number without rounding it.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The body of the answer.
pub(super) fn body(whole: &WholeSpan) -> Json {
    let WholeSpan {
        span,
        linked_from,
        performance,
    } = whole;
    let events = span.events.iter().map(|event| {
        json!({
            "name": event.name,
            "time_ns": event.time_ns.to_string(),
            "attributes": Plain::Map(&event.attributes),
        })
    });
    let links = span.links.iter().map(|link| {
        json!({
            "trace_id": link.trace_id,
            "span_id": link.span_id,
            "attributes": Plain::Map(&link.attributes),
        })
    });
    let linked_from = linked_from.iter().map(
        |link| json!({ "trace_id": link.trace_id, "span_id": link.span_id, "name": link.name }),
    );
    let status = match span.status.code {
        StatusCode::Unset => "unset",
        StatusCode::Ok => "ok",
        StatusCode::Error => "error",
    };
    let message = &span.status.message;
    json!({
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "name": span.name,
        "kind": span.kind.name().unwrap_or("unspecified"),
        "service": span.service(),
        "start_time": rfc3339(span.start_ns),
        "start_ns": span.start_ns.to_string(),
        "end_ns": span.end_ns.to_string(),
        "duration_ns": span.duration_ns().to_string(),
        "status": status,
        "status_message": (!message.is_empty()).then_some(message),
        "attributes": Plain::Map(&span.attributes),
        "resource": Plain::Map(&span.resource.attributes),
        "scope": {
            "name": span.scope.name,
            "version": span.scope.version,
            "attributes": Plain::Map(&span.scope.attributes),
        },
        "events": events.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
        "linked_from": linked_from.collect::<Vec<_>>(),
        "agent_id": span.identity.agent,
        "workflow_id": span.identity.workflow,
        "session_id": span.identity.session,
        "user_id": span.identity.user,
        "tenant_id": span.identity.tenant,
        "thread_id": span.identity.thread,
        "event_id": event_id(span),
        "execution_id": execution_id(span),
        "performance": performance,
    })
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
fn execution_id(span: &Span) -> Option<crate::model::SpanId> {
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
