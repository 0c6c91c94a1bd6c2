//! Events from agent to agent.

use loom_bridge::BridgeConfig;
use loom_core::BusConfig;
use loom_proto::{EventId, v1};

use crate::agent::{Relay, event, eventually, hello};

#[tokio::test]
async fn an_event_reaches_every_subscription_in_the_order_of_its_publisher() {
    let relay = Relay::start().await;
    let mut both = relay.listener("both", &["sensor.data", "sensor.>"]).await;
    let mut other = relay.listener("other", &["other"]).await;
    let mut sensor = relay.listener("sensor", &[]).await;
    for batch in 0..10 {
        sensor
            .publish(
                (0..100)
                    .map(|n| event("sensor.data", (batch * 100 + n).to_string()))
                    .collect(),
            )
            .await;
    }
    assert_eq!(sensor.settled().await, []);

    let deliveries = both.deliveries(2000).await;
    for subscription in [0, 1] {
        let payloads: Vec<usize> = deliveries
            .iter()
            .filter(|delivery| delivery.subscription == subscription)
            .map(|delivery| {
                String::from_utf8_lossy(&delivery.event.as_ref().expect("an event").payload)
                    .parse()
                    .expect("a number")
            })
            .collect();
        assert_eq!(payloads, (0..1000).collect::<Vec<_>>());
    }
    sensor.publish(vec![event("other", "")]).await;
    assert_eq!(other.deliveries(1).await.len(), 1);

    let stats = relay.bus.stats();
    assert!(stats.is_balanced(), "{stats:?}");
    assert_eq!(
        (stats.events, stats.published, stats.delivered),
        (1001, 2001, 2001)
    );
}

#[tokio::test]
async fn an_event_keeps_all_that_its_producer_said() {
    let relay = Relay::start().await;
    let mut receiver = relay.listener("receiver", &["a.b"]).await;
    let mut sender = relay.listener("sender", &[]).await;
    let sent = v1::Event {
        id: EventId::now().0.to_vec().into(),
        topic: "a.b".into(),
        r#type: "reading".into(),
        time_unix_nano: 42,
        envelope: Some(v1::Envelope {
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".into(),
            tracestate: "vendor=1".into(),
            baggage: "user_id=7".into(),
            thread_id: "t".into(),
            correlation_id: "c".into(),
            sender: "sender".into(),
            reply_to: "_inbox.x".into(),
            ttl: 5,
            hop: 4,
        }),
        content_type: "application/json".into(),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        payload: "{}".into(),
    };
    sender.publish(vec![sent.clone()]).await;
    let delivery = receiver.deliveries(1).await.remove(0);
    assert_eq!(delivery.event, Some(sent));
    assert_eq!(delivery.attempt, 1);
    // An unsampled context is handed on as it came.
    assert_eq!(
        delivery.traceparent,
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    );
}

#[tokio::test]
async fn an_event_without_id_gets_one() {
    let relay = Relay::start().await;
    let mut receiver = relay.listener("receiver", &["a"]).await;
    let mut sender = relay.listener("sender", &[]).await;
    sender.publish(vec![event("a", "x")]).await;
    let delivered = receiver
        .deliveries(1)
        .await
        .remove(0)
        .event
        .expect("an event");
    assert!(EventId::from_slice(&delivered.id).is_ok());
}

#[tokio::test]
async fn deliveries_wait_for_credit() {
    let relay = Relay::start().await;
    let mut receiver = relay
        .agent(v1::Hello {
            credit: 3,
            ..hello("receiver", &["a"])
        })
        .await;
    let mut sender = relay.listener("sender", &[]).await;
    sender.publish(vec![event("a", "x"); 10]).await;
    sender.settled().await;
    assert_eq!(receiver.deliveries(3).await.len(), 3);
    assert_eq!(relay.bus.stats().in_flight, 7);
    receiver
        .send(v1::ClientEvent {
            credit: 100,
            ..Default::default()
        })
        .await;
    assert_eq!(receiver.deliveries(7).await.len(), 7);
}

