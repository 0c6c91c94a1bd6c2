//! One agent's share in a group: what it takes, and what it says of it.

use std::sync::Arc;

use loom_proto::trace_context::SpanId;
use tokio::time::Instant;

use super::Group;
use super::window::{Attempt, Settled, Verdict};

/// One agent's share in a group. Dropping it gives back what it has in hand.
#[derive(Debug)]
pub struct GroupMember {
    pub(super) group: Arc<Group>,
    pub(super) id: u64,
}

/// The delivery of an attempt was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Place of the event in its stream.
    pub offset: u64,
    /// From 1.
    pub attempt: u32,
    /// Its `bridge.forward`.
    pub span: SpanId,
}

impl GroupMember {
    pub(super) fn new(group: &Arc<Group>, id: u64) -> Self {
        Self {
            group: Arc::clone(group),
            id,
        }
    }

    /// Takes up to `max` events, or as many as may be in its hand; its bell rings when there may be more.
    pub fn take(&self, max: usize, into: &mut Vec<Attempt>) -> usize {
        let before = into.len();
        let (taken, wants_feeder) = {
            let mut state = self.group.state.lock();
            let state = &mut *state;
            let Some(member) = state.members.get_mut(&self.id) else {
                return 0;
            };
            let room = max.min(member.max_in_flight - member.in_hand);
            state.window.take(self.id, room, Instant::now(), into);
            let taken = into.len() - before;
            member.in_hand += taken;
            member.is_hungry = taken < max;
            (taken, taken > 0 && state.change())
        };
        if wants_feeder {
            self.group.work.notify_one();
        }
        taken
    }

    /// Says under which `bridge.forward` the deliveries of attempts were written. The next attempt links to it.
    pub fn forwarded(&self, deliveries: impl IntoIterator<Item = Forwarded>) {
        let wants_feeder = {
            let mut state = self.group.state.lock();
            for Forwarded {
                offset,
                attempt,
                span,
            } in deliveries
            {
                state.window.forwarded(offset, attempt, span);
            }
            state.change()
        };
        if wants_feeder {
            self.group.work.notify_one();
        }
    }

    /// Says what became of an attempt, and why if it failed. An attempt that is over already is counted and changes nothing.
    pub fn settle(
        &self,
        offset: u64,
        attempt: u32,
        verdict: Verdict,
        error: impl FnOnce() -> String,
    ) {
        let wants_feeder = {
            let mut state = self.group.state.lock();
            let state = &mut *state;
            let now = Instant::now();
            let account = state.window.event(offset).map(|event| event.account());
            let settled = state.window.settle(self.id, offset, attempt, verdict, now);
            let was_in_hand = !matches!(settled, Settled::Stale);
            let is_over = matches!(settled, Settled::Done);
            let is_to_save = state.change();
            if is_over {
                self.group.ledger.delivered(account);
            }
            state.book(offset, settled, error);
            if was_in_hand && let Some(member) = state.members.get_mut(&self.id) {
                member.in_hand -= 1;
            }
            state.wake_members();
            let wants_room = std::mem::take(&mut state.wants_room);
            !is_over || is_to_save || wants_room
        };
        if wants_feeder {
            self.group.work.notify_one();
        }
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        {
            let mut state = self.group.state.lock();
            state.members.remove(&self.id);
            for (offset, settled) in state.window.leave(self.id) {
                state.book(offset, settled, || "the agent was lost".to_owned());
            }
            state.wake_members();
        }
        self.group.work.notify_one();
    }
}
