//! What became of acknowledged deliveries, on its way to the server.
//!
//! **An outcome goes out when every event that the agent had published before it is settled.** An input counts as handled
//! from then on, so what its handler emitted must be safe by then, whoever crashes. An outcome belongs to the stream that
//! brought its delivery: when that is lost the outcome is dropped and counted, and the server delivers again.
//!
//! Bound: the server lets an agent have so many deliveries in hand without an outcome, `max_in_flight` of each subscription.
//! So many outcomes wait here for free. A further one, as there may be when attempts took too long, keeps the credit of its
//! delivery until it has left. There are never more outcomes here than both together. That outcomes wait for free matters to
//! an agent that emits to itself: the events that they wait for may need just this credit to be settled.

use std::collections::VecDeque;

use bytes::Bytes;
use loom_proto::frame::BATCH_BYTES;
use loom_proto::v1::{self, Verdict};
use loom_proto::wire::{self, number};

/// The counters of the outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutcomeStats {
    /// Sent: handled.
    pub(crate) acked: u64,
    /// Sent: to be tried again.
    pub(crate) retried: u64,
    /// Sent: not to be tried again.
    pub(crate) rejected: u64,
    /// Their stream was lost before they were sent.
    pub(crate) dropped: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Encoded fields of a frame, oldest first.
    encoded: Vec<u8>,
    /// What `encoded` consists of.
    waiting: VecDeque<Waiting>,
    /// Outcomes with credit that were sent or dropped since the last [`Outcomes::take_left`].
    left: u32,
    stats: OutcomeStats,
}

#[derive(Debug)]
struct Waiting {
    /// Number of the event that must be settled before; never less than that of the outcome in front of it.
    after: u64,
    length: usize,
    verdict: Verdict,
    /// It keeps the credit of its delivery.
    has_credit: bool,
}

impl Outcomes {
    /// Takes an outcome that may go out when event `after` is settled, beside `free` others that keep no credit. True: it
    /// keeps none either.
    pub(super) fn put(&mut self, after: u64, outcome: &v1::Outcome, free: usize) -> bool {
        let has_credit = self.waiting.len() >= free;
        let before = self.encoded.len();
        wire::put_message_field(&mut self.encoded, number::OUTCOME, outcome);
        self.waiting.push_back(Waiting {
            after,
            length: self.encoded.len() - before,
            verdict: outcome.verdict(),
            has_credit,
        });
        !has_credit
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether one may go out.
    pub(super) fn has_ready(&self, settled: u64) -> bool {
        self.waiting.front().is_some_and(|w| w.after <= settled)
    }

    /// Whether one waits for events.
    pub(super) fn has_unready(&self, settled: u64) -> bool {
        self.waiting.back().is_some_and(|w| w.after > settled)
    }

    /// The next frame: a batch of events, if there is one, and behind it the outcomes that may go out.
    pub(super) fn frame(&mut self, batch: Option<Bytes>, settled: u64) -> Option<Bytes> {
        let outcomes = self.take(settled);
        match batch {
            Some(batch) if outcomes.is_empty() => Some(batch),
            Some(batch) => Some([&batch[..], &outcomes].concat().into()),
            None if outcomes.is_empty() => None,
            None => Some(outcomes.into()),
        }
    }

    /// Forgets all of them: their stream is gone.
    pub(super) fn drop_all(&mut self) {
        self.stats.dropped += self.waiting.len() as u64;
        let with_credit = self.waiting.drain(..).filter(|waiting| waiting.has_credit);
        self.left += with_credit.count() as u32;
        self.encoded.clear();
    }

    /// Counts one whose stream was gone before it came.
    pub(super) fn count_late(&mut self) {
        self.stats.dropped += 1;
    }

    /// How many with credit have left the queue since the last look.
    pub(super) fn take_left(&mut self) -> u32 {
        std::mem::take(&mut self.left)
    }

    pub(super) fn stats(&self) -> OutcomeStats {
        self.stats
    }

    /// Takes out what may go out, as much as a frame holds.
    fn take(&mut self, settled: u64) -> Vec<u8> {
        let mut length = 0;
        while let Some(next) = self.waiting.front()
            && next.after <= settled
            && (length == 0 || length + next.length <= BATCH_BYTES)
        {
            length += next.length;
            match next.verdict {
                Verdict::Ack => self.stats.acked += 1,
                Verdict::Retry => self.stats.retried += 1,
                Verdict::Reject | Verdict::Unspecified => self.stats.rejected += 1,
            }
            self.left += u32::from(next.has_credit);
            self.waiting.pop_front();
        }
        if length == 0 {
            return Vec::new();
        }
        let rest = self.encoded.split_off(length);
        std::mem::replace(&mut self.encoded, rest)
    }
}
