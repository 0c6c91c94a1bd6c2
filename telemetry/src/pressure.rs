//! Backpressure of a recorder: who makes spans may ask for room before the next unit of work.
//!
//! Spans are never waited for where they are recorded. But a publisher that outruns the pipeline would lose spans of
//! traces that Loom promises to be whole, so it waits *between* events, as it does for a full mailbox. The wait is
//! bounded: a drain that does not come within [`PATIENCE`] is not waited for again until it has come, and what does not
//! fit meanwhile is dropped and counted. Telemetry may slow the work down; it never stops it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Longest time that work waits for a drain: many times the interval of the pipeline.
const PATIENCE: Duration = Duration::from_secs(1);

/// Nobody drains, so nobody waits.
const OFF: u8 = 0;
/// There is room.
const CALM: u8 = 1;
/// A buffer is nearly full.
const PRESSED: u8 = 2;
/// It was, and no drain came in time.
const GIVEN_UP: u8 = 3;

#[derive(Debug, Default)]
pub(crate) struct Pressure {
    state: AtomicU8,
    changed: Notify,
}

impl Pressure {
    /// From now on somebody drains.
    pub(crate) fn enable(&self) {
        self.change(OFF, CALM);
    }

    /// Nobody will drain any more.
    pub(crate) fn disable(&self) {
        self.state.store(OFF, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// A buffer is nearly full. Said with every push for as long as it is, so that a drain on the way cannot hide it.
    pub(crate) fn raise(&self) {
        self.change(CALM, PRESSED);
    }

    /// The buffers were drained.
    pub(crate) fn relieve(&self) {
        if self.change(PRESSED, CALM) || self.change(GIVEN_UP, CALM) {
            self.changed.notify_waiters();
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.state.load(Ordering::Relaxed) != PRESSED
    }

    /// Waits until there is room, or no longer than [`PATIENCE`]. Cancel safe.
    pub(crate) async fn room(&self) {
        if self.has_room() {
            return;
        }
        if tokio::time::timeout(PATIENCE, self.relieved())
            .await
            .is_err()
            && self.change(PRESSED, GIVEN_UP)
        {
            self.changed.notify_waiters();
        }
    }

    async fn relieved(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.has_room() {
                return;
            }
            changed.await;
        }
    }

    fn change(&self, from: u8, to: u8) -> bool {
        // The look before the exchange keeps the cache line shared in the steady state.
        self.state.load(Ordering::Relaxed) == from
            && self
                .state
                .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn enabled() -> Arc<Pressure> {
        let pressure = Arc::new(Pressure::default());
        pressure.enable();
        pressure
    }

    #[tokio::test]
    async fn without_a_drainer_nobody_waits() {
        let pressure = Pressure::default();
        pressure.raise();
        assert!(pressure.has_room());
        pressure.room().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_lets_everybody_go_on() {
        let pressure = enabled();
        pressure.raise();
        let waiting: Vec<_> = (0..3)
            .map(|_| Arc::clone(&pressure))
            .map(|pressure| tokio::spawn(async move { pressure.room().await }))
            .collect();
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|task| !task.is_finished()));
        pressure.relieve();
        for task in waiting {
            task.await.expect("it goes on");
        }
        assert!(pressure.has_room());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_that_does_not_come_is_waited_for_once() {
        let pressure = enabled();
        pressure.raise();
        let begin = tokio::time::Instant::now();
        pressure.room().await;
        assert_eq!(begin.elapsed(), PATIENCE);
        pressure.raise();
        assert!(pressure.has_room(), "given up until somebody drains");
        pressure.relieve();
        pressure.raise();
        assert!(!pressure.has_room());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_drainer_lets_everybody_go_on() {
        let pressure = enabled();
        pressure.raise();
        let waiting = {
            let pressure = Arc::clone(&pressure);
            tokio::spawn(async move { pressure.room().await })
        };
        tokio::task::yield_now().await;
        pressure.disable();
        waiting.await.expect("it goes on");
        pressure.raise();
        assert!(pressure.has_room());
    }
}
