//! Publishing on topics that a stream keeps, over a journal whose commits the test makes. It stands in for the crate
//! `journal`, which has tests of its own.

#[path = "common/held_journal.rs"]
mod held_journal;

use std::sync::Arc;
use std::time::Duration;

use held_journal::HeldJournal;
use loom_core::bus::Progress;
use loom_core::{
    BusConfig, Event, EventBus, Journal, JournalError, PublishError, Published, Stored, Stream,
    StreamConfig, StreamError, Subscription, Tracer,
};

fn orders(journal: &Arc<HeldJournal>) -> Stream {
    let config = StreamConfig::new("orders", &["orders.>"]);
    Stream::open(config, Arc::clone(journal) as Arc<dyn Journal>).expect("valid")
}

fn bus(journal: &Arc<HeldJournal>) -> EventBus {
    let config = BusConfig {
        publish_wait_ms: Duration::from_millis(200),
        ..BusConfig::default()
    };
    EventBus::with_streams(config, Tracer::off(), vec![orders(journal)]).expect("one stream")
}

fn order() -> Event {
    Event::on("orders.new", "one").expect("valid")
}

fn stored(published: &Published) -> &Stored {
    published.stored.as_ref().expect("the stream keeps it")
}

#[tokio::test]
async fn a_publish_counts_when_the_disk_has_it() {
    let journal = HeldJournal::new(10);
    let bus = bus(&journal);
    let published = bus.publish(order()).await.expect("taken");
    assert!(stored(&published).outcome().is_none());
    let waiting = stored(&published).clone();
    let committed = tokio::spawn(async move { waiting.committed().await });
    journal.commit();
    committed.await.expect("no panic").expect("committed");
    assert_eq!(
        (stored(&published).offset(), stored(&published).is_duplicate),
        (0, false)
    );

    let elsewhere = bus
        .publish(Event::on("other", "x").expect("valid"))
        .await
        .expect("taken");
    assert!(elsewhere.stored.is_none());
    assert_eq!(journal.end(), 1);
}

#[tokio::test]
async fn a_retry_is_told_that_it_is_stored_and_nobody_gets_it_twice() {
    let journal = HeldJournal::new(10);
    let bus = bus(&journal);
    let mut live = bus
        .subscribe(&[Subscription::to("orders.>")])
        .expect("valid");
    let event = order();
    let first = bus.publish(event.clone()).await.expect("taken");
    // Before the commit and after it.
    let early = bus.publish(event.clone()).await.expect("taken");
    assert!(stored(&early).is_duplicate && stored(&early).outcome().is_none());
    journal.commit();
    let late = bus.publish(event.clone()).await.expect("taken");
    assert!(stored(&late).is_duplicate);
    assert_eq!(stored(&late).outcome(), Some(Ok(())));
    assert_eq!(stored(&late).offset(), stored(&first).offset());
    assert_eq!(bus.streams()[0].duplicates(), 2);
    let mut received = Vec::new();
    assert_eq!(live.try_recv_many(&mut received, 10), 1);
    assert_eq!(bus.stats().events, 1);

    // Also after the server has come back.
    let bus = EventBus::with_streams(BusConfig::default(), Tracer::off(), vec![orders(&journal)])
        .expect("one stream");
    let again = bus.publish(event).await.expect("taken");
    assert!(stored(&again).is_duplicate);
}

#[tokio::test]
async fn a_commit_that_fails_is_told_and_the_retry_is_new() {
    let journal = HeldJournal::new(10);
    let bus = bus(&journal);
    let event = order();
    let published = bus.publish(event.clone()).await.expect("taken");
    journal.fail();
    let error = stored(&published)
        .committed()
        .await
        .expect_err("the disk refused");
    assert!(
        matches!(&error, PublishError::NotStored { stream, .. } if stream == "orders"),
        "{error}"
    );
    let again = bus.publish(event).await.expect("taken");
    assert!(!stored(&again).is_duplicate);
    journal.commit();
    stored(&again).committed().await.expect("committed");
}

#[tokio::test]
async fn a_publisher_waits_while_too_much_waits_for_the_disk() {
    let journal = HeldJournal::new(1);
    let bus = bus(&journal);
    let mut live = bus
        .subscribe(&[Subscription::to("orders.>")])
        .expect("valid");
    bus.publish(order()).await.expect("there is room for one");
    let mut publisher = bus.publisher();
    let Progress::Waiting(waiting) = publisher.publish_now(order()).expect("not refused") else {
        panic!("there is no room");
    };
    let waiting = tokio::spawn(waiting.finish());
    journal.commit();
    let published = waiting.await.expect("no panic").expect("taken");
    assert_eq!(stored(&published).offset(), 1);

    // Nobody makes room: it is not published at all.
    let error = bus.publish(order()).await.expect_err("no room in time");
    assert!(
        matches!(
            error,
            PublishError::NotStored {
                source: JournalError::Full,
                ..
            }
        ),
        "{error}"
    );
    let mut received = Vec::new();
    assert_eq!(live.try_recv_many(&mut received, 10), 2);
    assert!(bus.stats().is_balanced());
}

#[tokio::test]
async fn a_topic_is_kept_by_one_stream() {
    let stream = |name: &str, topic: &str| {
        let config = StreamConfig::new(name, &[topic]);
        Stream::open(config, HeldJournal::new(1) as Arc<dyn Journal>).expect("valid")
    };
    let both = vec![stream("a", "orders.>"), stream("b", "*.new")];
    let error = EventBus::with_streams(BusConfig::default(), Tracer::off(), both)
        .expect_err("orders.new would be kept twice");
    assert!(
        matches!(&error, StreamError::Overlap { stream, other, .. } if stream == "b" && other == "a")
    );
    let apart = vec![stream("a", "orders.>"), stream("b", "other.*")];
    EventBus::with_streams(BusConfig::default(), Tracer::off(), apart).expect("nothing in common");

    let config = StreamConfig::new("c", &["a..b"]);
    let error = Stream::open(config, HeldJournal::new(1)).expect_err("not a pattern");
    assert!(error.to_string().contains("streams.c.topics"), "{error}");
}
