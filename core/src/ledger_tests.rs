//! In a file of their own, because `model.rs` checks the ledger against a scheduler of its own.

use std::sync::Arc;

use crate::event::Event;
use crate::ledger::{AccountId, DropReason, INBOXES, Ledger, OTHERS};
use crate::mailbox::Delivery;

fn account(ledger: &Ledger, topic: &str) -> AccountId {
    ledger.account(&topic.into())
}

fn delivery(account: AccountId) -> Delivery {
    let mut event = Event::on("a", "").expect("valid");
    event.set_account(account);
    Delivery {
        subscription: 0,
        event: Arc::new(event),
    }
}

#[test]
fn a_topic_has_one_account_and_the_inboxes_share_one() {
    let ledger = Ledger::new(10);
    assert_eq!(account(&ledger, "a"), account(&ledger, "a"));
    assert_ne!(account(&ledger, "a"), account(&ledger, "b"));
    assert_eq!(account(&ledger, "_inbox.a"), account(&ledger, "_inbox.b"));
}

#[test]
fn topics_beyond_the_limit_share_the_account_of_the_others() {
    let ledger = Ledger::new(2);
    let first = ["a", "b"].map(|topic| account(&ledger, topic));
    assert!(!first.contains(&AccountId::OTHERS));
    assert_eq!(account(&ledger, "c"), AccountId::OTHERS);
    assert_eq!(account(&ledger, "a"), first[0]);
    ledger.filtered(account(&ledger, "c"));
    ledger.filtered(account(&ledger, "d"));
    let report = ledger.report(|_| {});
    let topics: Vec<_> = report
        .topics
        .iter()
        .map(|(topic, row)| (&**topic, row.filtered))
        .collect();
    assert_eq!(topics, [(INBOXES, 0), ("a", 0), ("b", 0), (OTHERS, 2)]);
    assert_eq!(Ledger::new(0).account(&"a".into()), AccountId::OTHERS);
}

#[test]
fn a_batch_is_booked_topic_by_topic() {
    let ledger = Ledger::new(10);
    let [a, b] = ["a", "b"].map(|topic| account(&ledger, topic));
    ledger.published(a, 4);
    ledger.published(b, 2);
    ledger.delivered([a, a, b, a]);
    ledger.undelivered(DropReason::ConnectionLost, &[delivery(a)]);
    ledger.dropped(DropReason::SubscriberGone, [b]);
    let report = ledger.report(|in_flight| in_flight.add(a, 1));
    assert!(report.is_balanced(), "{report:?}");
    let a = report.of("a").expect("an account");
    assert_eq!(
        (a.events, a.published, a.delivered, a.in_flight),
        (1, 4, 2, 1)
    );
    assert_eq!(report.total.dropped_total(), 2);
}

#[test]
fn what_cannot_be_read_is_on_the_account_of_the_others() {
    let ledger = Ledger::new(10);
    ledger.unreadable(3, true);
    ledger.unreadable(4, false);
    let report = ledger.report(|_| {});
    assert!(report.is_balanced(), "{report:?}");
    let others = report.of(OTHERS).expect("always");
    let damaged = others.dropped[DropReason::Damaged as usize];
    assert_eq!((others.events, others.expired, damaged), (0, 3, 4));
}

#[test]
fn what_is_lost_unbooked_is_found() {
    let ledger = Ledger::new(10);
    let [a, b] = ["a", "b"].map(|topic| account(&ledger, topic));
    ledger.published(a, 1);
    ledger.published(b, 1);
    ledger.delivered([a, a]);
    let report = ledger.report(|_| {});
    assert!(report.total.is_balanced(), "one error hides the other");
    assert!(!report.is_balanced(), "but not on their accounts");
}

#[test]
fn a_reason_stands_at_its_place() {
    for (place, reason) in DropReason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, place);
    }
}
