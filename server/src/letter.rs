//! A dead letter as JSON, the same for the command line and the API.

use std::collections::BTreeMap;

use loom_core::group::dead_letter::{TriedAttempt, header};
use loom_proto::trace_context::TraceContext;
use loom_proto::{EventId, v1};
use loom_trace::model::{SpanId, TraceId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::shown::{PayloadOf, time};

/// All that is known of one letter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub(crate) struct Shown {
    /// Its own id.
    letter_id: String,
    /// When it was written, RFC 3339, UTC.
    time: String,
    /// The topic that the event had.
    topic: String,
    /// The event's id.
    event_id: String,
    /// The event's type, in the producer's words.
    r#type: String,
    /// The stream that has the event.
    stream: String,
    /// Its place there.
    offset: Option<u64>,
    /// The group that could not handle it.
    group: String,
    /// The conversation that it belongs to.
    thread_id: String,
    /// Who published it.
    sender: String,
    /// The trace that it belongs to.
    #[schema(value_type = Option<TraceId>)]
    trace_id: Option<String>,
    /// Why the last attempt has failed.
    error: String,
    /// All attempts, the first one first.
    attempts: Vec<Attempt>,
    /// The event's own metadata.
    metadata: BTreeMap<String, String>,
    /// Of the payload.
    content_type: String,
    /// Bytes of the payload.
    payload_size: u32,
    /// Where one letter is asked for.
    #[serde(flatten)]
    payload: PayloadOf,
}

/// An attempt to handle an event.
#[derive(Debug, Serialize, ToSchema)]
struct Attempt {
    /// From 1.
    number: u32,
    /// RFC 3339, UTC.
    ended_at: String,
    /// The span `bridge.forward`; null where nothing was recorded.
    #[schema(value_type = Option<SpanId>)]
    span_id: Option<String>,
    /// Why it has failed.
    error: String,
}

impl Shown {
    /// All but its payload.
    pub(crate) fn of(letter: &v1::DeadLetter) -> Self {
        Self::told(letter, &Story::of(letter))
    }

    /// The same with the payload.
    pub(crate) fn whole(letter: &v1::DeadLetter) -> Self {
        let story = Story::of(letter);
        Self {
            payload: PayloadOf::of(&story.event.payload),
            ..Self::told(letter, &story)
        }
    }

    fn told(letter: &v1::DeadLetter, story: &Story) -> Self {
        let envelope = story.event.envelope.clone().unwrap_or_default();
        let header = |key| story.header(key).to_owned();
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Self {
            letter_id: id(&story.event.id),
            time: time(letter.time_unix_nano),
            topic: header(header::TOPIC),
            event_id: header(header::EVENT_ID),
            r#type: story.event.r#type.clone(),
            stream: header(header::STREAM),
            offset: story.header(header::OFFSET).parse().ok(),
            group: header(header::GROUP),
            thread_id: envelope.thread_id,
            sender: envelope.sender,
            trace_id: story.trace.map(|trace| trace.trace_id.to_string()),
            error: header(header::ERROR),
            attempts: story.attempts.iter().map(Attempt::of).collect(),
            metadata: story.headers().map(own).collect(),
            content_type: story.event.content_type.clone(),
            payload_size: letter.payload_size,
            payload: PayloadOf::default(),
        }
    }
}

impl Attempt {
    fn of(attempt: &TriedAttempt) -> Self {
        Self {
            number: attempt.number,
            ended_at: time(nanos(attempt)),
            span_id: (!attempt.span_id.is_empty()).then(|| attempt.span_id.clone()),
            error: attempt.error.clone(),
        }
    }
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

pub(crate) fn nanos(attempt: &TriedAttempt) -> u64 {
    attempt.time_unix_ms.saturating_mul(1_000_000)
}
