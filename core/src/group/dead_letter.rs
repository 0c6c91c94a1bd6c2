//! What becomes of an event that no agent of a group could handle: an event on `dlq.<stream>.<group>`, in the same trace.

use std::sync::Arc;

use bytes::Bytes;
use loom_proto::trace_context::TraceContext;
use loom_proto::{EventId, v1};
use prost::Message;
use serde::{Deserialize, Serialize};

use super::history::History;
use crate::event::{Event, EventError};
use crate::journal::FailedAttempt;

/// First segment of the topics of dead letters.
pub const DEAD_LETTERS: &str = "dlq";

/// Headers of a dead letter, beside those that its event had.
pub mod header {
    /// What all of them begin with.
    pub const PREFIX: &str = "loom-dead-";
    /// Topic of the event.
    pub const TOPIC: &str = "loom-dead-topic";
    /// Its id.
    pub const EVENT_ID: &str = "loom-dead-event-id";
    /// Its stream.
    pub const STREAM: &str = "loom-dead-stream";
    /// Its place there.
    pub const OFFSET: &str = "loom-dead-offset";
    /// The group that could not handle it.
    pub const GROUP: &str = "loom-dead-group";
    /// Its attempts: a JSON list of [`TriedAttempt`](super::TriedAttempt).
    pub const ATTEMPTS: &str = "loom-dead-attempts";
    /// What the last attempt said.
    pub const ERROR: &str = "loom-dead-error";
}

/// An attempt as the header [`ATTEMPTS`](header::ATTEMPTS) tells of it, oldest first. After many attempts the first and the youngest
/// are there; the number of the last one is how often the event was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedAttempt {
    /// From 1.
    pub number: u32,
    /// Why it came to nothing.
    pub error: String,
    /// Its `bridge.forward`, as hex; empty where none was recorded.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub span_id: String,
    /// When it was over, in milliseconds since the Unix epoch.
    pub time_unix_ms: u64,
}

/// An event that is given up, and why.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetter {
    pub(crate) offset: u64,
    pub(crate) event: Arc<Event>,
    pub(crate) history: History,
}

impl DeadLetter {
    /// How often it was tried.
    pub(crate) fn attempts(&self) -> u32 {
        self.last().map_or(0, |last| last.number)
    }

    /// What the last attempt said.
    pub(crate) fn error(&self) -> &str {
        self.last().map_or("", |last| &last.error)
    }

    fn last(&self) -> Option<&FailedAttempt> {
        self.history.attempts().last()
    }

    /// The event that tells of it: payload, type, thread and headers are those of the one that is dead.
    pub(crate) fn event(&self, stream: &str, group: &str) -> Result<Event, EventError> {
        let dead = &self.event;
        let mut message = v1::Event::decode(dead.wire().clone()).unwrap_or_default();
        let attempts: Vec<_> = self.history.attempts().iter().map(tried).collect();
        let more = [
            (header::TOPIC, dead.topic().to_string()),
            (header::EVENT_ID, dead.id().to_string()),
            (header::STREAM, stream.to_owned()),
            (header::OFFSET, self.offset.to_string()),
            (header::GROUP, group.to_owned()),
            (
                header::ATTEMPTS,
                serde_json::to_string(&attempts).unwrap_or_default(),
            ),
            (header::ERROR, self.error().to_owned()),
        ];
        message
            .metadata
            .extend(more.map(|(key, value)| (key.to_owned(), value)));
        message.id = Bytes::copy_from_slice(&id(dead.id(), stream, group, self.offset).0);
        message.topic = topic(stream, group);
        let envelope = message.envelope.get_or_insert_default();
        // It makes no hop: nobody handled it.
        envelope.reply_to.clear();
        let mut event = Event::new(message)?;
        event.set_trace(self.trace());
        Ok(event)
    }

    /// It comes of the last attempt that was made; of the event itself where no attempt was recorded.
    fn trace(&self) -> Option<TraceContext> {
        let published = self.event.trace()?;
        let span_id = self.history.last_span().unwrap_or(published.span_id);
        Some(TraceContext {
            span_id,
            ..published
        })
    }
}

fn tried(attempt: &FailedAttempt) -> TriedAttempt {
    TriedAttempt {
        number: attempt.number,
        error: attempt.error.clone(),
        span_id: if attempt.span.is_valid() {
            attempt.span.to_string()
        } else {
            String::new()
        },
        time_unix_ms: attempt.unix_nano / 1_000_000,
    }
}

/// Of the letter that tells of this event. The same each time: a server that is killed between keeping the letter and saving the
/// group writes it once more, and the stream of dead letters knows it again.
pub(crate) fn id(dead: EventId, stream: &str, group: &str, offset: u64) -> EventId {
    dead.derived(&format!("{DEAD_LETTERS} {stream} {group} {offset}"))
}

/// Agent ids may have dots, segments of topics may not.
pub(crate) fn topic(stream: &str, group: &str) -> String {
    format!("{DEAD_LETTERS}.{stream}.{}", group.replace('.', "_"))
}
