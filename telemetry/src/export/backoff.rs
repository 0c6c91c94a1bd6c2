//! When the collector may be asked again: exponential backoff with jitter, and what the collector itself asked for.

use std::time::{Duration, Instant};

use super::outcome::Retry;
use crate::ids;

pub(super) struct Backoff {
    initial: Duration,
    max: Duration,
    /// The pause before jitter; zero while all is well.
    pause: Duration,
    until: Option<Instant>,
    /// The collector's own word, which no hurry shortens.
    throttled_until: Option<Instant>,
}

impl Backoff {
    pub(super) fn new(initial: Duration, max: Duration) -> Self {
        Self {
            initial,
            max: max.max(initial),
            pause: Duration::ZERO,
            until: None,
            throttled_until: None,
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.pause = Duration::ZERO;
        self.until = None;
        self.throttled_until = None;
    }

    /// Requests that fail together count as one failure.
    pub(super) fn failed(&mut self, now: Instant, retry: Retry) {
        if let Retry::After(pause) = retry {
            self.throttled_until = self.throttled_until.max(now.checked_add(pause));
        }
        if self.wait(now).is_none() || self.pause.is_zero() {
            self.pause = (self.pause * 2).clamp(self.initial, self.max);
            // Half of it fixed, half of it random: many agents that lose one collector do not come back in step.
            let part = f64::midpoint(1.0, ids::random_fraction());
            self.until = Some(now + self.pause.mul_f64(part));
        }
    }

    /// Somebody waits for the outcome: one attempt now.
    pub(super) fn hurry(&mut self) {
        self.until = None;
    }

    /// The moment before which nothing is sent, when it still lies ahead.
    pub(super) fn wait(&self, now: Instant) -> Option<Instant> {
        self.until
            .max(self.throttled_until)
            .filter(|&until| until > now)
    }

    /// How many requests may be under way at `now`: after a failure one, to try the way.
    pub(super) fn allowed(&self, now: Instant, usual: usize) -> usize {
        if self.wait(now).is_some() {
            0
        } else if self.pause.is_zero() {
            usual.max(1)
        } else {
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_their_bound() {
        let mut backoff = Backoff::new(INITIAL, MAX);
        let mut now = Instant::now();
        assert_eq!(backoff.allowed(now, 4), 4);
        for expected in [100, 200, 400, 800, 1000, 1000] {
            backoff.failed(now, Retry::WithBackoff);
            assert_eq!(backoff.allowed(now, 4), 0);
            let pause = backoff.wait(now).expect("a pause") - now;
            let expected = Duration::from_millis(expected);
            assert!(pause >= expected / 2 && pause <= expected, "{pause:?}");
            now += pause;
            assert_eq!(backoff.allowed(now, 4), 1, "one tries the way");
        }
        backoff.succeeded();
        assert_eq!(backoff.allowed(now, 4), 4);
    }

    #[test]
    fn failures_of_one_moment_are_one() {
        let mut backoff = Backoff::new(INITIAL, MAX);
        let now = Instant::now();
        for _ in 0..4 {
            backoff.failed(now, Retry::WithBackoff);
        }
        assert!(backoff.wait(now).expect("a pause") <= now + INITIAL);
    }

    #[test]
    fn a_hurry_ends_our_pause_and_not_the_collectors() {
        let mut backoff = Backoff::new(INITIAL, MAX);
        let now = Instant::now();
        backoff.failed(now, Retry::WithBackoff);
        backoff.hurry();
        assert_eq!(backoff.allowed(now, 4), 1);

        let asked = Duration::from_secs(7);
        backoff.failed(now, Retry::After(asked));
        backoff.hurry();
        assert_eq!(backoff.wait(now), Some(now + asked));
    }
}
