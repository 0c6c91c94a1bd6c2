//! Sizes, counts and rates are bounded.

use loom_bridge::BridgeConfig;
use loom_core::BusConfig;
use loom_proto::v1;

use crate::agent::{Relay, event, hello, loom_code};

async fn relay(config: BridgeConfig) -> Relay {
    Relay::with(config, BusConfig::default()).await
}

#[tokio::test]
async fn a_too_large_event_is_rejected_and_the_stream_lives_on() {
    let relay = relay(BridgeConfig {
        max_event_bytes: 1000,
        ..BridgeConfig::default()
    })
    .await;
    let mut agent = relay.listener("a", &["t"]).await;
    agent
        .publish(vec![event("t", vec![b'x'; 1001]), event("t", "small")])
        .await;
    let frames = agent
        .receive_until(|frames| frames.iter().any(|frame| !frame.delivery.is_empty()))
        .await;
    let rejected: Vec<_> = frames
        .iter()
        .filter_map(|f| f.ack.as_ref())
        .flat_map(|ack| &ack.rejected)
        .collect();
    assert_eq!(rejected.len(), 1);
    assert_eq!(
        rejected[0].error.as_ref().expect("an error").code().name(),
        "event_too_large"
    );
}

#[tokio::test]
async fn a_frame_beyond_all_bounds_ends_the_stream_with_a_status() {
    let relay = relay(BridgeConfig {
        max_event_bytes: 1000,
        ..BridgeConfig::default()
    })
    .await;
    let mut agent = relay.listener("a", &[]).await;
    agent.publish(vec![event("t", vec![b'x'; 300_000])]).await;
    assert_eq!(loom_code(&agent.status().await), "event_too_large");
}

#[tokio::test]
async fn subscriptions_are_counted() {
    let relay = relay(BridgeConfig {
        max_subscriptions: 2,
        ..BridgeConfig::default()
    })
    .await;
    relay.listener("two", &["a", "b"]).await;
    let status = relay
        .try_agent(hello("three", &["a", "b", "c"]))
        .await
        .map(|_| ())
        .expect_err("refused");
    assert_eq!(loom_code(&status), "too_many_subscriptions");
}

#[tokio::test]
async fn agents_are_counted() {
    let relay = relay(BridgeConfig {
        max_agents: 1,
        ..BridgeConfig::default()
    })
    .await;
    let _one = relay.listener("one", &[]).await;
    let status = relay
        .try_agent(hello("two", &[]))
        .await
        .map(|_| ())
        .expect_err("refused");
    assert_eq!(loom_code(&status), "rate_limited");
}

#[tokio::test]
async fn the_rate_of_events_is_bounded() {
    let relay = relay(BridgeConfig {
        max_events_per_second: 100,
        ..BridgeConfig::default()
    })
    .await;
    let mut agent = relay.listener("a", &[]).await;
    agent.publish(vec![event("t", "x"); 1000]).await;
    let rejected = agent.settled().await;
    assert!(rejected.len() >= 800, "{}", rejected.len());
    assert_eq!(
        rejected[0].error.as_ref().expect("an error").code().name(),
        "rate_limited"
    );
    assert_eq!(rejected[0].number, 101);
}

#[tokio::test]
async fn events_beyond_the_window_end_the_stream() {
    let relay = Relay::with(
        BridgeConfig {
            publish_window: 10,
            ..BridgeConfig::default()
        },
        BusConfig {
            batched_capacity: 1,
            ..BusConfig::default()
        },
    )
    .await;
    let _stuck = relay
        .agent(v1::Hello {
            credit: 0,
            ..hello("stuck", &["t"])
        })
        .await;
    let mut agent = relay.listener("a", &[]).await;
    agent.publish(vec![event("t", "x"); 5]).await;
    agent.publish(vec![event("t", "x"); 11]).await;
    assert_eq!(loom_code(&agent.status().await), "window_exceeded");
}

#[tokio::test]
async fn a_token_is_asked_of_agents_and_callers() {
    let relay = relay(BridgeConfig {
        token: Some("secret".into()),
        ..BridgeConfig::default()
    })
    .await;
    for token in ["", "wrong!", "secret "] {
        let refused = relay
            .try_agent(v1::Hello {
                token: token.into(),
                ..hello("a", &[])
            })
            .await;
        assert_eq!(
            loom_code(&refused.map(|_| ()).expect_err("refused")),
            "unauthenticated"
        );
    }
    relay
        .agent(v1::Hello {
            token: "secret".into(),
            ..hello("a", &[])
        })
        .await;
    let refused = relay
        .client()
        .list_agents(v1::ListAgentsRequest {})
        .await
        .expect_err("refused");
    assert_eq!(loom_code(&refused), "unauthenticated");
    let mut request = tonic::Request::new(v1::ListAgentsRequest {});
    request
        .metadata_mut()
        .insert("authorization", "Bearer secret".parse().expect("ASCII"));
    relay.client().list_agents(request).await.expect("accepted");
}
