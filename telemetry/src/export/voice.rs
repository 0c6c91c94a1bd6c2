//! What an exporter says in the log: one line when the export fails, one when it works again, whatever lies between.

use std::time::{Duration, Instant};

use super::outcome::{Accepted, Refusal, Retry};

pub(super) struct Voice {
    address: String,
    /// Set while the failure that was told has not ended.
    is_failing: bool,
    has_told_of_rejects: bool,
    last_told: Option<Instant>,
}

/// A collector that comes and goes gets a line as often as this.
const QUIET: Duration = Duration::from_secs(60);

impl Voice {
    pub(super) fn new(address: String) -> Self {
        Self {
            address,
            is_failing: false,
            has_told_of_rejects: false,
            last_told: None,
        }
    }

    /// `lost` counts spans since it was last called.
    pub(super) fn refused(&mut self, refusal: &Refusal, lost: impl FnOnce() -> u64) {
        let is_quiet = self.last_told.is_some_and(|told| told.elapsed() < QUIET);
        if self.is_failing || is_quiet {
            return;
        }
        self.is_failing = true;
        self.last_told = Some(Instant::now());
        // What was lost before is another story.
        let _before = lost();
        let (address, message) = (&self.address, &refusal.message);
        let next = match refusal.retry {
            Retry::Never => {
                "it refused spans for good and they are dropped; check its address, protocol and credentials"
            }
            Retry::WithBackoff | Retry::After(_) => {
                "spans wait for it within bounds and are then dropped; start it, or switch the export off with OTEL_TRACES_EXPORTER=none"
            }
        };
        tracing::warn!("no spans can be exported to {address}: {message}; {next}");
    }

    /// `lost` counts spans since it was last called.
    pub(super) fn accepted(&mut self, answer: &Accepted, lost: impl FnOnce() -> u64) {
        if self.is_failing {
            self.is_failing = false;
            let lost = lost();
            tracing::info!(
                "spans are exported to {} again; {lost} were lost meanwhile",
                self.address
            );
        }
        let has_something_to_tell = answer.rejected > 0 || !answer.message.is_empty();
        if has_something_to_tell && !self.has_told_of_rejects {
            self.has_told_of_rejects = true;
            tracing::warn!(
                "the collector at {} rejected {} spans: {}; further rejects are only counted",
                self.address,
                answer.rejected,
                answer.message
            );
        }
    }
}
