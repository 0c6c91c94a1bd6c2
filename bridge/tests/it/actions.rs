//! Calls from agent to agent.

use std::time::Duration;

use loom_proto::v1::action_reply::Outcome;
use loom_proto::{TraceContext, v1};
use loom_telemetry::{SpanDetail, SpanStatus};

use crate::agent::{Agent, Relay, event, eventually, hello};

async fn provider(relay: &Relay) -> Agent {
    let capability = v1::Capability {
        name: "calc.add".into(),
        ..Default::default()
    };
    relay
        .agent(v1::Hello {
            capabilities: vec![capability],
            ..hello("provider", &[])
        })
        .await
}

fn call(call_id: u64, capability: &str) -> v1::ActionCall {
    v1::ActionCall {
        call_id,
        capability: capability.into(),
        args: "[1,2]".into(),
        ..Default::default()
    }
}

async fn begin(agent: &mut Agent, call: v1::ActionCall) {
    agent
        .send(v1::ClientEvent {
            call: vec![call],
            ..Default::default()
        })
        .await;
}

async fn next_call(agent: &mut Agent) -> v1::ActionCall {
    let frames = agent
        .receive_until(|frames| frames.iter().any(|frame| !frame.call.is_empty()))
        .await;
    frames
        .into_iter()
        .flat_map(|frame| frame.call)
        .next()
        .expect("a call")
}

async fn next_reply(agent: &mut Agent) -> v1::ActionReply {
    let frames = agent
        .receive_until(|frames| frames.iter().any(|frame| !frame.reply.is_empty()))
        .await;
    frames
        .into_iter()
        .flat_map(|frame| frame.reply)
        .next()
        .expect("a reply")
}

async fn answer(agent: &mut Agent, call_id: u64, outcome: Outcome) {
    let reply = v1::ActionReply {
        call_id,
        outcome: Some(outcome),
        ..Default::default()
    };
    agent
        .send(v1::ClientEvent {
            reply: vec![reply],
            ..Default::default()
        })
        .await;
}

fn code(reply: v1::ActionReply) -> &'static str {
    match reply.outcome {
        Some(Outcome::Error(error)) => error.code().name(),
        other => panic!("no error: {other:?}"),
    }
}

#[tokio::test]
async fn a_call_reaches_the_provider_and_its_answer_the_caller_in_one_trace() {
    let relay = Relay::start().await;
    let mut provider = provider(&relay).await;
    let mut caller = relay.listener("caller", &[]).await;
    let parent = loom_telemetry::ids::new_root(true);
    let mut sent = call(7, "calc.add");
    sent.headers
        .insert("traceparent".into(), parent.to_string());
    sent.headers.insert("baggage".into(), "user_id=7".into());
    begin(&mut caller, sent).await;

    let received = next_call(&mut provider).await;
    assert_eq!(
        (received.capability.as_str(), received.caller.as_str()),
        ("calc.add", "caller")
    );
    assert_eq!(received.headers["baggage"], "user_id=7");
    answer(&mut provider, received.call_id, Outcome::Result("3".into())).await;
    let reply = next_reply(&mut caller).await;
    assert_eq!(
        (reply.call_id, reply.outcome),
        (7, Some(Outcome::Result("3".into())))
    );

    eventually("the span is recorded", || {
        relay.recorder.stats().recorded == 1
    })
    .await;
    let span = relay.spans().remove(0);
    assert_eq!(span.parent_span_id, parent.span_id);
    assert_eq!(
        received.headers["traceparent"].parse::<TraceContext>(),
        Ok(span.context)
    );
}

#[tokio::test]
async fn an_unknown_capability_and_a_failed_handler_say_so() {
    let relay = Relay::start().await;
    let mut provider = provider(&relay).await;
    let mut caller = relay.listener("caller", &[]).await;
    begin(&mut caller, call(1, "calc.sub")).await;
    assert_eq!(code(next_reply(&mut caller).await), "unknown_capability");

    begin(&mut caller, call(2, "calc.add")).await;
    let received = next_call(&mut provider).await;
    let error = v1::Error::new(loom_proto::Code::HandlerFailed, "ValueError: no");
    answer(&mut provider, received.call_id, Outcome::Error(error)).await;
    assert_eq!(code(next_reply(&mut caller).await), "handler_failed");
    eventually("both spans are recorded", || {
        relay.recorder.stats().recorded == 2
    })
    .await;
    assert!(
        relay
            .spans()
            .iter()
            .all(|span| span.status == SpanStatus::Error)
    );
}

