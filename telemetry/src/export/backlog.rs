//! Requests that wait for the collector, and those under way. Bounded by bytes and by age.
//!
//! The batches stay here while they are sent: closing the backlog can then settle every one of them at once,
//! whatever has become of the runtime that was sending.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task;

use super::outcome::Accepted;
use crate::sink::{DropReason, SpanBatch};

pub(super) struct Backlog {
    state: Mutex<State>,
    /// Something came in, somebody is in a hurry, or this is the end.
    pub(super) changed: Notify,
    max_bytes: usize,
    max_age: Duration,
}

#[derive(Default)]
struct State {
    /// In the order in which they came.
    waiting: BTreeMap<u64, Pending>,
    /// By the task that sends them.
    under_way: HashMap<task::Id, (u64, Pending)>,
    next: u64,
    bytes: usize,
    lost: u64,
    is_hurried: bool,
    closed: Option<DropReason>,
}

struct Pending {
    batch: SpanBatch,
    since: Instant,
}

impl Backlog {
    pub(super) fn new(max_bytes: usize, max_age: Duration) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            max_bytes,
            max_age,
        }
    }

    /// Takes a batch, or drops it when it does not fit. An empty backlog takes one batch of any size: a bound that is
    /// smaller than one request would otherwise let nothing through.
    pub(super) fn push(&self, batch: SpanBatch) {
        let mut state = self.state.lock();
        let bytes = state.bytes + batch.request().len();
        if let Some(reason) = state.closed {
            state.lose(batch, reason);
        } else if bytes > self.max_bytes && state.bytes > 0 {
            state.lose(batch, DropReason::BacklogFull);
        } else {
            state.bytes = bytes;
            let number = state.next;
            state.next += 1;
            let since = Instant::now();
            state.waiting.insert(number, Pending { batch, since });
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Starts sending the oldest batch with `spawn`; false when none waits.
    pub(super) fn launch(&self, spawn: impl FnOnce(Bytes) -> task::Id) -> bool {
        let mut state = self.state.lock();
        let Some((number, pending)) = state.waiting.pop_first() else {
            return false;
        };
        let task = spawn(pending.batch.request().clone());
        state.under_way.insert(task, (number, pending));
        true
    }

    /// The collector has the batch that this task sent.
    pub(super) fn accepted(&self, task: task::Id, answer: &Accepted) {
        let mut state = self.state.lock();
        if let Some((_, pending)) = state.under_way.remove(&task) {
            state.bytes -= pending.batch.request().len();
            state.lost += answer.rejected;
            pending.batch.rejected(answer.rejected);
        }
    }

    /// The batch that this task sent takes its old place again.
    pub(super) fn retry(&self, task: task::Id) {
        let mut state = self.state.lock();
        if let Some((number, pending)) = state.under_way.remove(&task) {
            state.waiting.insert(number, pending);
        }
    }

    /// The batch that this task sent is lost.
    pub(super) fn fail(&self, task: task::Id) {
        let mut state = self.state.lock();
        if let Some((_, pending)) = state.under_way.remove(&task) {
            state.bytes -= pending.batch.request().len();
            state.lose(pending.batch, DropReason::ExportFailed);
        }
    }

    /// Drops what has waited too long; tells when the next one will have.
    pub(super) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state.lock();
        while let Some(oldest) = state.waiting.first_entry() {
            let end = oldest.get().since + self.max_age;
            if end > now {
                return Some(end);
            }
            let pending = oldest.remove();
            state.bytes -= pending.batch.request().len();
            state.lose(pending.batch, DropReason::Expired);
        }
        None
    }

    pub(super) fn hurry(&self) {
        self.state.lock().is_hurried = true;
        self.changed.notify_one();
    }

    /// Whether somebody was in a hurry since the last call.
    pub(super) fn take_hurry(&self) -> bool {
        std::mem::take(&mut self.state.lock().is_hurried)
    }

    /// Spans lost since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.state.lock().lost)
    }

    /// Drops all batches, those under way too: nobody will hear what becomes of them.
    pub(super) fn close(&self, reason: DropReason) {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return;
        }
        state.closed = Some(reason);
        state.bytes = 0;
        let waiting = std::mem::take(&mut state.waiting).into_values();
        let under_way = std::mem::take(&mut state.under_way).into_values();
        for pending in waiting.chain(under_way.map(|(_, pending)| pending)) {
            state.lose(pending.batch, reason);
        }
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed.is_some()
    }
}

impl State {
    fn lose(&mut self, batch: SpanBatch, reason: DropReason) {
        self.lost += batch.spans() as u64;
        batch.dropped(reason);
    }
}
