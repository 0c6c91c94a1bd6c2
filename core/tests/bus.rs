//! What the bus promises: order, bounds, policies, and books that add up.

use std::time::Duration;

use loom_core::bus::Progress;
use loom_core::{
    BusConfig, Delivery, DropReason, Event, EventBus, PublishError, Qos, Subscription, Tracer,
};
use loom_proto::v1;
use loom_telemetry::{Pipeline, PipelineConfig, RecorderConfig, Sampler};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

fn bus(config: BusConfig) -> EventBus {
    EventBus::new(config, Tracer::off())
}

fn small() -> BusConfig {
    BusConfig {
        realtime_capacity: 4,
        batched_capacity: 4,
        background_capacity: 4,
        ..BusConfig::default()
    }
}

fn event(topic: &str, number: usize) -> Event {
    Event::on(topic, number.to_string()).expect("a valid topic")
}

fn with(qos: Qos) -> Subscription {
    Subscription {
        qos,
        ..Subscription::to("a")
    }
}

fn numbers(deliveries: &[Delivery]) -> Vec<usize> {
    let number = |delivery: &Delivery| delivery.event.decode().expect("valid").payload;
    deliveries
        .iter()
        .map(|delivery| {
            String::from_utf8_lossy(&number(delivery))
                .parse()
                .expect("a number")
        })
        .collect()
}

#[tokio::test]
async fn a_publisher_waits_for_the_buffers_of_its_spans() {
    const EVENTS: u64 = 3_000;
    let recorder = RecorderConfig {
        shards: 1,
        shard_capacity: 32,
    };
    let config = PipelineConfig {
        recorder,
        ..PipelineConfig::default()
    };
    let pipeline = Pipeline::start(Vec::new(), config).expect("a thread");
    let tracer = Tracer::new(pipeline.recorder(Vec::new()), Sampler::default());
    let bus = EventBus::new(BusConfig::default(), tracer);
    let mut publisher = bus.publisher();
    for _ in 0..EVENTS / 2 {
        publisher.publish(event("a", 0)).await.expect("taken");
        bus.publish(event("a", 0)).await.expect("taken");
    }
    let stats = pipeline.stats();
    assert_eq!((stats.recorded, stats.refused.total()), (EVENTS, 0));
}

#[tokio::test]
async fn one_publisher_s_order_is_kept_in_each_mailbox() {
    let bus = bus(BusConfig::default());
    let mut subscriber = bus.subscribe(&[Subscription::to("a")]).expect("valid");
    let mut publisher = bus.publisher();
    for number in 0..1000 {
        publisher.publish(event("a", number)).await.expect("taken");
    }
    let mut received = Vec::new();
    while received.len() < 1000 {
        timeout(PATIENCE, subscriber.recv_many(&mut received, 64))
            .await
            .expect("in time");
    }
    assert_eq!(numbers(&received), (0..1000).collect::<Vec<_>>());
    assert!(bus.stats().is_balanced());
}

#[tokio::test]
async fn realtime_gives_up_its_oldest_and_counts_it() {
    let bus = bus(small());
    let mut subscriber = bus.subscribe(&[with(Qos::Realtime)]).expect("valid");
    for number in 0..10 {
        let published = bus.publish(event("a", number)).await.expect("taken");
        assert_eq!((published.matched, published.lost), (1, 0));
    }
    let mut received = Vec::new();
    subscriber.try_recv_many(&mut received, 100);
    assert_eq!(numbers(&received), [6, 7, 8, 9]);
    let books = bus.stats();
    assert_eq!(books.dropped[DropReason::MailboxFull as usize], 6);
    assert!(books.is_balanced());
}

#[tokio::test]
async fn batched_and_background_make_the_publisher_wait_and_lose_nothing() {
    for qos in [Qos::Batched, Qos::Background] {
        let bus = bus(small());
        let mut subscriber = bus.subscribe(&[with(qos)]).expect("valid");
        let publishing = tokio::spawn({
            let mut publisher = bus.publisher();
            async move {
                for number in 0..500 {
                    assert_eq!(
                        publisher
                            .publish(event("a", number))
                            .await
                            .expect("taken")
                            .lost,
                        0
                    );
                }
            }
        });
        let mut received = Vec::new();
        while received.len() < 500 {
            timeout(PATIENCE, subscriber.recv_many(&mut received, 3))
                .await
                .expect("in time");
        }
        publishing.await.expect("no panic");
        assert_eq!(numbers(&received), (0..500).collect::<Vec<_>>());
        assert!(bus.stats().is_balanced());
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_waits_only_so_long() {
    let bus = bus(small());
    let _stuck = bus.subscribe(&[with(Qos::Batched)]).expect("valid");
    let mut other = bus.subscribe(&[Subscription::to("a")]).expect("valid");
    let mut received = Vec::new();
    for number in 0..6 {
        let published = bus.publish(event("a", number)).await.expect("taken");
        assert_eq!(published.lost, u32::from(number >= 4), "{number}");
        other.try_recv_many(&mut received, 10);
    }
    assert_eq!(received.len(), 6, "the other subscription missed nothing");
    let books = bus.stats();
    assert_eq!(books.dropped[DropReason::Backpressure as usize], 2);
    assert!(books.is_balanced(), "{books:?}");
}

#[tokio::test]
async fn a_publish_that_is_given_up_is_counted() {
    let bus = bus(small());
    let _stuck = bus.subscribe(&[with(Qos::Batched)]).expect("valid");
    let mut publisher = bus.publisher();
    let mut waiting = None;
    for number in 0..5 {
        match publisher.publish_now(event("a", number)).expect("taken") {
            Progress::Done(_) => {}
            Progress::Waiting(rest) => waiting = Some(rest),
        }
    }
    let waiting = waiting.expect("the fifth waits");
    assert_eq!(bus.stats().in_flight, 5);
    drop(waiting);
    let books = bus.stats();
    assert_eq!((books.in_flight, books.dropped_total()), (4, 1));
    assert!(books.is_balanced());
}

#[tokio::test]
async fn a_subscriber_that_leaves_lets_its_publishers_go() {
    let bus = bus(small());
    let stuck = bus.subscribe(&[with(Qos::Batched)]).expect("valid");
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move {
            for number in 0..10 {
                bus.publish(event("a", number)).await.expect("taken");
            }
        }
    });
    while bus.stats().in_flight < 5 {
        tokio::task::yield_now().await;
    }
    drop(stuck);
    timeout(PATIENCE, publishing)
        .await
        .expect("in time")
        .expect("no panic");
    let books = bus.stats();
    assert_eq!(books.in_flight, 0);
    assert!(books.is_balanced(), "{books:?}");
}

