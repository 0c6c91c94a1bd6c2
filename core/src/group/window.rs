//! The events of a stream that a group is about, each in one state, from the oldest that is not settled on.
//!
//! | state | leaves it by |
//! | --- | --- |
//! | ready | being taken by a member: in hand |
//! | behind | the event before it in its thread being settled: ready |
//! | in hand | its outcome, its member's leaving, or its time being up: settled, resting, ready or buried |
//! | resting | time: ready |
//! | buried | its dead letter being kept: settled |
//! | settled | all before it being settled: forgotten |
//!
//! Order: of the events with one `thread_id` only the oldest that is not settled is ever ready or in hand. Other threads, and
//! events without one, do not wait for it.
//!
//! Nothing here waits, reads or tells the time: callers say what happens, and when.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use loom_proto::trace_context::{SpanId, TraceContext};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::history::History;
use super::patience::Patience;
use super::slot::{Slot, State, slot};
use crate::event::Event;
use crate::journal::FailedAttempt;

mod in_hand;
mod tried;

/// What a member says of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Handled.
    Ack,
    /// To be tried again after this time, or after the group's own rest.
    Retry(Option<Duration>),
    /// Not to be tried again.
    Reject,
}

/// An attempt to have an event handled.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Place of the event in its stream.
    pub offset: u64,
    /// From 1.
    pub number: u32,
    /// What is to be handled.
    pub event: Arc<Event>,
    /// Context of the `bridge.forward` of the last attempt before this one; `None` where there is none.
    pub previous: Option<TraceContext>,
}

/// What came of a verdict, of a lost member, or of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It was not this attempt's to decide any more.
    Stale,
    /// The event is handled.
    Done,
    /// It will be tried again.
    Again,
    /// It will not; its dead letter is to be kept, and then [`Window::buried`] is to be called.
    Dead,
}

/// An attempt that has taken too long.
#[derive(Debug)]
pub(crate) struct Late {
    /// Who had it in hand.
    pub(crate) member: u64,
    pub(crate) offset: u64,
    pub(crate) attempt: u32,
    pub(crate) settled: Settled,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Window {
    patience: Patience,
    floor: u64,
    slots: VecDeque<Slot>,
    /// Slots with an event that is not settled.
    open: usize,
    ready: VecDeque<u64>,
    /// Threads with an event that is not settled, and the offsets that are behind it.
    threads: FxHashMap<u64, VecDeque<u64>>,
    /// When attempts in hand have taken too long. The time is the same for all, so this is in order.
    deadlines: VecDeque<Timer>,
    rests: BinaryHeap<Reverse<Timer>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    at: Instant,
    offset: u64,
    attempt: u32,
}

impl Window {
    /// A window whose first event is the one at `floor`.
    pub(crate) fn new(floor: u64, patience: Patience) -> Self {
        Self {
            patience,
            floor,
            slots: VecDeque::new(),
            open: 0,
            ready: VecDeque::new(),
            threads: FxHashMap::default(),
            deadlines: VecDeque::new(),
            rests: BinaryHeap::new(),
        }
    }

    /// How often and how long an event is tried.
    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// Offset of the oldest event that is not settled.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// Offset of the event that is to be pushed next.
    pub(crate) fn next(&self) -> u64 {
        self.floor + self.slots.len() as u64
    }

    /// Offsets that it remembers, and how many of them have events.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.slots.len(), self.open)
    }

    /// The event at an offset, while it is not settled.
    pub(crate) fn event(&self, offset: u64) -> Option<&Arc<Event>> {
        let index = usize::try_from(offset.checked_sub(self.floor)?).ok()?;
        self.slots.get(index)?.event.as_ref()
    }

