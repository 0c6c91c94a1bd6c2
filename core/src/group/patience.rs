//! How often an event is tried, how long an attempt may take, and how long the event rests after it.

use std::time::Duration;

/// How often and how long an event is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    pub(crate) max_attempts: u32,
    pub(crate) timeout: Duration,
    /// Rest after the first attempt; it doubles with each further one.
    pub(crate) first_rest: Duration,
    pub(crate) longest_rest: Duration,
}

impl Patience {
    /// How long an event rests after an attempt: twice as long after each, with a fifth more or less, so that what failed
    /// together does not come again together.
    pub(crate) fn rest(&self, offset: u64, attempt: u32) -> Duration {
        const SPREAD: f64 = 0.2;
        let doublings = attempt.saturating_sub(1).min(20);
        let rest = self
            .first_rest
            .saturating_mul(1 << doublings)
            .min(self.longest_rest);
        // Any well-mixed bits do.
        let bits = (offset ^ u64::from(attempt) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        let spread = 2.0 * bits as f64 / f64::from(u16::MAX) - 1.0;
        rest.mul_f64(1.0 + SPREAD * spread)
    }
}
