//! The bus's books: an account for each topic.
//!
//! The unit is the *delivery*: an event times those who want it. An event is `published` once for each mailbox that it is
//! routed to, once for each group that reads it from its stream, and once where nobody wants it and no stream keeps it.
//! At every moment, on each account and in their sum,
//!
//! `published = delivered + filtered + dead_lettered + expired + dropped + in_flight`
//!
//! - `delivered`: it left its mailbox towards the subscriber, or an agent of the group has handled it;
//! - `filtered`: nobody wanted the event;
//! - `dead_lettered`: the group gave it up, and its dead letter is kept;
//! - `expired`: retention released it before the group had read it;
//! - `dropped`: it is lost, for one of the [reasons](DropReason);
//! - `in_flight`: it waits in a mailbox, or for room in one, or a group has it in memory.
//!
//! `in_flight` is counted where the deliveries are, not computed from the rest, so that the equation can fail.
//!
//! An event that a stream keeps and no mailbox wants counts among the `events` only, until groups read it. What a group has
//! yet to read is its lag.

use std::sync::Arc;
use std::sync::OnceLock;

use loom_proto::topic;
use rustc_hash::FxHashMap;

use crate::mailbox::Delivery;
use crate::sync::{AtomicU64, Ordering, RwLock};

mod report;

pub(crate) use report::InFlight;
pub use report::{LedgerReport, LedgerSnapshot};

/// Topic of the account of all inboxes: each request has a topic of its own.
pub const INBOXES: &str = "_inbox.>";
/// Name, which is no topic, of the account of the topics that have none of their own, and of what cannot be read any more, so that nobody
/// knows its topic.
pub const OTHERS: &str = "(other)";

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
    /// A stream cannot read the event any more.
    Damaged,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::MailboxFull,
        Self::Backpressure,
        Self::SubscriberGone,
        Self::ConnectionLost,
        Self::Damaged,
    ];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MailboxFull => "mailbox_full",
            Self::Backpressure => "backpressure",
            Self::SubscriberGone => "subscriber_gone",
            Self::ConnectionLost => "connection_lost",
            Self::Damaged => "damaged",
        }
    }
}

/// Most accounts of topics. The number of an account fits into an event where nothing else would.
pub const MAX_TOPICS: usize = u16::MAX as usize - 1;

/// Whose account a delivery is booked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AccountId(u16);

impl AccountId {
    pub(crate) const OTHERS: Self = Self(u16::MAX);
    const INBOXES: Self = Self(0);
}

impl Default for AccountId {
    fn default() -> Self {
        Self::OTHERS
    }
}

/// The accounts. They are found once for each route; booking takes no lock, and reading them never stops the bus.
#[derive(Debug)]
pub struct Ledger {
    others: Account,
    /// By number. Their room is there from the start, so that they never move.
    accounts: Box<[OnceLock<Box<Account>>]>,
    numbers: RwLock<FxHashMap<Arc<str>, AccountId>>,
}

