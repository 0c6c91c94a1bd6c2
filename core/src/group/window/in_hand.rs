//! What of a window is in hand, and what waits: for those who look on.

use std::sync::Arc;

use loom_proto::trace_context::SpanId;
use tokio::time::Instant;

use super::{State, Window};
use crate::event::Event;

/// An attempt that a member has not said anything of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InHand<'a> {
    /// From 1.
    pub(crate) attempt: u32,
    /// Its `bridge.forward`; zero until its delivery is written, and where it is not recorded.
    pub(crate) span: SpanId,
    pub(crate) event: &'a Arc<Event>,
    /// When it was taken.
    pub(crate) taken: Instant,
}

impl Window {
    /// The attempts that a member has in hand, in the order in which it took them.
    pub(crate) fn in_hand(&self, member: u64) -> impl Iterator<Item = InHand<'_>> {
        // Each attempt in hand has a deadline; those of attempts that are over are told by their slots.
        self.deadlines.iter().filter_map(move |timer| {
            let place = usize::try_from(timer.offset.checked_sub(self.floor)?).ok()?;
            let slot = self.slots.get(place)?;
            if slot.state != (State::InHand { member }) || slot.attempts != timer.attempt {
                return None;
            }
            Some(InHand {
                attempt: slot.attempts,
                span: slot.span,
                event: slot.event.as_ref()?,
                taken: timer.at.checked_sub(self.patience.timeout)?,
            })
        })
    }

    /// Events that wait for a member, for their time, or for those before them.
    pub(crate) fn waiting(&self) -> usize {
        let waits = |state| matches!(state, State::Ready | State::Behind | State::Resting);
        self.slots.iter().filter(|slot| waits(slot.state)).count()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::patience::Patience;
    use super::super::Verdict;
    use super::*;

    fn window(events: u64) -> Window {
        let patience = Patience {
            max_attempts: 5,
            timeout: Duration::from_secs(30),
            first_rest: Duration::from_secs(1),
            longest_rest: Duration::from_secs(1),
        };
        let mut window = Window::new(0, patience);
        for _ in 0..events {
            window.push(Arc::new(Event::on("t", "x").expect("valid")), 0);
        }
        window
    }

    #[test]
    fn what_is_in_hand_is_told_until_its_outcome() {
        let mut window = window(5);
        let now = Instant::now();
        let mut taken = Vec::new();
        window.take(1, 3, now, &mut taken);
        window.take(2, 1, now, &mut taken);
        window.forwarded(0, 1, SpanId([7; 8]));
        let spans = |window: &Window, member| -> Vec<SpanId> {
            window.in_hand(member).map(|attempt| attempt.span).collect()
        };
        let unwritten = SpanId::default();
        assert_eq!(spans(&window, 1), [SpanId([7; 8]), unwritten, unwritten]);
        assert_eq!(spans(&window, 2), [unwritten]);
        assert_eq!(window.waiting(), 1);
        assert!(window.in_hand(1).all(|attempt| attempt.taken == now));

        window.settle(1, 0, 1, Verdict::Ack, now);
        window.settle(1, 1, 1, Verdict::Retry(None), now);
        assert_eq!(spans(&window, 1), [unwritten]);
        // One that nobody has had, and one that rests.
        assert_eq!(window.waiting(), 2);
        window.leave(1);
        assert_eq!(spans(&window, 1), []);
        // The lost one's is tried again by another, as another attempt.
        window.take(2, 5, now, &mut taken);
        let attempts: Vec<_> = window.in_hand(2).map(|attempt| attempt.attempt).collect();
        assert_eq!(attempts, [1, 2, 1]);
    }
}
