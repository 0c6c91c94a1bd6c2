//! Wrong input: a clear error each, and nobody else is disturbed.

use loom_proto::v1;
use tonic::Code;

use crate::agent::{Relay, event, eventually, hello, loom_code};

#[tokio::test]
async fn a_bad_hello_is_refused_with_its_field() {
    let relay = Relay::start().await;
    let refusals = [
        (
            v1::Hello {
                agent_id: "a b".into(),
                ..hello("x", &[])
            },
            "invalid_agent_id",
            "hello.agent_id",
        ),
        (hello("", &[]), "invalid_agent_id", "hello.agent_id"),
        (
            hello("x", &["a..b"]),
            "invalid_subscription",
            "hello.subscriptions",
        ),
        (
            hello("x", &["a.>.b"]),
            "invalid_subscription",
            "hello.subscriptions",
        ),
        (
            v1::Hello {
                capabilities: vec![v1::Capability {
                    name: "no space".into(),
                    ..Default::default()
                }],
                ..hello("x", &[])
            },
            "invalid_capability",
            "hello.capabilities",
        ),
        (
            v1::Hello {
                subscriptions: vec![v1::Subscription {
                    pattern: "a".into(),
                    qos: 99,
                    ..Default::default()
                }],
                ..hello("x", &[])
            },
            "invalid_subscription",
            "hello.subscriptions",
        ),
        (
            beginning(&v1::Acknowledged {
                start: 99,
                ..Default::default()
            }),
            "invalid_subscription",
            "hello.subscriptions",
        ),
    ];
    for (hello, code, field) in refusals {
        let status = relay
            .try_agent(hello)
            .await
            .map(|_| ())
            .expect_err("refused");
        assert_eq!(loom_code(&status), code, "{status}");
        assert_eq!(status.metadata().get("loom-field").expect("a field"), field);
    }
    assert!(relay.directory.is_empty());
}

#[tokio::test]
async fn a_group_begins_at_one_place_and_no_other() {
    let relay = Relay::start().await;
    let (new, offset, time) = (v1::Start::New.into(), Some(0), Some(0));
    for (start, start_offset, start_time_unix_nano, said) in [
        (new, offset, None, "start and start_offset"),
        (new, None, time, "start and start_time_unix_nano"),
        (0, offset, time, "start_offset and start_time_unix_nano"),
        (new, offset, time, "start and start_offset"),
    ] {
        let hello = beginning(&v1::Acknowledged {
            start,
            start_offset,
            start_time_unix_nano,
            ..Default::default()
        });
        let refused = relay.try_agent(hello).await.map(|_| ());
        let status = refused.expect_err("refused");
        assert_eq!(loom_code(&status), "invalid_subscription");
        let said = format!("subscription 7 says {said}:");
        assert!(status.message().contains(&said), "{status}");
    }
    assert!(relay.directory.is_empty());
}

/// A Hello with one subscription, number 7, that is acknowledged.
fn beginning(share: &v1::Acknowledged) -> v1::Hello {
    v1::Hello {
        subscriptions: vec![v1::Subscription {
            id: 7,
            pattern: "a".into(),
            acknowledged: Some(share.clone()),
            ..Default::default()
        }],
        ..hello("x", &[])
    }
}

#[tokio::test]
async fn anything_before_hello_is_refused() {
    let relay = Relay::start().await;
    let first = v1::ClientEvent {
        publish: vec![event("a", "x")],
        ..Default::default()
    };
    let status = relay.open(first).await.map(|_| ()).expect_err("refused");
    assert_eq!(
        (status.code(), loom_code(&status)),
        (Code::FailedPrecondition, "hello_expected")
    );
}

#[tokio::test]
async fn a_second_hello_ends_the_stream() {
    let relay = Relay::start().await;
    let mut agent = relay.listener("a", &[]).await;
    agent
        .send(v1::ClientEvent {
            hello: Some(hello("b", &[])),
            ..Default::default()
        })
        .await;
    assert_eq!(loom_code(&agent.status().await), "duplicate_hello");
    eventually("the agent is gone", || relay.directory.is_empty()).await;
}

#[tokio::test]
async fn an_agent_id_in_use_is_refused_and_the_first_lives_on() {
    let relay = Relay::start().await;
    let mut first = relay.listener("a", &["t"]).await;
    let second = v1::Hello {
        instance_id: "another".into(),
        ..hello("a", &["t"])
    };
    let status = relay
        .try_agent(second)
        .await
        .map(|_| ())
        .expect_err("refused");
    assert_eq!(
        (status.code(), loom_code(&status)),
        (Code::AlreadyExists, "agent_id_in_use")
    );
    first.publish(vec![event("t", "x")]).await;
    assert_eq!(first.deliveries(1).await.len(), 1);
}

