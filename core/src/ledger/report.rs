//! What the books say.

use std::sync::Arc;
use std::sync::OnceLock;

use super::{Account, AccountId, DropReason, Ledger};
use crate::sync::{AtomicU64, Ordering};

/// How often the books are read again where something was booked meanwhile.
const READINGS: usize = 3;

/// One account, or the sum of several. See the [module](crate::ledger) for what is what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerSnapshot {
    /// Events that the bus took.
    pub events: u64,
    /// Deliveries that came of them.
    pub published: u64,
    /// Deliveries that arrived as far as the bus knows.
    pub delivered: u64,
    /// Events that nobody wanted.
    pub filtered: u64,
    /// Deliveries that a group gave up.
    pub dead_lettered: u64,
    /// Deliveries that retention released before their group had read them.
    pub expired: u64,
    /// Deliveries lost, in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// Deliveries that wait in a mailbox, or for room in one, or that a group has in memory.
    pub in_flight: u64,
}

/// All accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerReport {
    /// Their sum.
    pub total: LedgerSnapshot,
    /// By topic, in the order in which they came; those that have to share come last.
    pub topics: Vec<(Arc<str>, LedgerSnapshot)>,
    /// Nothing was booked while they were read: the figures are those of one moment.
    pub is_quiet: bool,
}

/// Counts what is in flight, by account.
#[derive(Debug)]
pub(crate) struct InFlight {
    others: u64,
    accounts: Vec<u64>,
}

impl LedgerSnapshot {
    /// Deliveries lost, for whatever reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Events that a subscription wanted or a stream keeps.
    pub fn routed(&self) -> u64 {
        self.events.saturating_sub(self.filtered)
    }

    /// Deliveries that somebody wanted.
    pub fn offered(&self) -> u64 {
        self.published.saturating_sub(self.filtered)
    }

    /// Whether the account adds up. Only a quiet bus gives one moment's figures.
    pub fn is_balanced(&self) -> bool {
        let ended = self.delivered
            + self.filtered
            + self.dead_lettered
            + self.expired
            + self.dropped_total();
        self.published == ended + self.in_flight
    }

    /// Adds another account to this one.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.published += other.published;
        self.delivered += other.delivered;
        self.filtered += other.filtered;
        self.dead_lettered += other.dead_lettered;
        self.expired += other.expired;
        for (sum, dropped) in self.dropped.iter_mut().zip(other.dropped) {
            *sum += dropped;
        }
        self.in_flight += other.in_flight;
    }
}

impl LedgerReport {
    /// Whether each account adds up. Only a quiet bus gives one moment's figures.
    pub fn is_balanced(&self) -> bool {
        self.topics.iter().all(|(_, account)| account.is_balanced())
    }

    /// The account of this name; `None` where nothing was booked for it.
    pub fn of(&self, topic: &str) -> Option<&LedgerSnapshot> {
        let mut topics = self.topics.iter();
        topics
            .find(|(name, _)| **name == *topic)
            .map(|(_, account)| account)
    }
}

impl InFlight {
    pub(crate) fn add(&mut self, account: AccountId, deliveries: u64) {
        let count = self.accounts.get_mut(account.0 as usize);
        *count.unwrap_or(&mut self.others) += deliveries;
    }
}

impl Ledger {
    /// Reads the books. `count` adds what is in flight, beside that for which publishers wait. Where it does not fit because
    /// something was booked meanwhile, they are read again, a few times.
    pub(crate) fn report(&self, count: impl Fn(&mut InFlight)) -> LedgerReport {
        let mut report = self.read(&count);
        for _ in 1..READINGS {
            if report.is_balanced() {
                break;
            }
            std::thread::yield_now();
            report = self.read(&count);
        }
        report
    }

    fn read(&self, count: &impl Fn(&mut InFlight)) -> LedgerReport {
        let before = self.accounts();
        let mut in_flight = InFlight {
            others: 0,
            accounts: vec![0; self.accounts.len()],
        };
        count(&mut in_flight);
        let mut topics = self.accounts();
        let is_quiet = before == topics;
        if let Some(((_, others), numbered)) = topics.split_last_mut() {
            others.in_flight += in_flight.others;
            for ((_, account), counted) in numbered.iter_mut().zip(&in_flight.accounts) {
                account.in_flight += counted;
            }
        }
        let mut total = LedgerSnapshot::default();
        for (_, account) in &topics {
            total.add(account);
        }
        LedgerReport {
            total,
            topics,
            is_quiet,
        }
    }

    /// The accounts by number, and at last that of the others.
    fn accounts(&self) -> Vec<(Arc<str>, LedgerSnapshot)> {
        let accounts = self.accounts.iter().map_while(OnceLock::get);
        let accounts = accounts.map(|account| &**account);
        accounts
            .chain([&self.others])
            .map(|account| (Arc::clone(&account.topic), account.read()))
            .collect()
    }
}

impl Account {
    fn read(&self) -> LedgerSnapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (begun, ended) = (&self.begun, &self.ended);
        LedgerSnapshot {
            events: load(&begun.events),
            published: load(&begun.published),
            delivered: load(&ended.delivered),
            filtered: load(&begun.filtered),
            dead_lettered: load(&ended.dead_lettered),
            expired: load(&ended.expired),
            dropped: DropReason::ALL.map(|reason| load(&ended.dropped[reason as usize])),
            in_flight: load(&begun.waiting),
        }
    }
}
