//! The thread that empties recorders, seen from those who fill them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Nothing is drained for this long when nothing is recorded; recorders that nobody holds any more are let go then.
const IDLE: Duration = Duration::from_secs(5);

/// A thread that rests between drains, and how to shorten its rest.
#[derive(Debug)]
pub struct Drainer {
    thread: Thread,
    /// The next drain does not wait for the interval.
    urgent: AtomicBool,
}

impl Drainer {
    /// The thread that will rest.
    pub fn new(thread: Thread) -> Self {
        Self {
            thread,
            urgent: AtomicBool::new(false),
        }
    }

    /// There is something: drain it when the interval is over.
    pub(crate) fn wake(&self) {
        self.thread.unpark();
    }

    /// Drain now.
    pub(crate) fn hurry(&self) {
        self.urgent.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Waits for `interval` and then until there `is_something`, or until somebody is in a hurry. An idle process is not
    /// woken at intervals. To be called by the thread itself; a wake-up before the call is not lost.
    pub(crate) fn rest(&self, interval: Duration, is_something: impl Fn() -> bool) {
        let begin = Instant::now();
        loop {
            if self.urgent.swap(false, Ordering::AcqRel) {
                return;
            }
            let rested = begin.elapsed();
            if rested >= IDLE || (rested >= interval && is_something()) {
                return;
            }
            let until = if rested < interval { interval } else { IDLE };
            std::thread::park_timeout(until.saturating_sub(rested));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::sync_channel;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_hurry_before_or_during_the_rest_ends_it() {
        let (to, from) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let drainer = Arc::new(Drainer::new(std::thread::current()));
            drainer.hurry();
            drainer.rest(LONG, || false);
            to.send(Arc::clone(&drainer)).expect("somebody listens");
            drainer.rest(LONG, || false);
        });
        let drainer = from.recv().expect("the first rest has ended");
        drainer.hurry();
        thread.join().expect("the second rest has ended");
    }

    #[test]
    fn after_the_interval_the_first_thing_ends_the_rest() {
        let something = Arc::new(AtomicBool::new(false));
        let (to, from) = sync_channel(1);
        let thread = {
            let something = Arc::clone(&something);
            std::thread::spawn(move || {
                let drainer = Arc::new(Drainer::new(std::thread::current()));
                to.send(Arc::clone(&drainer)).expect("somebody listens");
                drainer.rest(Duration::ZERO, || something.load(Ordering::Acquire));
            })
        };
        let drainer = from.recv().expect("a drainer");
        drainer.wake();
        assert!(!thread.is_finished(), "there was nothing");
        something.store(true, Ordering::Release);
        drainer.wake();
        thread.join().expect("it has ended");
    }
}
