//! Attempts are counted and remembered over kills of the server: what is left of it is what its journals have saved.

#[path = "common/held_journal.rs"]
mod held_journal;
#[path = "common/shop.rs"]
mod shop;

use std::time::Duration;

use held_journal::HeldJournal;
use loom_core::group::dead_letter::{TriedAttempt, header};
use loom_core::{Attempt, Event, Forwarded, GroupStart, Journal, Stage, Tracer, Tried, Verdict};
use loom_proto::{SpanId, v1};
use loom_telemetry::{
    MessageOperation, Recorder, RecorderConfig, Sampler, SpanDetail, SpanRecord, ids,
};
use shop::{NO_REST, PATIENCE, Shop, Worker, text};
use tokio::time::{advance, timeout};

const SPAN: SpanId = SpanId([7; 8]);
const LOST: &str = "the server was lost";

/// The next server, over what the last one has saved up to now.
fn killed(shop: &Shop) -> Shop {
    Shop::between(
        HeldJournal::left_by(&shop.orders),
        HeldJournal::left_by(&shop.dead),
    )
}

/// As `killed`, with everything saved.
fn saved_and_killed(shop: &Shop) -> Shop {
    shop.bus.save_groups();
    killed(shop)
}

fn tried(shop: &Shop) -> Vec<Tried> {
    let cursor = shop.orders.load_cursor("workers").expect("read");
    cursor.map(|cursor| cursor.tried).unwrap_or_default()
}

fn forwarded(worker: &Worker, attempt: &Attempt, span: SpanId) {
    worker.member.forwarded([Forwarded {
        offset: attempt.offset,
        attempt: attempt.number,
        span,
    }]);
}

/// The stand-ins for so many attempts.
async fn stand_ins(recorder: &Recorder, count: usize) -> Vec<SpanRecord> {
    let told = async {
        let mut stand_ins = Vec::new();
        while stand_ins.len() < count {
            let mut spans = Vec::new();
            recorder.drain(&mut spans);
            stand_ins.extend(spans.into_iter().filter(is_forward));
            tokio::task::yield_now().await;
        }
        stand_ins
    };
    timeout(PATIENCE, told).await.expect("they are told")
}

fn is_forward(span: &SpanRecord) -> bool {
    matches!(&span.detail, SpanDetail::Message(detail)
        if matches!(detail.operation, MessageOperation::BridgeForward { .. }))
}

/// The dead letter that comes next.
async fn letter(shop: &Shop) -> v1::Event {
    shop.letter_is_kept().await;
    let last = shop.dead.end() - 1;
    let read = shop.dead.read(last, usize::MAX).expect("read");
    read.events[0].1.decode().expect("valid")
}

fn story(letter: &v1::Event) -> Vec<(u32, String, String)> {
    let attempts = &letter.metadata[header::ATTEMPTS];
    let attempts: Vec<TriedAttempt> = serde_json::from_str(attempts).expect("a list");
    attempts
        .into_iter()
        .map(|attempt| (attempt.number, attempt.error, attempt.span_id))
        .collect()
}

#[tokio::test]
async fn what_was_in_hand_when_the_server_was_killed_has_failed() {
    let mut shop = Shop::open();
    let mut order = Event::on("orders.new", "slow").expect("valid");
    order.set_trace(Some(ids::new_root(true)));
    shop.bus.publish(order).await.expect("taken");
    shop.orders.commit();
    let spans = [1, 2, 3].map(|number| SpanId([number; 8]));
    let mut previous = None;
    for (number, span) in (1..).zip(spans) {
        let mut worker = shop.worker();
        let attempt = worker.takes_one().await;
        assert_eq!(attempt.number, number);
        assert_eq!(attempt.previous.map(|context| context.span_id), previous);
        forwarded(&worker, &attempt, span);
        previous = Some(span);
        shop = saved_and_killed(&shop);
    }
    let mut worker = shop.worker();
    let letter = letter(&shop).await;
    let expected = (1..).zip(spans);
    let expected = expected.map(|(number, span)| (number, LOST.to_owned(), span.to_string()));
    assert_eq!(story(&letter), expected.collect::<Vec<_>>());
    assert_eq!(letter.metadata[header::ERROR], LOST);
    shop.order("orders.new", "", "next").await;
    assert_eq!(text(&worker.takes_one().await), "next");
    let report = shop.bus.report();
    assert!(report.is_balanced(), "{report:?}");
    let books = shop.bus.groups()[0].books();
    assert_eq!((books.dead, books.retried), (1, 0));
}

#[tokio::test]
async fn attempts_are_told_again_since_each_links_to_the_one_before() {
    let shop = Shop::open();
    let mut worker = shop.worker();
    let mut order = Event::on("orders.new", "slow").expect("valid");
    order.set_trace(Some(ids::new_root(true)));
    shop.bus.publish(order).await.expect("taken");
    shop.order("orders.new", "", "never sent").await;
    let spans = [1, 2, 3].map(|number| SpanId([number; 8]));
    let first = worker.takes(2).await.remove(0);
    forwarded(&worker, &first, spans[0]);
    worker.settle(&first, NO_REST);
    let second = worker.takes_one().await;
    forwarded(&worker, &second, spans[1]);
    worker.settle(&second, NO_REST);
    let third = worker.takes_one().await;
    forwarded(&worker, &third, spans[2]);
    shop.bus.save_groups();
    let recorder = Recorder::new(Vec::new(), RecorderConfig::default());
    let shop = Shop::traced(
        HeldJournal::left_by(&shop.orders),
        HeldJournal::left_by(&shop.dead),
        Tracer::new(recorder.clone(), Sampler::default()),
    );
    let _worker = shop.worker();
    let told = stand_ins(&recorder, spans.len()).await;
    let published = third.event.trace().expect("it has one");
    assert_eq!(told.len(), spans.len());
    let mut previous = None;
    for ((number, span), told) in (1..).zip(spans).zip(told) {
        assert_eq!(told.context.trace_id, published.trace_id);
        assert_eq!(told.context.span_id, span);
        assert_eq!(told.parent_span_id, published.span_id);
        let SpanDetail::Message(detail) = told.detail else {
            unreachable!("it is a forward")
        };
        assert!(detail.is_stand_in);
        let link = detail.link.map(|link| (link.trace_id, link.span_id));
        assert_eq!(link, previous.map(|span| (published.trace_id, span)));
        assert!(matches!(
            detail.operation,
            MessageOperation::BridgeForward { attempt, .. } if attempt == number
        ));
        previous = Some(span);
    }
}

