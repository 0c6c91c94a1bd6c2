//! What a client says beside events: credit, heartbeats, calls and their answers.

use std::collections::VecDeque;

use bytes::Bytes;
use loom_proto::frame::BATCH_BYTES;
use loom_proto::v1;
use loom_proto::wire::{self, number};

/// Bytes of calls and replies that may wait for the connection.
const BYTE_LIMIT: usize = 16 * 1024 * 1024;

/// Said in this order: calls, replies and cancellations as they came, then credit and heartbeat.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// Encoded fields, each buffer at most a frame's size or one message long.
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    credit: u32,
    heartbeat: bool,
}

impl Control {
    /// Takes a message unless too much waits already; false when it was not taken.
    #[must_use]
    pub(crate) fn put(&mut self, field: u32, message: &impl prost::Message) -> bool {
        let length = message.encoded_len();
        if self.bytes + length > BYTE_LIMIT {
            return false;
        }
        match self.messages.back_mut() {
            Some(last) if last.len() + length <= BATCH_BYTES => {
                wire::put_message_field(last, field, message);
            }
            _ => {
                let mut buffer = Vec::with_capacity(length + 8);
                wire::put_message_field(&mut buffer, field, message);
                self.messages.push_back(buffer);
            }
        }
        self.bytes += length;
        true
    }

    /// Takes a cancellation, whatever waits: it is small, and there is at most one for each call.
    pub(crate) fn cancel(&mut self, call_id: u64) {
        let mut buffer = Vec::new();
        let cancel = v1::ActionCancel {
            call_id,
            timed_out: false,
        };
        wire::put_message_field(&mut buffer, number::CANCEL, &cancel);
        self.messages.push_back(buffer);
    }

    /// Grants deliveries.
    pub(crate) fn credit(&mut self, more: u32) {
        self.credit = self.credit.saturating_add(more);
    }

    /// Says "I live".
    pub(crate) fn heartbeat(&mut self) {
        self.heartbeat = true;
    }

    /// The next frame, if there is something to say.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        if let Some(buffer) = self.messages.pop_front() {
            self.bytes = self.bytes.saturating_sub(buffer.len());
            if self.messages.is_empty() {
                self.bytes = 0;
            }
            return Some(buffer.into());
        }
        if self.credit == 0 && !self.heartbeat {
            return None;
        }
        let mut buffer = Vec::with_capacity(8);
        let credit = std::mem::take(&mut self.credit);
        wire::put_varint_field(&mut buffer, number::CREDIT, u64::from(credit));
        let heartbeat = std::mem::take(&mut self.heartbeat);
        wire::put_varint_field(&mut buffer, number::HEARTBEAT, u64::from(heartbeat));
        Some(buffer.into())
    }
}
