//! Checks the parts that wait for each other under schedules that a machine by itself would hardly make: mailboxes with their
//! doorbell, and the counters of the ledger.
//!
//! This is the root of a test crate. It compiles the same files as the library, but over [`sync`], where shuttle decides at
//! each step who goes on. It tries thousands of schedules, at random and by priorities; one that ends with somebody waiting for
//! ever is a failure, which it prints so that it can be played again. Memory is sequentially consistent here: an ordering that
//! is too weak is not found.
//!
//! `LOOM_SCHEDULES` says how many schedules each check tries; `make model` tries many.
//!
//! The checks were checked. Each of these faults was put in by hand, and found within the schedules of `make test`: asking for
//! `room.notified()` only after the offer in `Mailbox::offer_when_room`; not ringing again in `Doorbell::take` where a mailbox
//! has something left; writing `rung` in `Mailbox::take` under a lock of its own.

mod config {
    pub(crate) use loom_core::Qos;
}
#[path = "model/event.rs"]
mod event;
#[expect(dead_code, unreachable_pub, reason = "the library uses the rest")]
mod ledger;
#[expect(dead_code, unreachable_pub, reason = "the library uses the rest")]
mod mailbox;
#[path = "model/sync.rs"]
#[expect(dead_code, reason = "the bridge uses the rest")]
mod sync;

use std::sync::Arc;

use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread::{self, JoinHandle};
use shuttle::{Config, Runner};

use config::Qos;
use event::Event;
use ledger::{AccountId, DropReason, INBOXES, Ledger, LedgerReport, LedgerSnapshot};
use mailbox::{Delivery, Doorbell, Mailbox, Offer};

/// How many schedules a check tries, half of them of either kind.
const SCHEDULES: usize = 2_000;
/// Places at which a schedule by priorities lets somebody overtake.
const OVERTAKINGS: usize = 3;

fn check(run: impl Fn() + Send + Sync + Copy + 'static) {
    let schedules = std::env::var("LOOM_SCHEDULES").map_or(SCHEDULES, |text| {
        text.parse().expect("LOOM_SCHEDULES is a number")
    });
    let half = schedules.div_ceil(2);
    Runner::new(RandomScheduler::new(half), Config::new()).run(run);
    Runner::new(PctScheduler::new(OVERTAKINGS, half), Config::new()).run(run);
}

/// A subscriber's mailboxes, and the books.
struct Room {
    ledger: Arc<Ledger>,
    account: AccountId,
    doorbell: Arc<Doorbell>,
    mailboxes: Vec<Arc<Mailbox>>,
}

impl Room {
    fn new(mailboxes: &[(Qos, usize)]) -> Arc<Self> {
        let ledger = Arc::new(Ledger::new(1));
        let doorbell = Arc::new(Doorbell::default());
        let mailboxes = mailboxes.iter().zip(0..).map(|(&(qos, capacity), slot)| {
            let (doorbell, ledger) = (Arc::clone(&doorbell), Arc::clone(&ledger));
            Arc::new(Mailbox::new(
                slot,
                "a".into(),
                qos,
                capacity,
                doorbell,
                slot,
                ledger,
            ))
        });
        Arc::new(Self {
            mailboxes: mailboxes.collect(),
            account: ledger.account(&"a".into()),
            ledger,
            doorbell,
        })
    }

    /// Publishes so many events to each mailbox, and waits for room where it must. Returns how many were taken.
    fn publisher(self: &Arc<Self>, publisher: u32, events: u32) -> JoinHandle<usize> {
        let room = Arc::clone(self);
        thread::spawn(move || {
            let mut taken = 0;
            for number in 0..events {
                let event = Arc::new(Event::new(room.account, publisher, number));
                room.ledger.published(room.account, room.mailboxes.len());
                for mailbox in &room.mailboxes {
                    let offer = block_on(mailbox.offer_when_room(&event));
                    taken += usize::from(offer == Offer::Taken);
                }
            }
            taken
        })
    }

    /// Takes at most `max` at once until it has `count`.
    fn take(&self, count: usize, max: usize) -> Vec<Delivery> {
        let mut all = Vec::new();
        while all.len() < count {
            let before = all.len();
            self.doorbell.take(&self.mailboxes, &mut all, max);
            if all.len() < count && all.len() - before < max {
                block_on(self.doorbell.wait());
            }
        }
        all
    }

