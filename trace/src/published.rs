//! An event as the span tells of it with which the bus took it.

use loom_proto::semconv::{attribute, span};
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{Span, SpanId, TraceId, Value};
use crate::time_text::rfc3339;

/// What has become of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PublishStatus {
    /// The bus took it.
    Ok,
    /// It did not.
    Error,
}

/// One published event. What the span does not say is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PublishedEvent {
    /// Id of the event, a UUID as text.
    pub event_id: String,
    /// Its topic.
    pub topic: String,
    /// The agent that published it.
    pub sender: Option<String>,
    /// When the bus took it, RFC 3339, UTC.
    pub time: String,
    /// The same in ns since the Unix epoch, as text because a browser would round it.
    pub time_ns: String,
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// The span `EventBus.publish`.
    pub span_id: SpanId,
    /// Size of its payload in bytes.
    pub size: Option<i64>,
    /// How many subscriptions it was routed to.
    pub matched: Option<i64>,
    /// Its type, in the producer's words.
    pub event_type: Option<String>,
    /// Joins a reply to its request.
    pub correlation_id: Option<String>,
    /// The conversation it belongs to.
    pub thread_id: Option<String>,
    /// The workflow it belongs to.
    pub workflow_id: Option<String>,
    /// Whether the bus took it.
    pub status: PublishStatus,
}

impl PublishedEvent {
    /// Adds what only the span above it says, `bridge.publish`: who sent it, and how large it is.
    #[must_use]
    pub fn below(self, bridge: &Span) -> Self {
        Self {
            sender: text(
                bridge,
                [attribute::AGENT_ID, attribute::MESSAGING_CLIENT_ID],
            )
            .or(self.sender),
            size: number(bridge, attribute::MESSAGING_BODY_SIZE).or(self.size),
            ..self
        }
    }

    /// Reads a span; `None` of any that is no `EventBus.publish`, or does not name its event.
    pub fn of(span: &Span) -> Option<Self> {
        if span.name != span::BUS_PUBLISH {
            return None;
        }
        Some(Self {
            event_id: text(span, [attribute::EVENT_ID, attribute::MESSAGING_MESSAGE_ID])?,
            topic: text(span, [attribute::TOPIC, attribute::MESSAGING_DESTINATION])?,
            sender: text(span, [attribute::AGENT_ID, attribute::MESSAGING_CLIENT_ID]),
            time: rfc3339(span.start_ns),
            time_ns: span.start_ns.to_string(),
            trace_id: span.trace_id,
            span_id: span.span_id,
            size: number(span, attribute::MESSAGING_BODY_SIZE),
            matched: number(span, attribute::BUS_MATCHED),
            event_type: text(span, [attribute::EVENT_TYPE; 2]),
            correlation_id: text(span, [attribute::CORRELATION_ID; 2]),
            thread_id: span.identity.thread.clone(),
            workflow_id: span.identity.workflow.clone(),
            status: if span.is_error() {
                PublishStatus::Error
            } else {
                PublishStatus::Ok
            },
        })
    }
}

/// The first of these attributes that is a text, and not empty.
fn text(span: &Span, keys: [&str; 2]) -> Option<String> {
    keys.into_iter()
        .find_map(|key| match span.attributes.get(key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            _ => None,
        })
}

fn number(span: &Span, key: &str) -> Option<i64> {
    match span.attributes.get(key)? {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BASE, span, span_id, trace_id};

    #[test]
    fn what_the_span_says_and_no_more() {
        let mut publish = span(7, 1, span::BUS_PUBLISH, 0, 1);
        assert_eq!(PublishedEvent::of(&publish), None, "it names no event");
        publish.attributes = [
            (attribute::EVENT_ID, Value::from("e")),
            (attribute::MESSAGING_DESTINATION, Value::from("a.b")),
            (attribute::AGENT_ID, Value::from("")),
            (attribute::BUS_MATCHED, Value::Int(2)),
        ]
        .into_iter()
        .collect();
        publish.identity.workflow = Some("w".to_owned());
        let expected = PublishedEvent {
            event_id: "e".to_owned(),
            topic: "a.b".to_owned(),
            sender: None,
            time: rfc3339(BASE),
            time_ns: BASE.to_string(),
            trace_id: trace_id(1),
            span_id: span_id(7),
            size: None,
            matched: Some(2),
            event_type: None,
            correlation_id: None,
            thread_id: None,
            workflow_id: Some("w".to_owned()),
            status: PublishStatus::Ok,
        };
        assert_eq!(PublishedEvent::of(&publish), Some(expected));
        let mut bridge = span(1, 0, span::BRIDGE_PUBLISH, 0, 1);
        bridge.attributes = [
            (attribute::AGENT_ID, Value::from("sensor")),
            (attribute::MESSAGING_BODY_SIZE, Value::Int(5)),
        ]
        .into_iter()
        .collect();
        let whole = PublishedEvent::of(&publish)
            .expect("an event")
            .below(&bridge);
        assert_eq!(
            (whole.sender.as_deref(), whole.size),
            (Some("sensor"), Some(5))
        );
        publish.name = "mine".to_owned();
        assert_eq!(PublishedEvent::of(&publish), None, "another span");
    }
}