#[tokio::test]
async fn an_attempt_is_saved_soon_after_it_began_and_forgotten_when_it_is_settled() {
    let shop = Shop::open();
    let mut worker = shop.worker();
    shop.order("orders.new", "", "a").await;
    let saved = async |is_expected: fn(&[Tried]) -> bool| {
        let saved = async {
            while !is_expected(&tried(&shop)) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, saved).await.expect("it is saved");
    };
    let attempt = worker.takes_one().await;
    saved(|tried| matches!(tried, [one] if one.stage == Stage::InHand && one.attempts == 1)).await;
    forwarded(&worker, &attempt, SPAN);
    saved(|tried| matches!(tried, [one] if one.span == SPAN)).await;
    worker.settle(&attempt, Verdict::Ack);
    saved(<[Tried]>::is_empty).await;
}

#[tokio::test]
async fn an_attempt_with_a_verdict_keeps_it() {
    let shop = Shop::open();
    let mut worker = shop.worker();
    for payload in ["handled", "failed"] {
        shop.order("orders.new", "", payload).await;
    }
    let taken = worker.takes(2).await;
    worker.settle(&taken[0], Verdict::Ack);
    worker.settle(&taken[1], NO_REST);
    let shop = saved_and_killed(&shop);
    let mut worker = shop.worker();
    let again = worker.takes_one().await;
    assert_eq!((text(&again), again.number), ("failed".to_owned(), 2));
    worker.settle(&again, Verdict::Reject);
    let letter = letter(&shop).await;
    let told: Vec<_> = story(&letter)
        .into_iter()
        .map(|(n, why, _)| (n, why))
        .collect();
    assert_eq!(told, [1, 2].map(|number| (number, "no stock".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_rest_goes_on() {
    const HOUR: Duration = Duration::from_secs(3600);
    let shop = Shop::open();
    let mut worker = shop.worker();
    shop.order("orders.new", "thread", "failed").await;
    shop.order("orders.new", "thread", "behind").await;
    let attempt = worker.takes_one().await;
    worker.settle(&attempt, Verdict::Retry(Some(HOUR)));
    let shop = saved_and_killed(&shop);
    let mut worker = shop.worker();
    shop.order("orders.new", "", "other").await;
    assert_eq!(text(&worker.takes_one().await), "other");
    assert_eq!(worker.member.take(1, &mut Vec::new()), 0);
    advance(HOUR).await;
    let again = worker.takes_one().await;
    assert_eq!((text(&again), again.number), ("failed".to_owned(), 2));
    worker.settle(&again, Verdict::Ack);
    let behind = worker.takes_one().await;
    assert_eq!((text(&behind), behind.number), ("behind".to_owned(), 1));
}

#[tokio::test]
async fn what_was_given_up_gets_its_letter_and_is_not_tried_again() {
    let shop = Shop::open();
    let mut worker = shop.worker();
    shop.order("orders.new", "", "bad").await;
    let attempt = worker.takes_one().await;
    worker.settle(&attempt, Verdict::Reject);
    // Killed before the letter is committed.
    let shop = saved_and_killed(&shop);
    let mut worker = shop.worker();
    let letter = letter(&shop).await;
    assert_eq!(story(&letter), [(1, "no stock".to_owned(), String::new())]);
    shop.order("orders.new", "", "good").await;
    assert_eq!(text(&worker.takes_one().await), "good");
}

#[tokio::test]
async fn attempts_are_kept_until_their_events_are_read_again() {
    let shop = Shop::open();
    let mut worker = shop.worker();
    shop.order("orders.new", "", "slow").await;
    let attempt = worker.takes_one().await;
    forwarded(&worker, &attempt, SPAN);
    let shop = saved_and_killed(&shop);
    // The feeder has not run yet.
    let _worker = shop.worker();
    let shop = saved_and_killed(&shop);
    let again = shop.worker().takes_one().await;
    assert_eq!(again.number, 2, "the second server gave it to nobody");
}

#[tokio::test]
async fn a_group_that_is_moved_counts_anew() {
    let shop = Shop::open();
    let fail = async |shop: &Shop| {
        let mut worker = shop.worker();
        let attempt = worker.takes_one().await;
        worker.settle(&attempt, NO_REST);
        attempt.number
    };
    let reset = async |shop: &Shop| {
        let reset = shop
            .bus
            .reset_group("orders", "workers", GroupStart::Oldest);
        reset.await.expect("it has no members");
    };
    shop.order("orders.new", "", "a").await;
    assert_eq!((fail(&shop).await, fail(&shop).await), (1, 2));
    reset(&shop).await;
    assert_eq!(fail(&shop).await, 1);
    // Also one that nobody has joined since the start, or whose event was not read again.
    let shop = saved_and_killed(&shop);
    reset(&shop).await;
    assert_eq!(fail(&shop).await, 1);
    let shop = saved_and_killed(&shop);
    drop(shop.worker());
    reset(&shop).await;
    assert_eq!(fail(&shop).await, 1);
}