    /// The events that are not settled.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.slots.iter().filter_map(|slot| slot.event.as_ref())
    }

    /// Events that could be taken now.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The next event of the stream. `thread` is the hash of its thread id, 0 without one.
    pub(crate) fn push(&mut self, event: Arc<Event>, thread: u64) {
        let offset = self.next();
        let mut state = State::Ready;
        if thread != 0 {
            match self.threads.entry(thread) {
                Entry::Occupied(mut older) => {
                    older.get_mut().push_back(offset);
                    state = State::Behind;
                }
                Entry::Vacant(none) => {
                    none.insert(VecDeque::new());
                }
            }
        }
        if state == State::Ready {
            self.ready.push_back(offset);
        }
        self.open += 1;
        self.slots.push_back(Slot {
            state,
            thread,
            attempts: 0,
            span: SpanId::default(),
            history: None,
            event: Some(event),
        });
    }

    /// The next event of the stream is the one at `offset`; those before are not there any more. Only while nothing is open.
    pub(crate) fn jump(&mut self, offset: u64) {
        if self.slots.is_empty() {
            self.floor = self.floor.max(offset);
        }
    }

    /// The next offset of the stream is nothing for this group.
    pub(crate) fn skip(&mut self) {
        self.slots.push_back(Slot {
            state: State::Settled,
            thread: 0,
            attempts: 0,
            span: SpanId::default(),
            history: None,
            event: None,
        });
        self.advance();
    }

    /// Gives up to `max` events into a member's hand.
    pub(crate) fn take(&mut self, member: u64, max: usize, now: Instant, into: &mut Vec<Attempt>) {
        for _ in 0..max {
            let Some(offset) = self.ready.pop_front() else {
                break;
            };
            let Some(slot) = slot(&mut self.slots, self.floor, offset) else {
                continue;
            };
            let Some(event) = &slot.event else { continue };
            slot.state = State::InHand { member };
            slot.attempts += 1;
            slot.span = SpanId::default();
            self.deadlines.push_back(Timer {
                at: now + self.patience.timeout,
                offset,
                attempt: slot.attempts,
            });
            into.push(Attempt {
                offset,
                number: slot.attempts,
                event: Arc::clone(event),
                previous: slot.last_context(),
            });
        }
        self.prune();
    }

    /// The delivery of an attempt is written, under this span.
    pub(crate) fn forwarded(&mut self, offset: u64, attempt: u32, span: SpanId) {
        let Some(slot) = slot(&mut self.slots, self.floor, offset) else {
            return;
        };
        if slot.attempts == attempt {
            slot.span = span;
        }
        if let Some(history) = &mut slot.history {
            history.set_span(attempt, span);
        }
    }

    /// Remembers why the last attempt of an event came to nothing.
    pub(crate) fn failed(&mut self, offset: u64, error: String, unix_nano: u64) {
        if let Some(slot) = slot(&mut self.slots, self.floor, offset) {
            let failed = FailedAttempt {
                number: slot.attempts,
                error,
                span: slot.span,
                unix_nano,
            };
            slot.history.get_or_insert_default().add(failed);
        }
    }

    /// The event that is to be buried, with what became of its attempts.
    pub(crate) fn dead(&mut self, offset: u64) -> Option<(Arc<Event>, History)> {
        let slot = slot(&mut self.slots, self.floor, offset)?;
        if slot.state != State::Buried {
            return None;
        }
        let history = slot.history.as_deref().cloned().unwrap_or_default();
        Some((slot.event.clone()?, history))
    }

    /// A member says what became of an attempt.
    pub(crate) fn settle(
        &mut self,
        member: u64,
        offset: u64,
        attempt: u32,
        verdict: Verdict,
        now: Instant,
    ) -> Settled {
        let Some(slot) = slot(&mut self.slots, self.floor, offset) else {
            return Settled::Stale;
        };
        if slot.state != (State::InHand { member }) || slot.attempts != attempt {
            return Settled::Stale;
        }
        match verdict {
            Verdict::Ack => {
                self.done(offset);
                Settled::Done
            }
            Verdict::Retry(rest) => {
                let rest = rest.unwrap_or_else(|| self.patience.rest(offset, attempt));
                self.again(offset, now + rest)
            }
            Verdict::Reject => self.bury(offset),
        }
    }

    /// A member is gone: what it had in hand is tried again at once.
    pub(crate) fn leave(&mut self, member: u64) -> Vec<(u64, Settled)> {
        let in_hand: Vec<u64> = (self.floor..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.state == State::InHand { member })
            .map(|(offset, _)| offset)
            .collect();
        // The oldest first in line again.
        in_hand
            .into_iter()
            .rev()
            .map(|offset| (offset, self.at_once(offset)))
            .collect()
    }

    /// The dead letter of an event is kept.
    pub(crate) fn buried(&mut self, offset: u64) {
        if slot(&mut self.slots, self.floor, offset).is_some_and(|slot| slot.state == State::Buried)
        {
            self.done(offset);
        }
    }

    /// Time has come to `now`: returns the attempts that have taken too long, and what became of them.
    pub(crate) fn pass(&mut self, now: Instant) -> Vec<Late> {
        while let Some(Reverse(timer)) = self.rests.peek().copied()
            && timer.at <= now
        {
            self.rests.pop();
            if let Some(slot) = slot(&mut self.slots, self.floor, timer.offset)
                && slot.state == State::Resting
                && slot.attempts == timer.attempt
            {
                slot.state = State::Ready;
                self.ready.push_back(timer.offset);
            }
        }
        let mut late = Vec::new();
        while let Some(timer) = self.deadlines.front().copied()
            && timer.at <= now
        {
            self.deadlines.pop_front();
            if let Some(member) = self.holder(&timer) {
                let rest = self.patience.rest(timer.offset, timer.attempt);
                late.push(Late {
                    member,
                    offset: timer.offset,
                    attempt: timer.attempt,
                    settled: self.again(timer.offset, now + rest),
                });
            }
        }
        late
    }

    /// When [`pass`](Self::pass) may have something to do next.
    pub(crate) fn due(&self) -> Option<Instant> {
        let rest = self.rests.peek().map(|Reverse(timer)| timer.at);
        let deadline = self.deadlines.front().map(|timer| timer.at);
        rest.into_iter().chain(deadline).min()
    }

    /// What is settled above the floor, as ranges of offsets.
    pub(crate) fn settled_ranges(&self) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (offset, slot) in (self.floor..).zip(&self.slots) {
            if slot.state != State::Settled {
                continue;
            }
            match ranges.last_mut() {
                Some(range) if range.end == offset => range.end += 1,
                _ => ranges.push(offset..offset + 1),
            }
        }
        ranges
    }

    /// Who has the attempt of a timer in hand.
    fn holder(&mut self, timer: &Timer) -> Option<u64> {
        let slot = slot(&mut self.slots, self.floor, timer.offset)?;
        match slot.state {
            State::InHand { member } if slot.attempts == timer.attempt => Some(member),
            _ => None,
        }
    }

    /// Forgets deadlines of attempts that are over. Only a first one that is still in hand keeps the others.
    fn prune(&mut self) {
        while let Some(timer) = self.deadlines.front().copied()
            && self.holder(&timer).is_none()
        {
            self.deadlines.pop_front();
        }
        let most = 2 * self.slots.len() + 64;
        if self.deadlines.len() > most {
            let mut deadlines = std::mem::take(&mut self.deadlines);
            deadlines.retain(|timer| self.holder(timer).is_some());
            self.deadlines = deadlines;
        }
    }

    fn again(&mut self, offset: u64, at: Instant) -> Settled {
        let max_attempts = self.patience.max_attempts;
        let Some(slot) = slot(&mut self.slots, self.floor, offset) else {
            return Settled::Stale;
        };
        if slot.attempts >= max_attempts {
            return self.bury(offset);
        }
        slot.state = State::Resting;
        self.rests.push(Reverse(Timer {
            at,
            offset,
            attempt: slot.attempts,
        }));
        Settled::Again
    }

    fn at_once(&mut self, offset: u64) -> Settled {
        let max_attempts = self.patience.max_attempts;
        let Some(slot) = slot(&mut self.slots, self.floor, offset) else {
            return Settled::Stale;
        };
        if slot.attempts >= max_attempts {
            return self.bury(offset);
        }
        slot.state = State::Ready;
        self.ready.push_front(offset);
        Settled::Again
    }

    fn bury(&mut self, offset: u64) -> Settled {
        let Some(slot) = slot(&mut self.slots, self.floor, offset) else {
            return Settled::Stale;
        };
        slot.state = State::Buried;
        Settled::Dead
    }

    fn done(&mut self, offset: u64) {
        let Some(done) = slot(&mut self.slots, self.floor, offset) else {
            return;
        };
        done.state = State::Settled;
        done.event = None;
        done.history = None;
        let thread = done.thread;
        self.open -= 1;
        if thread != 0 {
            let next = self.threads.get_mut(&thread).and_then(VecDeque::pop_front);
            match next {
                Some(next) => {
                    if let Some(slot) = slot(&mut self.slots, self.floor, next) {
                        slot.state = State::Ready;
                        self.ready.push_back(next);
                    }
                }
                None => {
                    self.threads.remove(&thread);
                }
            }
        }
        self.advance();
    }

    fn advance(&mut self) {
        while self
            .slots
            .front()
            .is_some_and(|slot| slot.state == State::Settled)
        {
            self.slots.pop_front();
            self.floor += 1;
        }
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