#[tokio::test]
async fn a_deadline_ends_the_call_and_tells_the_provider() {
    let relay = Relay::start().await;
    let mut provider = provider(&relay).await;
    let mut caller = relay.listener("caller", &[]).await;
    begin(
        &mut caller,
        v1::ActionCall {
            timeout_ms: 50,
            ..call(1, "calc.add")
        },
    )
    .await;
    let received = next_call(&mut provider).await;
    assert_eq!(code(next_reply(&mut caller).await), "deadline_exceeded");
    let frames = provider
        .receive_until(|frames| frames.iter().any(|frame| !frame.cancel.is_empty()))
        .await;
    let expected = v1::ActionCancel {
        call_id: received.call_id,
        timed_out: true,
    };
    assert_eq!(frames.last().expect("a frame").cancel[0], expected);
}

#[tokio::test]
async fn a_caller_that_cancels_or_leaves_tells_the_provider() {
    let relay = Relay::start().await;
    let mut provider = provider(&relay).await;
    let mut caller = relay.listener("caller", &[]).await;
    for leaves in [false, true] {
        begin(&mut caller, call(1, "calc.add")).await;
        let received = next_call(&mut provider).await;
        let message = if leaves {
            v1::ClientEvent {
                goodbye: true,
                ..Default::default()
            }
        } else {
            v1::ClientEvent {
                cancel: vec![v1::ActionCancel {
                    call_id: 1,
                    ..v1::ActionCancel::default()
                }],
                ..Default::default()
            }
        };
        caller.send(message).await;
        let frames = provider
            .receive_until(|frames| frames.iter().any(|frame| !frame.cancel.is_empty()))
            .await;
        let expected = v1::ActionCancel {
            call_id: received.call_id,
            timed_out: false,
        };
        assert_eq!(frames.last().expect("a frame").cancel[0], expected);
    }
    eventually("the cancelled calls have their spans", || {
        relay.recorder.stats().recorded == 2
    })
    .await;
    for span in relay.spans() {
        let SpanDetail::Free(detail) = &span.detail else {
            panic!("a broker span")
        };
        assert!(
            detail
                .attributes
                .contains(&("error.type".into(), "cancelled".into()))
        );
    }
}

#[tokio::test]
async fn a_provider_that_leaves_fails_its_open_calls_at_once() {
    let relay = Relay::start().await;
    let mut first = provider(&relay).await;
    let mut caller = relay.listener("caller", &[]).await;
    begin(&mut caller, call(1, "calc.add")).await;
    next_call(&mut first).await;
    drop(first);
    assert_eq!(code(next_reply(&mut caller).await), "provider_gone");
    eventually("the provider is forgotten", || relay.directory.len() == 1).await;
    begin(&mut caller, call(2, "calc.add")).await;
    assert_eq!(code(next_reply(&mut caller).await), "unknown_capability");
}

#[tokio::test]
async fn calls_do_not_wait_for_held_events() {
    let relay = Relay::with(
        loom_bridge::BridgeConfig::default(),
        loom_core::BusConfig {
            batched_capacity: 1,
            ..Default::default()
        },
    )
    .await;
    let _stuck = relay
        .agent(v1::Hello {
            credit: 0,
            ..hello("stuck", &["t"])
        })
        .await;
    let mut provider = provider(&relay).await;
    let mut caller = relay.listener("caller", &[]).await;
    caller.publish(vec![event("t", "x"); 3]).await;
    begin(&mut caller, call(1, "calc.add")).await;
    let received = next_call(&mut provider).await;
    answer(&mut provider, received.call_id, Outcome::Result("3".into())).await;
    assert_eq!(next_reply(&mut caller).await.call_id, 1);
}

#[tokio::test]
async fn a_drained_bridge_says_goodbye_and_cuts_off_who_stays() {
    let relay = Relay::start().await;
    let mut polite = relay.listener("polite", &[]).await;
    let mut stubborn = relay.listener("stubborn", &[]).await;
    let bridge = relay.bridge.clone();
    let drained = tokio::spawn(async move { bridge.drain(Duration::from_millis(300)).await });
    assert!(
        polite
            .receive()
            .await
            .expect("no status")
            .expect("a frame")
            .goodbye
    );
    polite
        .send(v1::ClientEvent {
            goodbye: true,
            ..Default::default()
        })
        .await;
    assert!(polite.receive().await.expect("a clean end").is_none());
    stubborn
        .receive_until(|frames| frames.iter().any(|frame| frame.goodbye))
        .await;
    assert!(stubborn.receive().await.expect("a clean end").is_none());
    assert_eq!(drained.await.expect("no panic"), 1);
    assert!(relay.directory.is_empty());
}
