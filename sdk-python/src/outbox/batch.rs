//! Encoded events that travel together.

use bytes::Bytes;
use loom_proto::wire::Fields;

/// Events that were numbered and encoded together.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) bytes: Bytes,
    pub(super) events: u64,
}

impl Batch {
    /// Cuts after `events`.
    pub(super) fn split(self, events: u64) -> (Self, Self) {
        let rest = self.clone().without_first(events);
        let first = Self {
            bytes: self.bytes.slice(..self.bytes.len() - rest.bytes.len()),
            events,
        };
        (first, rest)
    }

    pub(super) fn without_first(mut self, events: u64) -> Self {
        let mut fields = Fields::of(&self.bytes);
        for _ in 0..events {
            // The batch holds as many fields as it says: the outbox wrote it.
            if fields.next().is_none() {
                break;
            }
        }
        let rest = fields.rest().len();
        self.bytes = self.bytes.slice(self.bytes.len() - rest..);
        self.events -= events;
        self
    }
}
