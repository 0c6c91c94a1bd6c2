//! The attempts of a window, as they are saved and come back.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::history::{History, REMEMBERED};
use super::{Settled, State, Timer, Window};
use crate::event::Event;
use crate::journal::{FailedAttempt, Stage, Tried};

impl Window {
    /// The events that were tried and are not settled, in order. Of what their attempts have said at most `room` bytes are
    /// told: what the last attempt of each event said comes first, then what the last but one said, and so on.
    pub(crate) fn tried(&self, now: Instant, now_unix_nano: u64, room: usize) -> Vec<Tried> {
        let slots = (self.floor..).zip(&self.slots);
        let tried = slots.filter(|(_, slot)| slot.attempts > 0 && slot.state != State::Settled);
        let (mut tried, histories): (Vec<_>, Vec<_>) = tried
            .map(|(offset, slot)| {
                let history = slot.history.as_deref().map_or(&[][..], History::attempts);
                let stage = match slot.state {
                    State::InHand { .. } => Stage::InHand,
                    State::Buried => Stage::GivenUp,
                    _ => Stage::Again { not_before: 0 },
                };
                let tried = Tried {
                    offset,
                    attempts: slot.attempts,
                    span: slot.span,
                    stage,
                    failed: history.iter().map(without_error).collect(),
                };
                (tried, history)
            })
            .unzip();
        tell_errors(&mut tried, &histories, room);
        for Reverse(timer) in &self.rests {
            let at = tried.binary_search_by_key(&timer.offset, |tried| tried.offset);
            if let Some(tried) = at.ok().and_then(|at| tried.get_mut(at)) {
                let rest = timer.at.saturating_duration_since(now);
                tried.stage = Stage::Again {
                    not_before: now_unix_nano.saturating_add(nanos(rest)),
                };
            }
        }
        tried
    }

    /// The next event of the stream, which was tried before this window was there: its attempts count. `Dead` where it has had
    /// enough of them or was given up already, else `Again`.
    pub(crate) fn push_tried(
        &mut self,
        event: Arc<Event>,
        thread: u64,
        tried: Tried,
        now: Instant,
        now_unix_nano: u64,
    ) -> Settled {
        let offset = self.next();
        self.push(event, thread);
        let Some(slot) = self.slots.back_mut() else {
            return Settled::Stale;
        };
        slot.attempts = tried.attempts;
        slot.span = tried.span;
        if !tried.failed.is_empty() {
            slot.history = Some(Box::new(History::from(tried.failed)));
        }
        // Only the oldest of a thread was ever tried. If one stands behind another all the same, it waits for its turn.
        if slot.state != State::Ready {
            return Settled::Again;
        }
        if slot.attempts >= self.patience.max_attempts || tried.stage == Stage::GivenUp {
            self.ready.pop_back();
            return self.bury(offset);
        }
        if let Stage::Again { not_before } = tried.stage
            && not_before > now_unix_nano
        {
            self.ready.pop_back();
            slot.state = State::Resting;
            self.rests.push(Reverse(Timer {
                at: now + Duration::from_nanos(not_before - now_unix_nano),
                offset,
                attempt: slot.attempts,
            }));
        }
        Settled::Again
    }
}

fn without_error(attempt: &FailedAttempt) -> FailedAttempt {
    FailedAttempt {
        error: String::new(),
        ..*attempt
    }
}

/// Adds what the attempts have said, the youngest of each event first, up to the first that has no room.
fn tell_errors(tried: &mut [Tried], histories: &[&[FailedAttempt]], mut room: usize) {
    for age in 1..=REMEMBERED {
        for (tried, history) in tried.iter_mut().zip(histories) {
            let Some(index) = history.len().checked_sub(age) else {
                continue;
            };
            let error = &history[index].error;
            let Some(left) = room.checked_sub(error.len()) else {
                return;
            };
            room = left;
            tried.failed[index].error.clone_from(error);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use loom_proto::trace_context::SpanId;

    use super::super::super::patience::Patience;
    use super::super::Verdict;
    use super::*;

    /// A window with so many events, each of which has failed twice.
    fn window(events: u64, now: Instant) -> Window {
        let patience = Patience {
            max_attempts: 5,
            timeout: Duration::from_secs(30),
            first_rest: Duration::from_secs(1),
            longest_rest: Duration::from_secs(1),
        };
        let mut window = Window::new(7, patience);
        for _ in 0..events {
            window.push(Arc::new(Event::on("t", "x").expect("valid")), 0);
        }
        for attempt in 1..=2 {
            window.take(1, events as usize, now, &mut Vec::new());
            for offset in 7..7 + events {
                let rest = Verdict::Retry(Some(Duration::ZERO));
                window.settle(1, offset, attempt, rest, now);
                window.failed(offset, format!("{offset}: {attempt}"), 0);
            }
            window.pass(now);
        }
        window
    }

    fn errors(tried: &[Tried]) -> Vec<Vec<&str>> {
        let failed = tried.iter().map(|tried| tried.failed.iter());
        failed
            .map(|failed| failed.map(|attempt| &*attempt.error).collect())
            .collect()
    }

    #[test]
    fn the_youngest_errors_are_told_where_there_is_no_room_for_all() {
        let now = Instant::now();
        let window = window(2, now);
        let told = |room| window.tried(now, 0, room);
        assert_eq!(errors(&told(16)), [["7: 1", "7: 2"], ["8: 1", "8: 2"]]);
        assert_eq!(errors(&told(15)), [["7: 1", "7: 2"], ["", "8: 2"]]);
        assert_eq!(errors(&told(11)), [["", "7: 2"], ["", "8: 2"]]);
        assert_eq!(errors(&told(3)), [["", ""], ["", ""]]);
        let numbers = |tried: &Tried| tried.failed.iter().map(|attempt| attempt.number).collect();
        let numbers: Vec<Vec<u32>> = told(0).iter().map(numbers).collect();
        assert_eq!(numbers, [[1, 2], [1, 2]], "numbers always are");
    }

    #[test]
    fn a_rest_ends_when_it_would_have_ended() {
        let now = Instant::now();
        let mut window = window(1, now);
        window.take(1, 1, now, &mut Vec::new());
        window.forwarded(7, 3, SpanId([3; 8]));
        let rest = Duration::from_secs(60);
        window.settle(1, 7, 3, Verdict::Retry(Some(rest)), now);
        let saved = window.tried(now + Duration::from_secs(10), 1_000, usize::MAX);
        let not_before = 1_000 + nanos(Duration::from_secs(50));
        assert_eq!(saved[0].stage, Stage::Again { not_before });
        assert_eq!((saved[0].attempts, saved[0].span), (3, SpanId([3; 8])));

        let event = window.event(7).cloned().expect("it is open");
        for (later, is_ready) in [(not_before - 5, 0), (not_before, 1), (not_before + 1, 1)] {
            let mut window = Window::new(7, window.patience());
            let settled = window.push_tried(Arc::clone(&event), 0, saved[0].clone(), now, later);
            assert_eq!((settled, window.ready()), (Settled::Again, is_ready));
            window.pass(now + Duration::from_nanos(5));
            assert_eq!(window.ready(), 1);
        }
    }
}