#[tokio::test]
async fn the_higher_classes_are_served_first() {
    let bus = bus(BusConfig::default());
    let subscriptions = [
        Subscription {
            id: 3,
            ..with(Qos::Background)
        },
        Subscription {
            id: 2,
            ..with(Qos::Batched)
        },
        Subscription {
            id: 1,
            ..with(Qos::Realtime)
        },
    ];
    let mut subscriber = bus.subscribe(&subscriptions).expect("valid");
    for number in 0..3 {
        bus.publish(event("a", number)).await.expect("taken");
    }
    let mut received = Vec::new();
    subscriber.try_recv_many(&mut received, 100);
    let order: Vec<_> = received
        .iter()
        .map(|delivery| delivery.subscription)
        .collect();
    assert_eq!(order, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
}

#[tokio::test]
async fn a_publisher_sees_new_subscriptions_at_once() {
    let bus = bus(BusConfig {
        cached_topics: 2,
        ..BusConfig::default()
    });
    let mut publisher = bus.publisher();
    assert_eq!(
        publisher
            .publish(event("a", 0))
            .await
            .expect("taken")
            .matched,
        0
    );
    let subscriber = bus
        .subscribe(&[Subscription::to("a"), Subscription::to(">")])
        .expect("valid");
    assert_eq!(
        publisher
            .publish(event("a", 1))
            .await
            .expect("taken")
            .matched,
        2
    );
    // Twice past the bound of the cache.
    for topic in 0..10 {
        assert_eq!(
            publisher
                .publish(event(&format!("t.{topic}"), 0))
                .await
                .expect("taken")
                .matched,
            1
        );
    }
    drop(subscriber);
    assert_eq!(
        publisher
            .publish(event("a", 2))
            .await
            .expect("taken")
            .matched,
        0
    );
    let books = bus.stats();
    assert_eq!((books.events, books.filtered, books.published), (13, 2, 14));
}

#[tokio::test]
async fn an_event_that_goes_round_in_circles_expires() {
    let bus = bus(BusConfig {
        default_ttl: 3,
        ..BusConfig::default()
    });
    let at = |hop, ttl| {
        let envelope = v1::Envelope {
            hop,
            ttl,
            ..Default::default()
        };
        Event::new(v1::Event {
            topic: "a".into(),
            envelope: Some(envelope),
            ..Default::default()
        })
        .expect("valid")
    };
    assert!(bus.publish(at(2, 0)).await.is_ok());
    assert_eq!(
        bus.publish(at(3, 0)).await.expect_err("a circle"),
        PublishError::Expired { hop: 3, ttl: 3 }
    );
    assert!(bus.publish(at(3, 5)).await.is_ok());
    assert_eq!(bus.stats().events, 2, "an expired event was not taken");
}

#[tokio::test]
async fn a_bad_pattern_makes_no_subscription_at_all() {
    let bus = bus(BusConfig::default());
    assert!(
        bus.subscribe(&[Subscription::to("a"), Subscription::to("a..b")])
            .is_err()
    );
    assert_eq!(bus.publish(event("a", 0)).await.expect("taken").matched, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_add_up_under_concurrent_publishers_and_changing_subscribers() {
    let bus = bus(BusConfig {
        batched_capacity: 64,
        realtime_capacity: 16,
        ..BusConfig::default()
    });
    let publishers: Vec<_> = (0..3)
        .map(|_| {
            let mut publisher = bus.publisher();
            tokio::spawn(async move {
                for number in 0..5000 {
                    publisher.publish(event("a", number)).await.expect("taken");
                    if number % 64 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    let comers = tokio::spawn({
        let bus = bus.clone();
        async move {
            for round in 0..200 {
                let mut subscriber = bus.subscribe(&[with(Qos::ALL[round % 3])]).expect("valid");
                let mut received = Vec::new();
                subscriber.try_recv_many(&mut received, round);
                tokio::task::yield_now().await;
            }
        }
    });
    for task in publishers.into_iter().chain([comers]) {
        timeout(PATIENCE, task)
            .await
            .expect("in time")
            .expect("no panic");
    }
    let books = bus.stats();
    assert_eq!(books.events, 15_000);
    assert_eq!(books.in_flight, 0);
    assert!(books.is_balanced(), "{books:?}");
}
