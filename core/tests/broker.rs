//! What the broker promises: one answer, in time, and room again for the next call.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loom_core::broker::Answer;
use loom_core::execution::State;
use loom_core::{
    ActionBroker, ActionCall, ActionOutput, BrokerConfig, InvokeError, Provider, Tracer,
};
use loom_telemetry::{Recorder, RecorderConfig, Sampler, SpanStatus};

struct Echo(&'static str);

impl Provider for Echo {
    fn agent_id(&self) -> &str {
        self.0
    }

    fn call(&self, call: ActionCall) -> Answer {
        let content_type = self.0.to_owned();
        Box::pin(async move {
            Ok(ActionOutput {
                result: call.args,
                content_type,
            })
        })
    }
}

/// Never answers; counts the calls whose futures were dropped.
#[derive(Default)]
struct Silent(Arc<AtomicUsize>);

impl Provider for Silent {
    fn agent_id(&self) -> &'static str {
        "silent"
    }

    fn call(&self, _call: ActionCall) -> Answer {
        struct Dropped(Arc<AtomicUsize>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let dropped = Dropped(Arc::clone(&self.0));
        Box::pin(async move {
            let _dropped = dropped;
            pending().await
        })
    }
}

fn provider(provider: impl Provider + 'static) -> Arc<dyn Provider> {
    Arc::new(provider)
}

fn call(capability: &str) -> ActionCall {
    ActionCall {
        capability: capability.into(),
        args: "x".into(),
        ..ActionCall::default()
    }
}

fn broker() -> ActionBroker {
    ActionBroker::new(BrokerConfig::default(), Tracer::off())
}

#[tokio::test]
async fn providers_take_turns_and_leave_when_dropped() {
    let broker = broker();
    let one = broker.register(vec!["echo".into()], &provider(Echo("one")));
    let two = broker.register(vec!["echo".into()], &provider(Echo("two")));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(
            broker
                .invoke(call("echo"))
                .await
                .expect("an answer")
                .content_type,
        );
    }
    seen.sort_unstable();
    assert_eq!(seen, ["one", "one", "two", "two"]);
    drop(one);
    assert_eq!(
        broker
            .invoke(call("echo"))
            .await
            .expect("an answer")
            .content_type,
        "two"
    );
    drop(two);
    assert_eq!(
        broker.invoke(call("echo")).await,
        Err(InvokeError::UnknownCapability("echo".into()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_drops_the_provider_s_future() {
    let dropped = Arc::<AtomicUsize>::default();
    let broker = broker();
    let _registration =
        broker.register(vec!["wait".into()], &provider(Silent(Arc::clone(&dropped))));
    let timeout = Duration::from_millis(100);
    let outcome = broker
        .invoke(ActionCall {
            timeout,
            ..call("wait")
        })
        .await;
    assert_eq!(
        outcome,
        Err(InvokeError::Deadline {
            capability: "wait".into(),
            timeout
        })
    );
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_dropped_call_frees_its_slot_and_says_cancelled() {
    let recorder = Recorder::new(Vec::new(), RecorderConfig::default());
    let tracer = Tracer::new(recorder.clone(), Sampler::default());
    let broker = ActionBroker::new(
        BrokerConfig {
            max_open_calls: 2,
            ..BrokerConfig::default()
        },
        tracer,
    );
    let dropped = Arc::<AtomicUsize>::default();
    let _silent = broker.register(vec!["wait".into()], &provider(Silent(Arc::clone(&dropped))));
    let _echo = broker.register(vec!["echo".into()], &provider(Echo("echo")));

    // Past the bound twice: nothing may stay behind.
    for _ in 0..5 {
        let mut one = Box::pin(broker.invoke(call("wait")));
        let mut two = Box::pin(broker.invoke(call("wait")));
        assert!(futures_poll(&mut one).is_pending() && futures_poll(&mut two).is_pending());
        assert_eq!(
            broker.invoke(call("echo")).await,
            Err(InvokeError::Overloaded { open: 2 })
        );
    }
    assert!(broker.invoke(call("echo")).await.is_ok());
    assert_eq!(dropped.load(Ordering::SeqCst), 10);
    let mut spans = Vec::new();
    recorder.drain(&mut spans);
    assert_eq!(
        spans
            .iter()
            .filter(|span| span.status == SpanStatus::Error)
            .count(),
        15
    );
    assert_eq!(spans.len(), 16);
}

#[tokio::test]
async fn a_call_is_an_open_execution_until_it_ends() {
    let recorder = Recorder::new(Vec::new(), RecorderConfig::default());
    let tracer = Tracer::new(recorder.clone(), Sampler::default());
    let broker = ActionBroker::new(BrokerConfig::default(), tracer);
    let _silent = broker.register(vec!["wait".into()], &provider(Silent::default()));
    let _echo = broker.register(vec!["echo".into()], &provider(Echo("echo")));

    let mut waiting = Box::pin(broker.invoke(call("wait")));
    assert!(futures_poll(&mut waiting).is_pending());
    broker.invoke(call("echo")).await.expect("an answer");
    broker.invoke(call("none")).await.expect_err("unknown");
    let open = broker.open_executions();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].state, State::Running);
    assert_eq!((&*open[0].agent, &*open[0].operation), ("silent", "wait"));
    drop(waiting);
    assert!(broker.open_executions().is_empty());
    // Its id is that of the span that tells of it afterwards.
    let mut spans = Vec::new();
    recorder.drain(&mut spans);
    assert!(spans.iter().any(|span| span.context == open[0].context));
}

#[tokio::test]
async fn two_thousand_calls_pass() {
    let broker = broker();
    let _echo = broker.register(vec!["echo".into()], &provider(Echo("echo")));
    for _ in 0..2100 {
        broker.invoke(call("echo")).await.expect("an answer");
    }
}

fn futures_poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut context)
}
