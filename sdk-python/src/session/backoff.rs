//! How long to wait before the next attempt to connect.

use std::time::Duration;

use loom_telemetry::ids;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Doubles from 0.1 s to 5 s; each pause is a random part, from half to all, of that.
#[derive(Debug)]
pub(crate) struct Backoff {
    ceiling: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { ceiling: FIRST }
    }
}

impl Backoff {
    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = (ceiling * 2).min(LONGEST);
        // A span id is as good a random number as any.
        let random = u64::from_be_bytes(ids::new_span_id().0) as f64 / u64::MAX as f64;
        ceiling.mul_f64(0.5 + random / 2.0)
    }

    /// The connection came about: the next loss starts anew.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}