/// What was booked for a topic. Who publishes and who takes write to lines of their own.
#[derive(Debug)]
struct Account {
    topic: Arc<str>,
    begun: Begun,
    ended: Ended,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Begun {
    events: AtomicU64,
    published: AtomicU64,
    filtered: AtomicU64,
    /// Deliveries whose publisher waits for room now.
    waiting: AtomicU64,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Ended {
    delivered: AtomicU64,
    dead_lettered: AtomicU64,
    expired: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
}

// ---- booking ----

impl Ledger {
    /// Books with accounts for this many topics, up to [`MAX_TOPICS`], beside those of the inboxes and of the others.
    pub(crate) fn new(topics: usize) -> Self {
        let accounts: Box<[_]> = (0..=topics.min(MAX_TOPICS))
            .map(|_| OnceLock::new())
            .collect();
        let ledger = Self {
            others: Account::new(OTHERS),
            accounts,
            numbers: RwLock::default(),
        };
        ledger.begin(AccountId::INBOXES, INBOXES.into());
        ledger
    }

    /// The account of a topic, which is made where there is room for one more.
    pub(crate) fn account(&self, topic: &Arc<str>) -> AccountId {
        if topic::is_inbox(topic) {
            return AccountId::INBOXES;
        }
        let numbers = self.numbers.read();
        // The inboxes have the first one.
        let is_full = |numbers: &FxHashMap<_, _>| numbers.len() + 1 >= self.accounts.len();
        match numbers.get(topic) {
            Some(known) => return *known,
            None if is_full(&numbers) => return AccountId::OTHERS,
            None => drop(numbers),
        }
        let mut numbers = self.numbers.write();
        if let Some(known) = numbers.get(topic) {
            return *known;
        }
        if is_full(&numbers) {
            return AccountId::OTHERS;
        }
        let account = AccountId(numbers.len() as u16 + 1);
        self.begin(account, Arc::clone(topic));
        numbers.insert(Arc::clone(topic), account);
        account
    }

    /// The bus has taken an event for so many mailboxes.
    pub(crate) fn published(&self, account: AccountId, mailboxes: usize) {
        let begun = &self.at(account).begun;
        add(&begun.events, 1);
        add(&begun.published, mailboxes);
    }

    /// The bus has taken an event that nobody wants.
    pub(crate) fn filtered(&self, account: AccountId) {
        self.published(account, 1);
        add(&self.at(account).begun.filtered, 1);
    }

    /// A group has read an event of its stream.
    pub(crate) fn read_by_group(&self, account: AccountId) {
        add(&self.at(account).begun.published, 1);
    }

    /// So many events cannot be read from their stream any more; `expired` where retention has released them.
    pub(crate) fn unreadable(&self, events: u64, expired: bool) {
        let ended = &self.others.ended;
        let into = if expired {
            &ended.expired
        } else {
            &ended.dropped[DropReason::Damaged as usize]
        };
        self.others
            .begun
            .published
            .fetch_add(events, Ordering::Relaxed);
        into.fetch_add(events, Ordering::Relaxed);
    }

    /// A publisher begins to wait for room in so many mailboxes.
    pub(crate) fn waits(&self, account: AccountId, mailboxes: usize) {
        add(&self.at(account).begun.waiting, mailboxes);
    }

    /// A publisher does not wait for so many of them any longer.
    pub(crate) fn waited(&self, account: AccountId, mailboxes: usize) {
        sub(&self.at(account).begun.waiting, mailboxes);
    }

    pub(crate) fn delivered(&self, deliveries: impl IntoIterator<Item = AccountId>) {
        self.for_each_run(deliveries, |account, run| add(&account.delivered, run));
    }

    pub(crate) fn dead_lettered(&self, account: AccountId) {
        add(&self.at(account).ended.dead_lettered, 1);
    }

    pub(crate) fn dropped(
        &self,
        reason: DropReason,
        deliveries: impl IntoIterator<Item = AccountId>,
    ) {
        self.for_each_run(deliveries, |account, run| {
            add(&account.dropped[reason as usize], run);
        });
    }

    /// Corrects the books when deliveries that had left their mailbox did not reach the subscriber.
    pub fn undelivered<'a>(
        &self,
        reason: DropReason,
        deliveries: impl IntoIterator<Item = &'a Delivery>,
    ) {
        let deliveries = deliveries
            .into_iter()
            .map(|delivery| delivery.event.account());
        self.for_each_run(deliveries, |account, run| {
            sub(&account.delivered, run);
            add(&account.dropped[reason as usize], run);
        });
    }

    /// Deliveries of one topic mostly follow each other: each run of them is booked at once.
    fn for_each_run(
        &self,
        deliveries: impl IntoIterator<Item = AccountId>,
        book: impl Fn(&Ended, usize),
    ) {
        let mut deliveries = deliveries.into_iter().peekable();
        while let Some(account) = deliveries.next() {
            let mut run = 1;
            while deliveries.next_if_eq(&account).is_some() {
                run += 1;
            }
            book(&self.at(account).ended, run);
        }
    }

    fn at(&self, account: AccountId) -> &Account {
        self.accounts
            .get(account.0 as usize)
            .and_then(OnceLock::get)
            .map_or(&self.others, |account| account)
    }

    fn begin(&self, account: AccountId, topic: Arc<str>) {
        self.accounts[account.0 as usize].get_or_init(|| Box::new(Account::new(topic)));
    }
}

impl Account {
    fn new(topic: impl Into<Arc<str>>) -> Self {
        Self {
            topic: topic.into(),
            begun: Begun::default(),
            ended: Ended::default(),
        }
    }
}

fn add(counter: &AtomicU64, deliveries: usize) {
    counter.fetch_add(deliveries as u64, Ordering::Relaxed);
}

fn sub(counter: &AtomicU64, deliveries: usize) {
    counter.fetch_sub(deliveries as u64, Ordering::Relaxed);
}
