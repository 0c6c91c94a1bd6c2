//! What becomes of an event that no agent of a group could handle: an event on `dlq.<stream>.<group>`, in the same trace.

use bytes::Bytes;
use loom_proto::v1;
use prost::Message;

use super::window::Attempt;
use crate::event::{Event, EventError};

/// First segment of the topics of dead letters.
pub const DEAD_LETTERS: &str = "dlq";

/// Headers of a dead letter, beside those that its event had.
pub mod header {
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
    /// How often it was tried.
    pub const ATTEMPTS: &str = "loom-dead-attempts";
    /// What the last attempt said.
    pub const ERROR: &str = "loom-dead-error";
}

/// An event that is given up, and why.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetter {
    pub(crate) last: Attempt,
    pub(crate) error: String,
}

impl DeadLetter {
    /// The event that tells of it: payload, type, thread and headers are those of the one that is dead.
    pub(crate) fn event(&self, stream: &str, group: &str) -> Result<Event, EventError> {
        let dead = &self.last.event;
        let mut message = v1::Event::decode(dead.wire().clone()).unwrap_or_default();
        let more = [
            (header::TOPIC, dead.topic().to_string()),
            (header::EVENT_ID, dead.id().to_string()),
            (header::STREAM, stream.to_owned()),
            (header::OFFSET, self.last.offset.to_string()),
            (header::GROUP, group.to_owned()),
            (header::ATTEMPTS, self.last.number.to_string()),
            (header::ERROR, self.error.clone()),
        ];
        message
            .metadata
            .extend(more.map(|(key, value)| (key.to_owned(), value)));
        message.id = Bytes::new();
        message.topic = topic(stream, group);
        let envelope = message.envelope.get_or_insert_default();
        // It makes no hop: nobody handled it.
        envelope.reply_to.clear();
        let mut event = Event::new(message)?;
        event.set_trace(dead.trace());
        Ok(event)
    }
}

/// Agent ids may have dots, segments of topics may not.
fn topic(stream: &str, group: &str) -> String {
    format!("{DEAD_LETTERS}.{stream}.{}", group.replace('.', "_"))
}