#[tokio::test]
async fn the_same_instance_replaces_its_former_connection() {
    let relay = Relay::start().await;
    let mut former = relay.listener("a", &[]).await;
    let mut present = relay.listener("a", &["t"]).await;
    assert_eq!(loom_code(&former.status().await), "agent_id_in_use");
    assert_eq!(relay.directory.len(), 1);
    present.publish(vec![event("t", "x")]).await;
    assert_eq!(present.deliveries(1).await.len(), 1);
}

#[tokio::test]
async fn a_bad_event_is_rejected_by_number_and_the_others_go_through() {
    let relay = Relay::start().await;
    let mut agent = relay.listener("a", &["good"]).await;
    let stranger = v1::Envelope {
        sender: "somebody-else".into(),
        ..Default::default()
    };
    agent
        .publish(vec![
            event("good", "1"),
            event("bad..topic", "2"),
            event("wild.*", "3"),
            v1::Event {
                id: "short".into(),
                ..event("good", "4")
            },
            v1::Event {
                envelope: Some(stranger),
                ..event("good", "5")
            },
            v1::Event {
                envelope: Some(v1::Envelope {
                    hop: 64,
                    ..Default::default()
                }),
                ..event("good", "6")
            },
            event("good", "7"),
        ])
        .await;
    let frames = agent.receive_until(|frames| {
        let acked = frames
            .iter()
            .filter_map(|f| f.ack.as_ref())
            .any(|ack| ack.through == 7);
        acked && frames.iter().map(|f| f.delivery.len()).sum::<usize>() == 2
    });
    let frames = frames.await;
    let rejected: Vec<_> = frames
        .iter()
        .filter_map(|frame| frame.ack.as_ref())
        .flat_map(|ack| &ack.rejected)
        .map(|rejection| {
            let error = rejection.error.as_ref().expect("an error");
            (rejection.number, error.code().name(), error.field.as_str())
        })
        .collect();
    assert_eq!(
        rejected,
        [
            (2, "invalid_topic", "event.topic"),
            (3, "invalid_topic", "event.topic"),
            (4, "invalid_event", "event.id"),
            (5, "permission_denied", "event.envelope.sender"),
            (6, "event_expired", "event.envelope.hop"),
        ]
    );
    let payloads: Vec<_> = frames
        .iter()
        .flat_map(|f| &f.delivery)
        .map(|d| d.event.clone().expect("an event").payload)
        .collect();
    assert_eq!(payloads, ["1", "7"]);
    assert_eq!(relay.bridge.bus_stats().rejected.values().sum::<u64>(), 5);
}

#[tokio::test]
async fn garbage_in_a_frame_ends_this_stream_alone() {
    let relay = Relay::start().await;
    let mut good = relay.listener("good", &["t"]).await;
    let mut bad = relay.listener("bad", &[]).await;
    bad.send_raw(vec![0xff; 40]).await;
    assert_eq!(loom_code(&bad.status().await), "malformed_frame");
    // An event of garbage is that event's fault, not the stream's.
    let mut odd = relay.listener("odd", &[]).await;
    odd.send_raw(vec![0x12, 0x03, 0xff, 0xff, 0xff]).await;
    let ack = odd
        .receive()
        .await
        .expect("no status")
        .expect("a frame")
        .ack
        .expect("an ack");
    assert_eq!(
        ack.rejected[0]
            .error
            .as_ref()
            .expect("an error")
            .code()
            .name(),
        "invalid_event"
    );
    good.publish(vec![event("t", "x")]).await;
    assert_eq!(good.deliveries(1).await.len(), 1);
}

#[tokio::test]
async fn who_is_silent_for_too_long_has_left() {
    let relay = Relay::start().await;
    let mut silent = relay
        .agent(v1::Hello {
            heartbeat_timeout_ms: 200,
            ..hello("silent", &["t"])
        })
        .await;
    let _patient = relay.listener("patient", &["t"]).await;
    assert_eq!(relay.directory.len(), 2);
    while silent.receive().await.expect("a clean end").is_some() {}
    eventually("only the patient one is there", || {
        relay.directory.len() == 1
    })
    .await;
    assert_eq!(relay.directory.list()[0].agent_id, "patient");
}
