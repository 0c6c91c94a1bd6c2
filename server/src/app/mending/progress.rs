//! How far an agent is mended, and when it is looked at next.

use std::collections::BTreeSet;

use loom_trace::model::SpanId;

/// Looks at what an agent has left; more follow for as long as they find something.
const LOOKS: u32 = 5;

/// See the module. All times are in ns since the Unix epoch.
pub(super) struct Progress {
    /// Start of what is looked at.
    pub(super) from: u64,
    /// Its end: when the agent connected, or was first seen not to be connected.
    pub(super) until: u64,
    /// Whether it may still handle what the server before this one has delivered, and could not tell.
    pub(super) is_new_here: bool,
    /// Since when it is connected, or was before it left.
    connected: Option<u64>,
    /// Since when it is not connected.
    gone: Option<u64>,
    /// Deliveries of which the bus said at the last look that their events are handled, while no other attempt was stored.
    pub(super) handled: BTreeSet<SpanId>,
    /// How often this end was looked at.
    looks: u32,
    is_done: bool,
}

/// What a look has brought.
pub(super) struct Look {
    pub(super) stand_ins: usize,
    /// See [`Progress::handled`]; what becomes of them the next look says.
    pub(super) handled: BTreeSet<SpanId>,
    /// Whether the agent has told of a handler at all.
    pub(super) is_telling: bool,
}

impl Progress {
    pub(super) fn since(horizon: u64) -> Self {
        Self {
            from: horizon,
            until: horizon,
            is_new_here: true,
            connected: None,
            gone: None,
            handled: BTreeSet::new(),
            looks: 0,
            is_done: false,
        }
    }

    /// Takes note of since when the agent is connected, or that it is not.
    pub(super) fn note(&mut self, connected: Option<u64>, now: u64) {
        let until = if let Some(since) = connected {
            let before = self.connected.replace(since);
            self.is_new_here &= before.is_none_or(|before| before == since);
            self.gone = None;
            since
        } else {
            *self.gone.get_or_insert(now)
        };
        if until != self.until {
            self.until = until;
            self.looks = 0;
            self.is_done = false;
        }
    }

    /// Whether the next look is due: each is twice as late as the one before.
    pub(super) fn is_due(&self, now: u64, grace_ns: u64) -> bool {
        let wait = grace_ns.saturating_mul(1 << self.looks.min(LOOKS));
        !self.is_done && now.saturating_sub(self.until) >= wait
    }

    pub(super) fn looked(&mut self, look: Look) {
        self.looks += 1;
        self.is_done = self.looks >= LOOKS && look.stand_ins == 0 && look.handled.is_empty();
        self.handled = look.handled;
        // Who has told of no handler so far may only listen, or was killed too early: its next process says which.
        if self.is_done && look.is_telling {
            self.from = self.until;
        }
    }

    /// Whether it has left, and all is said about it.
    pub(super) fn is_over(&self) -> bool {
        self.is_done && self.gone.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: u64 = 10;
    const NOTHING: Look = Look {
        stand_ins: 0,
        handled: BTreeSet::new(),
        is_telling: true,
    };

    /// Times of the looks until all is done; `looks` says what each brings.
    fn due(progress: &mut Progress, mut looks: impl FnMut(usize) -> Look) -> Vec<u64> {
        let mut times = Vec::new();
        for now in progress.until..progress.until + 1000 {
            if progress.is_due(now, GRACE) {
                times.push(now - progress.until);
                progress.looked(looks(times.len()));
            }
        }
        times
    }

    #[test]
    fn a_lost_agent_is_looked_at_ever_later_and_then_no_more() {
        let mut progress = Progress::since(0);
        progress.note(None, 500);
        progress.note(None, 600);
        assert_eq!((progress.from, progress.until), (0, 500));
        assert_eq!(due(&mut progress, |_| NOTHING), [10, 20, 40, 80, 160]);
        assert_eq!(progress.from, 500);
        assert!(progress.is_over());
    }

    #[test]
    fn looks_go_on_while_they_find_something() {
        let mut progress = Progress::since(0);
        progress.note(Some(500), 500);
        let found_until_the_sixth = |look: usize| Look {
            stand_ins: usize::from(look < 6),
            ..NOTHING
        };
        let times = due(&mut progress, found_until_the_sixth);
        assert_eq!(times, [10, 20, 40, 80, 160, 320]);
        assert!(!progress.is_over());
    }

    #[test]
    fn what_the_bus_calls_handled_is_looked_at_once_more() {
        let mut progress = Progress::since(0);
        progress.note(None, 500);
        let delivery = SpanId::from_bytes(&[7; 8]).expect("not zero");
        let at_the_fifth = |look: usize| Look {
            handled: (look == 5).then_some(delivery).into_iter().collect(),
            ..NOTHING
        };
        let times = due(&mut progress, at_the_fifth);
        assert_eq!(times, [10, 20, 40, 80, 160, 320]);
        assert!(progress.handled.is_empty());
    }

    #[test]
    fn the_next_process_says_whether_one_that_told_nothing_was_silent() {
        let mut progress = Progress::since(100);
        progress.note(None, 500);
        let silent = |_| Look {
            is_telling: false,
            ..NOTHING
        };
        due(&mut progress, silent);
        assert_eq!(progress.from, 100);
        progress.note(Some(900), 900);
        assert_eq!((progress.from, progress.until), (100, 900));
        due(&mut progress, |_| NOTHING);
        assert_eq!(progress.from, 900);
    }

    #[test]
    fn only_the_first_connection_can_bring_what_another_server_delivered() {
        let mut progress = Progress::since(0);
        progress.note(None, 100);
        progress.note(Some(200), 250);
        progress.note(Some(200), 300);
        assert!(progress.is_new_here);
        progress.note(None, 400);
        progress.note(Some(450), 500);
        assert!(!progress.is_new_here);
    }
}