#[tokio::test]
async fn replies_need_no_credit_and_use_none_up() {
    let relay = Relay::start().await;
    let mut asker = relay
        .agent(v1::Hello {
            credit: 1,
            ..hello("asker", &["work", "_inbox.asker"])
        })
        .await;
    let mut other = relay.listener("other", &[]).await;
    other.publish(vec![event("work", "x"); 3]).await;
    assert_eq!(asker.deliveries(1).await[0].subscription, 0);
    // All credit is used up. The replies come one at a time, so that each must wake the stream.
    for _ in 0..5 {
        other.publish(vec![event("_inbox.asker", "x")]).await;
        assert_eq!(asker.deliveries(1).await[0].subscription, 1);
    }
    eventually("the rest waits", || relay.bus.stats().in_flight == 2).await;
    asker
        .send(v1::ClientEvent {
            credit: 1,
            ..Default::default()
        })
        .await;
    assert_eq!(asker.deliveries(1).await[0].subscription, 0);
    assert_eq!(relay.bus.stats().in_flight, 1);
}

#[tokio::test]
async fn a_full_mailbox_holds_back_its_publisher_and_nobody_else() {
    let relay = Relay::start_with_small_mailboxes().await;
    let mut slow = relay
        .agent(v1::Hello {
            credit: 0,
            ..hello("slow", &["slow"])
        })
        .await;
    let mut quick = relay.listener("quick", &["quick"]).await;
    let mut held = relay.listener("held", &[]).await;
    let mut free = relay.listener("free", &[]).await;

    held.publish(vec![event("slow", "x"); 10]).await;
    eventually("the mailbox is full", || relay.bus.stats().in_flight == 5).await;
    free.publish(vec![event("quick", "x"); 100]).await;
    assert_eq!(quick.deliveries(100).await.len(), 100);

    slow.send(v1::ClientEvent {
        credit: 100,
        ..Default::default()
    })
    .await;
    assert_eq!(slow.deliveries(10).await.len(), 10);
    assert_eq!(held.settled().await, []);
    assert!(relay.bus.stats().is_balanced());
}

#[tokio::test]
async fn credit_that_stands_behind_a_held_event_is_read() {
    let relay = Relay::start_with_small_mailboxes().await;
    // It publishes to itself: the room can only come from its own later frame.
    let mut agent = relay
        .agent(v1::Hello {
            credit: 0,
            ..hello("loop", &["loop"])
        })
        .await;
    agent.publish(vec![event("loop", "x"); 10]).await;
    agent
        .send(v1::ClientEvent {
            credit: 10,
            ..Default::default()
        })
        .await;
    assert_eq!(agent.deliveries(10).await.len(), 10);
}

#[tokio::test]
async fn who_leaves_leaves_nothing_behind() {
    let relay = Relay::start().await;
    let mut leaver = relay
        .agent(v1::Hello {
            credit: 0,
            ..hello("leaver", &["a"])
        })
        .await;
    let lost = relay
        .agent(v1::Hello {
            credit: 0,
            ..hello("lost", &["a"])
        })
        .await;
    let mut sender = relay.listener("sender", &[]).await;
    sender.publish(vec![event("a", "x"); 5]).await;
    sender.settled().await;

    leaver
        .send(v1::ClientEvent {
            goodbye: true,
            ..Default::default()
        })
        .await;
    assert!(leaver.receive().await.expect("a clean end").is_none());
    drop(lost);
    eventually("both are gone", || relay.directory.len() == 1).await;
    eventually("their mailboxes are gone", || {
        relay.bus.stats().in_flight == 0
    })
    .await;
    let stats = relay.bus.stats();
    assert!(stats.is_balanced(), "{stats:?}");
    assert_eq!(stats.dropped_total(), 10);
    sender.publish(vec![event("a", "x")]).await;
    sender.settled().await;
    assert_eq!(relay.bus.stats().filtered, 1);
}

impl Relay {
    async fn start_with_small_mailboxes() -> Self {
        Self::with(
            BridgeConfig::default(),
            BusConfig {
                batched_capacity: 4,
                ..BusConfig::default()
            },
        )
        .await
    }
}
