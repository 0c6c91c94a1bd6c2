//! Indexing in small bites while there is little to do.
//!
//! A lower priority decides who runs *next*: a thread that has begun its time slice keeps the core for up to some
//! milliseconds, and an event that arrives meanwhile waits. So the indexer gives the core back by itself after each bite.
//! When much is waiting, or somebody waits for the index, it works without a rest.

use std::time::{Duration, Instant};

use super::Signal;

/// Longest work without a rest: about as long as an event may be held up without anybody noticing.
const BITE: Duration = Duration::from_micros(150);
/// Three times as long as the bite: a quarter of one core carries some 25,000 spans a second, and beyond that they pile
/// up and the rest is over.
const REST: Duration = Duration::from_micros(450);

/// One transaction's pace.
#[derive(Debug)]
pub(super) struct Pace<'a> {
    signal: &'a Signal,
    /// `None`: as fast as it goes.
    bite: Option<Instant>,
}

impl<'a> Pace<'a> {
    /// Unhurried unless told otherwise.
    pub(super) fn new(signal: &'a Signal, is_hurried: bool) -> Self {
        Self {
            signal,
            bite: (!is_hurried).then(Instant::now),
        }
    }

    /// One span is done.
    pub(super) fn step(&mut self) {
        let Some(bite) = &mut self.bite else {
            return;
        };
        if bite.elapsed() < BITE {
            return;
        }
        let goes_on = self.signal.wait(REST, |state| state.hurry);
        *bite = Instant::now();
        if !goes_on || self.signal.is_hurried() {
            self.bite = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_unhurried(pace: &mut Pace<'_>) -> bool {
        pace.step();
        pace.bite.is_some()
    }

    #[test]
    fn whoever_waits_for_the_index_ends_the_rests() {
        let signal = Signal::default();
        assert!(!is_unhurried(&mut Pace::new(&signal, true)));
        let mut pace = Pace::new(&signal, false);
        assert!(is_unhurried(&mut pace));
        signal.hurry();
        while is_unhurried(&mut pace) {}
    }

    #[test]
    fn the_end_ends_the_rests() {
        let signal = Signal::default();
        let mut pace = Pace::new(&signal, false);
        signal.stop();
        while is_unhurried(&mut pace) {}
    }
}
