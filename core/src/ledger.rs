//! The bus's books. They must add up at every moment:
//!
//! - `published = routed + unrouted` (events),
//! - `offered = delivered + dropped + queued` (events times the subscriptions that they were routed to).
//!
//! `queued` is counted from the mailboxes, not computed from the rest, so that the equation can fail.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a delivery was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// A `realtime` mailbox was full and gave up its oldest event.
    MailboxFull,
    /// The publisher waited for room as long as it may.
    Backpressure,
    /// The subscriber left with events in its mailbox.
    SubscriberGone,
    /// The agent's connection broke with the delivery on its way.
    ConnectionLost,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [
        Self::MailboxFull,
        Self::Backpressure,
        Self::SubscriberGone,
        Self::ConnectionLost,
    ];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MailboxFull => "mailbox_full",
            Self::Backpressure => "backpressure",
            Self::SubscriberGone => "subscriber_gone",
            Self::ConnectionLost => "connection_lost",
        }
    }
}

/// The counters. Reading them never stops the bus.
#[derive(Debug, Default)]
pub struct Ledger {
    unrouted: AtomicU64,
    routed: AtomicU64,
    offered: AtomicU64,
    delivered: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
}

/// What the counters said at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerSnapshot {
    /// Events that the bus took.
    pub published: u64,
    /// Events with at least one subscription, or a stream that keeps them.
    pub routed: u64,
    /// Events that nobody wanted.
    pub unrouted: u64,
    /// Events times the subscriptions that they were routed to.
    pub offered: u64,
    /// Deliveries that left their mailbox towards the subscriber.
    pub delivered: u64,
    /// Deliveries lost, in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// Deliveries that wait in a mailbox, or for room in one.
    pub queued: u64,
}

impl Ledger {
    pub(crate) fn unrouted(&self) {
        self.unrouted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn routed(&self, subscriptions: usize) {
        self.routed.fetch_add(1, Ordering::Relaxed);
        self.offered
            .fetch_add(subscriptions as u64, Ordering::Relaxed);
    }

    pub(crate) fn delivered(&self, deliveries: usize) {
        self.delivered
            .fetch_add(deliveries as u64, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self, reason: DropReason, deliveries: usize) {
        self.dropped[reason as usize].fetch_add(deliveries as u64, Ordering::Relaxed);
    }

    /// Corrects the books when deliveries that had left their mailbox did not reach the subscriber.
    pub fn undelivered(&self, reason: DropReason, deliveries: usize) {
        self.delivered
            .fetch_sub(deliveries as u64, Ordering::Relaxed);
        self.dropped(reason, deliveries);
    }

    pub(crate) fn read(&self, queued: u64) -> LedgerSnapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (routed, unrouted) = (load(&self.routed), load(&self.unrouted));
        LedgerSnapshot {
            published: routed + unrouted,
            routed,
            unrouted,
            offered: load(&self.offered),
            delivered: load(&self.delivered),
            dropped: DropReason::ALL.map(|reason| load(&self.dropped[reason as usize])),
            queued,
        }
    }
}

impl LedgerSnapshot {
    /// Deliveries lost, for whatever reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Whether the books add up. Only a quiet bus gives one moment's figures.
    pub fn is_balanced(&self) -> bool {
        self.published == self.routed + self.unrouted
            && self.offered == self.delivered + self.dropped_total() + self.queued
    }
}
