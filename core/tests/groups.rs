//! Groups: each event of a stream is handled by one of their members, in the order of its thread, or becomes a dead letter.

#[path = "common/held_journal.rs"]
mod held_journal;
#[path = "common/shop.rs"]
mod shop;

use std::sync::Arc;

use held_journal::HeldJournal;
use loom_core::group::dead_letter::{TriedAttempt, header};
use loom_core::{Acknowledged, Event, Fate, Forwarded, GroupStart, Journal, Subscription, Verdict};
use loom_proto::{Code, EventId, SpanId, TraceContext};
use loom_telemetry::ids;
use shop::{NO_REST, PATIENCE, Shop, text};
use tokio::time::timeout;

#[tokio::test]
async fn members_share_the_events_and_each_is_handled_once() {
    let shop = Shop::open();
    let (mut one, mut other) = (shop.worker(), shop.worker());
    for number in 0..10 {
        shop.order("orders.new", "", &number.to_string()).await;
    }
    let (first, second) = (one.takes(5).await, other.takes(5).await);
    let mut all: Vec<_> = first.iter().chain(&second).map(text).collect();
    all.sort();
    assert_eq!(all, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    for attempt in &first {
        one.settle(attempt, Verdict::Ack);
    }
    let books = shop.bus.report();
    assert!(books.is_balanced(), "{books:?}");
    assert_eq!((books.total.delivered, books.total.in_flight), (5, 5));
    drop(other);
    // What the lost one had in hand is tried again.
    let again = one.takes(5).await;
    assert!(again.iter().all(|attempt| attempt.number == 2), "{again:?}");
}

#[tokio::test]
async fn groups_do_not_share_and_get_what_they_want() {
    let shop = Shop::open();
    shop.order("orders.new", "", "a").await;
    shop.order("orders.old", "", "b").await;
    let mut all = shop.worker();
    let mut old = shop.worker_in("archive", "orders.old").expect("a member");
    assert_eq!(all.takes(2).await.len(), 2);
    assert_eq!(text(&old.takes_one().await), "b");
    let next = Acknowledged {
        group: "next".to_owned(),
        start: GroupStart::Next,
        ..Acknowledged::default()
    };
    let mut next = shop.worker_as(&next, "orders.>").expect("a member");
    shop.order("orders.new", "", "c").await;
    assert_eq!(text(&next.takes_one().await), "c");
}

#[tokio::test]
async fn a_group_goes_on_where_it_was_saved() {
    let shop = Shop::open();
    let mut worker = shop.worker();
    for number in 0..5 {
        shop.order("orders.new", "", &number.to_string()).await;
    }
    let taken = worker.takes(5).await;
    for attempt in [&taken[0], &taken[1], &taken[3]] {
        worker.settle(attempt, Verdict::Ack);
    }
    shop.bus.save_groups();
    let shop = Shop::over(Arc::clone(&shop.orders));
    let mut worker = shop.worker();
    let left: Vec<_> = worker.takes(2).await.iter().map(text).collect();
    assert_eq!(left, ["2", "4"]);
}

#[tokio::test]
async fn what_nobody_can_handle_becomes_a_dead_letter_and_its_thread_goes_on() {
    let shop = Shop::open();
    let mut graveyard = shop
        .bus
        .subscribe(&[Subscription::to("dlq.>")])
        .expect("valid");
    let mut worker = shop.worker();
    shop.order("orders.new", "customer", "first").await;
    shop.order("orders.new", "customer", "second").await;
    for number in 1..=3 {
        let attempt = worker.takes_one().await;
        assert_eq!(
            (text(&attempt), attempt.number),
            ("first".to_owned(), number)
        );
        worker.settle(&attempt, NO_REST);
    }
    let letter = timeout(PATIENCE, graveyard.recv()).await.expect("it comes");
    // The group holds on to it until its letter is committed.
    let mut none = Vec::new();
    assert_eq!(worker.member.take(9, &mut none), 0);
    shop.dead.commit();
    let second = worker.takes_one().await;
    assert_eq!(text(&second), "second");

    let letter = letter.event.decode().expect("valid");
    let first: EventId = letter.metadata[header::EVENT_ID].parse().expect("an id");
    let fate = |id| shop.bus.fate("orders.new", id, "workers");
    assert_eq!(fate(first), Some(Fate::Dead));
    assert_eq!(fate(second.event.id()), Some(Fate::Open));
    assert_eq!(shop.bus.fate("results.new", first, "workers"), None);
    assert_eq!(letter.topic, "dlq.orders.workers");
    assert_eq!(letter.payload, "first");
    for (key, value) in [
        (header::TOPIC, "orders.new"),
        (header::STREAM, "orders"),
        (header::OFFSET, "0"),
        (header::GROUP, "workers"),
        (header::ERROR, "no stock"),
    ] {
        assert_eq!(
            letter.metadata.get(key).map(String::as_str),
            Some(value),
            "{key}"
        );
    }
    let attempts: Vec<TriedAttempt> =
        serde_json::from_str(&letter.metadata[header::ATTEMPTS]).expect("a list");
    let told: Vec<_> = attempts.iter().map(|a| (a.number, &*a.error)).collect();
    assert_eq!(told, [(1, "no stock"), (2, "no stock"), (3, "no stock")]);
    assert!(attempts.is_sorted_by_key(|attempt| attempt.time_unix_ms));
    let books = shop.bus.groups()[0].books();
    assert_eq!(
        (books.read, books.dead, books.retried, books.open),
        (2, 1, 2, 1)
    );
    let report = shop.bus.report();
    assert!(report.is_balanced(), "{report:?}");
    let orders = report.of("orders.new").expect("an account");
    assert_eq!(
        (
            orders.events,
            orders.published,
            orders.dead_lettered,
            orders.in_flight
        ),
        (2, 2, 1, 1)
    );
    let letters = report.of("dlq.orders.workers").expect("an account");
    assert_eq!((letters.published, letters.delivered), (1, 1));
    worker.settle(&second, Verdict::Ack);
    assert_eq!(fate(second.event.id()), Some(Fate::Handled));
}

#[tokio::test]
async fn a_rejected_event_is_not_tried_again() {
    let shop = Shop::open();
    let mut worker = shop.worker();
    shop.order("orders.new", "", "bad").await;
    let attempt = worker.takes_one().await;
    worker.settle(&attempt, Verdict::Reject);
    worker.settle(&attempt, Verdict::Ack);
    assert_eq!(shop.bus.groups()[0].books().stale, 1);
    shop.letter_is_kept().await;
    shop.order("orders.new", "", "good").await;
    assert_eq!(text(&worker.takes_one().await), "good");
}

#[tokio::test]
async fn a_letter_that_is_kept_is_not_kept_again_after_a_crash() {
    let shop = Shop::open();
    let reject = async |shop: &Shop| {
        let mut worker = shop.worker();
        let attempt = worker.takes_one().await;
        worker.settle(&attempt, Verdict::Reject);
        timeout(PATIENCE, async {
            while shop.dead.waiting() == 0 && shop.bus.streams()[1].duplicates() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("its letter is written");
        shop.dead.commit();
        worker
    };
    shop.order("orders.new", "", "bad").await;
    let _worker = reject(&shop).await;
    assert_eq!(shop.dead.end(), 1);
    // Killed before the group was saved: the journals are all that is left.
    let orders = HeldJournal::copy_of(&shop.orders);
    let shop = Shop::between(orders, Arc::clone(&shop.dead));
    let _worker = reject(&shop).await;
    assert_eq!(shop.bus.streams()[1].duplicates(), 1);
    assert_eq!(shop.dead.end(), 1);
}

#[tokio::test]
async fn a_letter_stands_in_the_trace_below_the_last_attempt() {
    let shop = Shop::open();
    let mut graveyard = shop
        .bus
        .subscribe(&[Subscription::to("dlq.>")])
        .expect("valid");
    let mut worker = shop.worker();
    let mut order = Event::on("orders.new", "bad").expect("valid");
    let trace = ids::new_root(true);
    order.set_trace(Some(trace));
    shop.bus.publish(order).await.expect("taken");
    shop.orders.commit();
    let spans = [1, 2].map(|number| SpanId([number; 8]));
    for (span, previous) in [(spans[0], None), (spans[1], Some(spans[0]))] {
        let attempt = worker.takes_one().await;
        assert_eq!(attempt.previous.map(|context| context.span_id), previous);
        worker.member.forwarded([Forwarded {
            offset: attempt.offset,
            attempt: attempt.number,
            span,
        }]);
        let verdict = previous.map_or(NO_REST, |_| Verdict::Reject);
        worker.settle(&attempt, verdict);
    }
    let letter = timeout(PATIENCE, graveyard.recv()).await.expect("it comes");
    let below = TraceContext {
        span_id: spans[1],
        ..trace
    };
    assert_eq!(letter.event.trace(), Some(below));
    let letter = letter.event.decode().expect("valid");
    let attempts: Vec<TriedAttempt> =
        serde_json::from_str(&letter.metadata[header::ATTEMPTS]).expect("a list");
    let told: Vec<_> = attempts.iter().map(|a| a.span_id.clone()).collect();
    assert_eq!(told, spans.map(|span| span.to_string()));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_made_again_elsewhere() {
    let shop = Shop::open();
    let hasty = Acknowledged {
        group: "workers".to_owned(),
        timeout: PATIENCE / 4,
        ..Acknowledged::default()
    };
    let mut worker = shop.worker_as(&hasty, "orders.>").expect("a member");
    shop.order("orders.new", "", "slow").await;
    let slow = worker.takes_one().await;
    let again = worker.takes_one().await;
    assert_eq!(again.number, 2);
    worker.settle(&slow, Verdict::Ack);
    worker.settle(&again, Verdict::Ack);
    let books = shop.bus.groups()[0].books();
    assert_eq!((books.timed_out, books.stale, books.acked), (1, 1, 1));
}

#[tokio::test]
async fn a_member_has_no_more_in_hand_than_it_may() {
    let shop = Shop::open();
    let narrow = Acknowledged {
        group: "workers".to_owned(),
        max_in_flight: 2,
        ..Acknowledged::default()
    };
    let mut worker = shop.worker_as(&narrow, "orders.>").expect("a member");
    for number in 0..3 {
        shop.order("orders.new", "", &number.to_string()).await;
    }
    let taken = worker.takes(2).await;
    let mut more = Vec::new();
    assert_eq!(worker.member.take(9, &mut more), 0);
    worker.settle(&taken[1], Verdict::Ack);
    assert_eq!(text(&worker.takes_one().await), "2");
}

#[tokio::test]
async fn a_group_begins_where_it_is_told_to() {
    let shop = Shop::open();
    for number in 0..5 {
        shop.order("orders.new", "", &number.to_string()).await;
    }
    let read = shop.orders.read(0, usize::MAX).expect("read");
    let third = read.events[3].1.published_unix_nano();
    for (group, start, expected) in [
        ("a", GroupStart::Offset(2), "2"),
        ("b", GroupStart::Time(third), "3"),
        ("c", GroupStart::Time(0), "0"),
        ("d", GroupStart::Offset(99), "5"),
    ] {
        let wanted = Acknowledged {
            group: group.to_owned(),
            start,
            ..Acknowledged::default()
        };
        let mut worker = shop.worker_as(&wanted, "orders.>").expect("a member");
        if group == "d" {
            shop.order("orders.new", "", "5").await;
        }
        assert_eq!(text(&worker.takes_one().await), expected, "{start:?}");
    }
}

#[tokio::test]
async fn a_group_without_members_is_moved_and_goes_on_there() {
    let shop = Shop::open();
    for number in 0..4 {
        shop.order("orders.new", "", &number.to_string()).await;
    }
    let mut worker = shop.worker();
    for attempt in worker.takes(3).await {
        worker.settle(&attempt, Verdict::Ack);
    }
    let move_to = async |shop: &Shop, to| shop.bus.reset_group("orders", "workers", to).await;
    let in_use = move_to(&shop, GroupStart::Oldest).await;
    assert_eq!(in_use.expect_err("it has one").code(), Code::GroupInUse);
    drop(worker);

    assert_eq!(move_to(&shop, GroupStart::Offset(1)).await, Ok(1));
    let books = shop.bus.groups()[0].books();
    assert_eq!(
        books.read,
        books.acked + books.open,
        "what is read again counts again"
    );
    let mut worker = shop.worker();
    let again: Vec<_> = worker.takes(3).await.iter().map(text).collect();
    assert_eq!(again, ["1", "2", "3"]);
    drop(worker);

    // Also one that nobody has joined since the start.
    shop.bus.save_groups();
    let shop = Shop::over(Arc::clone(&shop.orders));
    let views = shop.bus.group_views().expect("read");
    let known: Vec<_> = views.iter().map(|v| (&*v.name, v.floor, v.end)).collect();
    assert_eq!(known, [("workers", 1, 4)]);
    assert_eq!(views[0].active, None);
    assert_eq!(move_to(&shop, GroupStart::Next).await, Ok(4));
    let mut worker = shop.worker();
    shop.order("orders.new", "", "4").await;
    assert_eq!(text(&worker.takes_one().await), "4");

    let unknown = shop.bus.reset_group("orders", "nobody", GroupStart::Next);
    assert_eq!(unknown.await.expect_err("unknown").code(), Code::NotFound);
    let unknown = shop.bus.reset_group("nowhere", "workers", GroupStart::Next);
    assert_eq!(unknown.await.expect_err("unknown").code(), Code::NotFound);
}

#[tokio::test]
async fn what_cannot_be_joined_is_said() {
    let shop = Shop::open();
    let _member = shop.worker();
    let refused = |group: &str, pattern: &str| {
        let refused = shop.worker_in(group, pattern);
        refused.map(|_| ()).expect_err("refused").to_string()
    };
    assert!(refused("workers", "orders.new").contains("orders.>"));
    assert!(refused("workers", "elsewhere.>").contains("no stream"));
    assert!(refused("workers", ">").contains("orders and dlq"));
    assert!(refused("a b", "orders.>").contains("\"a b\""));
    assert!(refused("workers", "orders..x").contains("segment 2"));
    let _others: Vec<_> = ["a", "b", "c"]
        .map(|group| shop.worker_in(group, "orders.>").expect("there is room"))
        .into();
    assert!(refused("d", "orders.>").contains("4 groups are open"));
}
