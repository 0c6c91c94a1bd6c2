//! What a barrier promises: all go on when the last has come, and whoever left has not come.

use std::time::Duration;

use loom_core::barrier::{Barrier, CAPABILITY};
use loom_core::{
    ActionBroker, ActionCall, ActionOutput, BrokerConfig, InvokeError, Registration, Tracer,
};
use loom_proto::Code;
use tokio::task::JoinHandle;

type Outcome = Result<ActionOutput, InvokeError>;

struct Meeting {
    broker: ActionBroker,
    _barrier: Registration,
}

impl Meeting {
    fn new() -> Self {
        let broker = ActionBroker::new(BrokerConfig::default(), Tracer::off());
        let barrier = Barrier::serve(&broker);
        Self {
            broker,
            _barrier: barrier,
        }
    }

    /// Comes, and waits as long as a minute of the paused clock.
    fn arrive(&self, arrival: &str, parties: u32) -> JoinHandle<Outcome> {
        self.arrive_at("start", arrival, parties, 60_000)
    }

    fn arrive_at(
        &self,
        name: &str,
        arrival: &str,
        parties: u32,
        timeout_ms: u32,
    ) -> JoinHandle<Outcome> {
        let args = format!(
            r#"{{"name":"{name}","id":"{arrival}","parties":{parties},"timeout_ms":{timeout_ms}}}"#
        );
        let call = ActionCall {
            capability: CAPABILITY.to_owned(),
            args: args.into(),
            timeout: Duration::from_secs(120),
            ..ActionCall::default()
        };
        let broker = self.broker.clone();
        tokio::spawn(async move { broker.invoke(call).await })
    }
}

/// Lets every task come as far as it can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn position(call: JoinHandle<Outcome>) -> String {
    let output = call.await.expect("no panic").expect("passed");
    assert_eq!(output.content_type, "application/json");
    String::from_utf8(output.result.to_vec()).expect("UTF-8")
}

async fn failure(call: JoinHandle<Outcome>) -> (Code, String) {
    let error = call.await.expect("no panic").expect_err("no pass");
    (error.code(), error.to_string())
}

#[tokio::test(start_paused = true)]
async fn all_go_on_when_the_last_has_come_round_after_round() {
    let meeting = Meeting::new();
    for round in 0..3 {
        let first = meeting.arrive(&format!("a{round}"), 3);
        settle().await;
        let second = meeting.arrive(&format!("b{round}"), 3);
        settle().await;
        assert!(!first.is_finished() && !second.is_finished());
        let third = meeting.arrive(&format!("c{round}"), 3);
        assert_eq!(position(third).await, r#"{"position":2}"#);
        assert_eq!(position(first).await, r#"{"position":0}"#);
        assert_eq!(position(second).await, r#"{"position":1}"#);
    }
    assert_eq!(
        position(meeting.arrive("alone", 1)).await,
        r#"{"position":0}"#
    );
}

#[tokio::test(start_paused = true)]
async fn barriers_of_other_names_are_others() {
    let meeting = Meeting::new();
    let one = meeting.arrive_at("one", "a", 2, 60_000);
    let other = meeting.arrive_at("other", "a", 2, 60_000);
    settle().await;
    assert!(!one.is_finished() && !other.is_finished());
    position(meeting.arrive_at("one", "b", 2, 60_000)).await;
    position(one).await;
    assert!(!other.is_finished());
    other.abort();
}

#[tokio::test(start_paused = true)]
async fn whoever_left_has_not_come() {
    let meeting = Meeting::new();
    let dead = meeting.arrive("dead", 2);
    settle().await;
    dead.abort();
    settle().await;
    let first = meeting.arrive("first", 2);
    settle().await;
    assert!(!first.is_finished(), "the dead one was counted");
    assert_eq!(
        position(meeting.arrive("second", 2)).await,
        r#"{"position":1}"#
    );
    assert_eq!(position(first).await, r#"{"position":0}"#);
}

#[tokio::test(start_paused = true)]
async fn time_that_is_over_says_how_many_came() {
    let meeting = Meeting::new();
    let patient = meeting.arrive("patient", 3);
    settle().await;
    let hasty = meeting.arrive_at("start", "hasty", 3, 500);
    let (code, message) = failure(hasty).await;
    assert_eq!(code, Code::DeadlineExceeded);
    assert_eq!(
        message,
        "2 of 3 came to the barrier \"start\" within 500 ms"
    );
    // It is not counted any more, and the patient one waits still.
    let again = meeting.arrive("again", 3);
    settle().await;
    assert!(!patient.is_finished());
    position(meeting.arrive("third", 3)).await;
    position(again).await;
    position(patient).await;
}

#[tokio::test(start_paused = true)]
async fn an_arrival_that_comes_again_is_one_arrival() {
    let meeting = Meeting::new();
    let lost = meeting.arrive("a", 2);
    settle().await;
    // The first call is open still, as after a connection that was lost without a word.
    let again = meeting.arrive("a", 2);
    settle().await;
    assert_eq!(failure(lost).await.0, Code::InvalidEvent);
    assert!(!again.is_finished(), "one party was counted twice");
    position(meeting.arrive("b", 2)).await;
    position(again).await;
    // Its answer was lost on the way: it is told again, and waits for no other round.
    assert_eq!(position(meeting.arrive("a", 2)).await, r#"{"position":0}"#);
}

#[tokio::test(start_paused = true)]
async fn parties_must_agree() {
    let meeting = Meeting::new();
    let first = meeting.arrive("a", 3);
    settle().await;
    let (code, message) = failure(meeting.arrive("b", 2)).await;
    assert_eq!(code, Code::InvalidEvent);
    assert!(message.contains("waits for 3 parties, not 2"), "{message}");
    assert!(!first.is_finished());
    first.abort();
}

#[tokio::test(start_paused = true)]
async fn wrong_arguments_are_refused() {
    let meeting = Meeting::new();
    for (name, arrival, parties) in [
        ("", "a", 2),
        ("n", "", 2),
        ("n", "a", 0),
        ("n", "a", 10_001),
    ] {
        let (code, message) = failure(meeting.arrive_at(name, arrival, parties, 10)).await;
        assert_eq!(code, Code::InvalidEvent, "{message}");
    }
    let call = ActionCall {
        capability: CAPABILITY.to_owned(),
        args: "no json".into(),
        ..ActionCall::default()
    };
    let error = meeting.broker.invoke(call).await.unwrap_err();
    assert!(error.to_string().contains("_loom.barrier"), "{error}");
}
