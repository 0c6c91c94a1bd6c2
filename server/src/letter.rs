//! A dead letter as JSON, the same for the command line and the API.

use loom_core::group::dead_letter::{TriedAttempt, header};
use loom_proto::trace_context::TraceContext;
use loom_proto::{EventId, v1};
use serde_json::{Value, json};

use crate::shown::{payload, time};

/// All that is known of one letter but its payload.
pub(crate) fn as_json(letter: &v1::DeadLetter) -> Value {
    let story = Story::of(letter);
    let envelope = story.event.envelope.clone().unwrap_or_default();
    json!({
        "letter_id": id(&story.event.id),
        "time": time(letter.time_unix_nano),
        "topic": story.header(header::TOPIC),
        "event_id": story.header(header::EVENT_ID),
        "type": story.event.r#type,
        "stream": story.header(header::STREAM),
        "offset": story.header(header::OFFSET).parse::<u64>().ok(),
        "group": story.header(header::GROUP),
        "thread_id": envelope.thread_id,
        "sender": envelope.sender,
        "trace_id": story.trace.map(|trace| trace.trace_id.to_string()),
        "error": story.header(header::ERROR),
        "attempts": story.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "metadata": story.headers().collect::<std::collections::BTreeMap<_, _>>(),
        "content_type": story.event.content_type,
        "payload_size": letter.payload_size,
    })
}

/// The same with the payload.
pub(crate) fn whole_json(letter: &v1::DeadLetter) -> Value {
    let mut whole = as_json(letter);
    let (key, value) = payload(&Story::of(letter).event.payload);
    whole[key] = value;
    whole
}

pub(crate) fn id(bytes: &[u8]) -> String {
    EventId::from_slice(bytes).map_or_else(|_| "-".to_owned(), |id| id.to_string())
}

/// A letter, read once.
pub(crate) struct Story {
    pub(crate) event: v1::Event,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) attempts: Vec<TriedAttempt>,
}

impl Story {
    pub(crate) fn of(letter: &v1::DeadLetter) -> Self {
        let event = letter.event.clone().unwrap_or_default();
        let attempts = event.metadata.get(header::ATTEMPTS);
        let attempts = attempts.and_then(|text| serde_json::from_str(text).ok());
        Self {
            trace: TraceContext::parse(letter.traceparent.as_bytes()).ok(),
            attempts: attempts.unwrap_or_default(),
            event,
        }
    }

    pub(crate) fn header(&self, key: &str) -> &str {
        self.event.metadata.get(key).map_or("", String::as_str)
    }

    /// Those that the event itself had.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.event.metadata.iter();
        headers
            .filter(|(key, _)| !key.starts_with(header::PREFIX))
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn attempt(attempt: &TriedAttempt) -> Value {
    let span = (!attempt.span_id.is_empty()).then_some(&attempt.span_id);
    json!({
        "number": attempt.number,
        "ended_at": time(nanos(attempt)),
        "span_id": span,
        "error": attempt.error,
    })
}

pub(crate) fn nanos(attempt: &TriedAttempt) -> u64 {
    attempt.time_unix_ms.saturating_mul(1_000_000)
}