    fn books(&self) -> LedgerSnapshot {
        let report: LedgerReport = self.ledger.report(|in_flight| {
            for mailbox in &self.mailboxes {
                mailbox.count(in_flight);
            }
        });
        assert!(report.is_balanced(), "{report:?}");
        report.total
    }
}

/// What one publisher published to one mailbox, as it arrived.
fn numbers(deliveries: &[Delivery], subscription: u32, publisher: u32) -> Vec<u32> {
    let to = deliveries
        .iter()
        .filter(|delivery| delivery.subscription == subscription);
    let from = to.filter(|delivery| delivery.event.publisher == publisher);
    from.map(|delivery| delivery.event.number).collect()
}

#[test]
fn whoever_waits_is_woken_and_nothing_is_lost() {
    check(|| {
        let room = Room::new(&[(Qos::Batched, 1)]);
        let publishers = [room.publisher(0, 2), room.publisher(1, 2)];
        let all = room.take(4, 2);
        assert_eq!(numbers(&all, 0, 0), [0, 1]);
        assert_eq!(numbers(&all, 0, 1), [0, 1]);
        for publisher in publishers {
            assert_eq!(publisher.join().expect("no panic"), 2);
        }
        assert_eq!(room.books().delivered, 4);
    });
}

#[test]
fn several_mailboxes_share_a_doorbell() {
    check(|| {
        let room = Room::new(&[(Qos::Batched, 1), (Qos::Background, 2)]);
        let publisher = room.publisher(0, 3);
        let all = room.take(6, 1);
        assert_eq!(numbers(&all, 0, 0), [0, 1, 2]);
        assert_eq!(numbers(&all, 1, 0), [0, 1, 2]);
        publisher.join().expect("no panic");
        assert_eq!(room.books().delivered, 6);
    });
}

#[test]
fn a_realtime_mailbox_keeps_the_newest_and_counts_the_rest() {
    check(|| {
        let room = Room::new(&[(Qos::Realtime, 1)]);
        let publisher = room.publisher(0, 3);
        let mut all = room.take(1, 1);
        publisher.join().expect("no panic");
        room.doorbell.take(&room.mailboxes, &mut all, 9);
        let numbers = numbers(&all, 0, 0);
        assert!(
            numbers.is_sorted() && numbers.last() == Some(&2),
            "{numbers:?}"
        );
        let books = room.books();
        let lost = books.dropped[DropReason::MailboxFull as usize];
        assert_eq!((books.published, books.delivered + lost), (3, 3));
    });
}

#[test]
fn who_waits_for_room_is_let_go_when_the_subscriber_leaves() {
    check(|| {
        let room = Room::new(&[(Qos::Batched, 1)]);
        let publishers = [room.publisher(0, 2), room.publisher(1, 1)];
        let arrived = room.take(1, 1).len();
        room.mailboxes[0].close();
        let taken: usize = publishers
            .into_iter()
            .map(|publisher| publisher.join().expect("no panic"))
            .sum();
        let books = room.books();
        assert!(arrived <= taken && taken <= 3);
        assert_eq!(
            (books.delivered, books.dropped_total(), books.in_flight),
            (1, 2, 0)
        );
    });
}

#[test]
fn who_comes_at_the_same_time_finds_the_same_accounts() {
    check(|| {
        let ledger = Arc::new(Ledger::new(1));
        let bookers: Vec<_> = ["a", "b"]
            .map(|mine| {
                let ledger = Arc::clone(&ledger);
                thread::spawn(move || {
                    for topic in [mine, "_inbox.x", "a"] {
                        let account = ledger.account(&topic.into());
                        ledger.filtered(account);
                        assert_eq!(ledger.account(&topic.into()), account);
                    }
                })
            })
            .into();
        for booker in bookers {
            booker.join().expect("no panic");
        }
        let report = ledger.report(|_| {});
        assert!(report.is_balanced() && report.is_quiet, "{report:?}");
        assert_eq!((report.topics.len(), report.total.filtered), (3, 6));
        assert_eq!(report.of(INBOXES).expect("always there").filtered, 2);
    });
}
