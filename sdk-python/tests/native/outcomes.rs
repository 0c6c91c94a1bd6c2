//! An outcome goes out when all that was published before it is settled, on the stream of its delivery, or not at all.

use std::task::{Poll, Waker};

use bytes::Bytes;
use loom_proto::frame::BATCH_BYTES;
use loom_proto::v1::{self, Verdict};
use loom_proto::wire::EventParts;
use proptest::prelude::*;
use prost::Message;

use crate::inbox::{Delivery, Due, Inbox};
use crate::link::{Link, LinkConfig};
use crate::outbox::{Outbox, OutcomeStats, Publish};
use crate::wake::Wake;

const WORK: u32 = 1;
const KEPT: u32 = 2;
const REPLIES: u32 = 9;

fn link(credit: u32) -> Link {
    link_with(credit, 0)
}

/// The server lets the agent have `max_in_flight` deliveries without an outcome.
fn link_with(credit: u32, max_in_flight: u32) -> Link {
    let subscription = v1::Subscription {
        id: KEPT,
        acknowledged: Some(v1::Acknowledged {
            max_in_flight,
            ..v1::Acknowledged::default()
        }),
        ..v1::Subscription::default()
    };
    let config = LinkConfig {
        address: String::new(),
        hello: v1::Hello {
            subscriptions: vec![subscription],
            ..v1::Hello::default()
        },
        credit,
    };
    let wake = Wake::new().expect("a descriptor");
    let inbox = Inbox::new(wake, credit as usize, REPLIES).acknowledging([KEPT]);
    Link::new(config, Outbox::new(1 << 20), inbox)
}

/// Opens a stream; returns it and the credit of its Hello.
fn open(link: &Link) -> (u64, u32) {
    let (stream, frame) = link.greet();
    link.outbox.connected(100);
    (stream, decode(frame.0).hello.expect("a hello").credit)
}

fn decode(bytes: Bytes) -> v1::ClientEvent {
    v1::ClientEvent::decode(bytes).expect("what we write is protobuf")
}

fn publish(link: &Link) -> u64 {
    let event = EventParts {
        id: &[7; 16],
        topic: "a.b",
        ..EventParts::default()
    };
    match link.outbox.publish(&event, false) {
        Publish::Taken(number) => number,
        other => panic!("there is room: {other:?}"),
    }
}

/// Deliveries come from the server, with the offsets that they are given.
fn arrive(link: &Link, subscription: u32, offsets: impl IntoIterator<Item = u64>) {
    let read = |offset| {
        let delivery = v1::Delivery {
            subscription,
            attempt: 1,
            event: Some(v1::Event::default()),
            offset,
            ..v1::Delivery::default()
        };
        let bytes = Bytes::from(delivery.encode_to_vec());
        link.inbox.read(&bytes, &bytes).expect("well formed")
    };
    let mut deliveries = offsets.into_iter().map(read).collect();
    link.inbox.push(&mut deliveries, &mut Vec::new());
}

fn take(link: &Link) -> Vec<Delivery> {
    let (mut deliveries, mut notices) = (Vec::new(), Vec::new());
    link.take(100, &mut deliveries, &mut notices);
    deliveries
}

fn outcome(offset: u64, verdict: Verdict) -> v1::Outcome {
    v1::Outcome {
        subscription: KEPT,
        offset,
        attempt: 1,
        verdict: verdict.into(),
        ..v1::Outcome::default()
    }
}

/// A handler has handled what came on `stream` at `offset`.
fn answer(link: &Link, stream: u64, offset: u64) {
    link.answer(stream, &outcome(offset, Verdict::Ack));
}

/// Everything that is said now.
fn said(link: &Link, stream: u64) -> Vec<v1::ClientEvent> {
    let mut frames = Vec::new();
    while let Poll::Ready(Some(frame)) = link.poll_frame(stream, Waker::noop()) {
        frames.push(decode(frame.0));
    }
    frames
}

/// The offsets of the outcomes that are said now.
fn answered(link: &Link, stream: u64) -> Vec<u64> {
    let frames = said(link, stream).into_iter();
    frames
        .flat_map(|frame| frame.outcome)
        .map(|outcome| outcome.offset)
        .collect()
}

fn stats(link: &Link) -> OutcomeStats {
    link.outbox.outcome_stats()
}

#[test]
fn an_outcome_says_what_it_was_given() {
    let link = link(10);
    let (stream, _) = open(&link);
    let ack = outcome(0, Verdict::Ack);
    let retry = v1::Outcome {
        delay_ms: 1500,
        error: Some(v1::Error::new(v1::Code::HandlerFailed, "ValueError: no")),
        ..outcome(300, Verdict::Retry)
    };
    let reject = outcome(u64::MAX, Verdict::Reject);
    for outcome in [&ack, &retry, &reject] {
        link.answer(stream, outcome);
    }
    let frames = said(&link, stream);
    let [frame] = &frames[..] else {
        panic!("one frame was expected: {frames:?}");
    };
    assert_eq!(frame.outcome, [ack, retry, reject]);
    let expected = OutcomeStats {
        acked: 1,
        retried: 1,
        rejected: 1,
        dropped: 0,
    };
    assert_eq!(stats(&link), expected);
    assert!(said(&link, stream).is_empty());
}

#[test]
fn an_outcome_waits_until_what_was_published_before_it_is_settled() {
    let link = link(10);
    let (stream, _) = open(&link);
    publish(&link);
    publish(&link);
    answer(&link, stream, 1);
    publish(&link);
    answer(&link, stream, 2);
    let frames = said(&link, stream);
    assert_eq!(frames.iter().map(|f| f.publish.len()).sum::<usize>(), 3);
    assert!(frames.iter().all(|f| f.outcome.is_empty()));
    assert!(
        frames.last().expect("an ask").ack_now,
        "an outcome waits: the server is asked"
    );
    link.outbox.acknowledged(1);
    assert!(answered(&link, stream).is_empty());
    link.outbox.acknowledged(2);
    assert_eq!(answered(&link, stream), [1]);
    link.outbox.acknowledged(3);
    assert_eq!(answered(&link, stream), [2]);
}

#[test]
fn an_answer_without_news_is_no_reason_to_ask_again() {
    let link = link(10);
    let (stream, _) = open(&link);
    publish(&link);
    publish(&link);
    answer(&link, stream, 1);
    assert!(said(&link, stream).iter().any(|frame| frame.ack_now));
    link.outbox.acknowledged(1);
    assert!(said(&link, stream).iter().any(|frame| frame.ack_now));
    link.outbox.acknowledged(1);
    assert!(said(&link, stream).is_empty());
}

#[test]
fn outcomes_stand_behind_the_events_of_their_frame() {
    let link = link(10);
    let (stream, _) = open(&link);
    answer(&link, stream, 5);
    // Published after the handler's end: the outcome need not wait for it.
    publish(&link);
    let Poll::Ready(Some(frame)) = link.poll_frame(stream, Waker::noop()) else {
        panic!("a frame was expected");
    };
    let numbers: Vec<u32> = loom_proto::wire::Fields::of(&frame.0)
        .map(|field| field.expect("well formed").number)
        .collect();
    assert_eq!(numbers, [2, 10]);
    // What is sent again on the next stream are the events alone.
    link.disconnected();
    let (stream, _) = open(&link);
    let frames = said(&link, stream);
    assert_eq!(frames[0].publish.len(), 1);
    assert!(frames[0].outcome.is_empty());
}

#[test]
fn a_frame_holds_so_many_outcomes() {
    let link = link(200);
    let (stream, _) = open(&link);
    for offset in 0..200 {
        let error = v1::Error::new(v1::Code::HandlerFailed, "x".repeat(1024));
        let outcome = v1::Outcome {
            error: Some(error),
            ..outcome(offset, Verdict::Retry)
        };
        link.answer(stream, &outcome);
    }
    let frames = said(&link, stream);
    assert!(frames.len() > 3, "{}", frames.len());
    assert!(frames.iter().all(|f| f.encoded_len() <= BATCH_BYTES));
    let offsets: Vec<u64> = frames
        .iter()
        .flat_map(|f| &f.outcome)
        .map(|o| o.offset)
        .collect();
    assert_eq!(offsets, (0..200).collect::<Vec<_>>());
}

#[test]
fn a_lost_stream_takes_its_outcomes_along() {
    let link = link(10);
    let (first, _) = open(&link);
    arrive(&link, KEPT, 0..3);
    assert_eq!(take(&link).len(), 3);
    publish(&link);
    answer(&link, first, 0);
    assert!(answered(&link, first).is_empty());
    link.disconnected();
    assert_eq!(stats(&link).dropped, 1);
    // A handler that ends between two streams, and one that ends on the next.
    answer(&link, first, 1);
    let (second, credit) = open(&link);
    assert_eq!(credit, 9, "one handler runs");
    answer(&link, first, 2);
    assert!(answered(&link, second).is_empty());
    link.outbox.acknowledged(1);
    assert!(answered(&link, second).is_empty());
    assert_eq!((stats(&link).dropped, stats(&link).acked), (3, 0));
    answer(&link, second, 0);
    assert_eq!(answered(&link, second), [0]);
}

#[test]
fn nothing_is_answered_before_welcome() {
    let link = link(10);
    let (stream, _) = link.greet();
    answer(&link, stream, 0);
    assert_eq!(stats(&link).dropped, 1);
    link.outbox.connected(100);
    assert!(answered(&link, stream).is_empty());
}

#[test]
fn what_waits_for_a_handler_is_withdrawn_with_its_stream() {
    let link = link(10);
    let (first, _) = open(&link);
    arrive(&link, KEPT, 0..3);
    arrive(&link, WORK, [0]);
    assert!(link.outbox.is_open(first));
    link.disconnected();
    assert!(!link.outbox.is_open(first));
    let (second, credit) = open(&link);
    assert_eq!(credit, 9);
    arrive(&link, KEPT, [0]);
    let due: Vec<Option<Due>> = take(&link).iter().map(|delivery| delivery.due).collect();
    // The first event of a stream has offset 0: what is acknowledged is told by the subscription.
    let again = Due {
        stream: second,
        offset: 0,
    };
    assert_eq!(due, [None, Some(again)]);
}

#[test]
fn goodbye_comes_after_the_last_outcome() {
    let link = link(10);
    let (stream, _) = open(&link);
    publish(&link);
    answer(&link, stream, 1);
    link.outbox.leave();
    assert!(said(&link, stream).iter().all(|frame| !frame.goodbye));
    link.outbox.acknowledged(1);
    let frames = said(&link, stream);
    let [answer, goodbye] = &frames[..] else {
        panic!("two frames were expected: {frames:?}");
    };
    assert_eq!(answer.outcome.len(), 1);
    assert!(goodbye.goodbye);
}

#[test]
fn a_client_that_closes_drops_what_it_could_not_say() {
    let link = link(10);
    let (stream, _) = open(&link);
    publish(&link);
    answer(&link, stream, 1);
    link.outbox.abandon();
    answer(&link, stream, 2);
    assert_eq!((stats(&link).acked, stats(&link).dropped), (0, 2));
}

#[test]
fn what_the_server_waits_for_keeps_no_credit() {
    let link = link_with(2, 2);
    let (stream, _) = open(&link);
    let credit = |frames: &[v1::ClientEvent]| frames.iter().map(|f| f.credit).sum::<u32>();
    publish(&link);
    arrive(&link, KEPT, 0..2);
    take(&link);
    answer(&link, stream, 0);
    answer(&link, stream, 1);
    // Settlement may depend on it: the event may be for this very agent.
    assert_eq!(credit(&said(&link, stream)), 2);
    // Attempts took too long, and the server made others.
    arrive(&link, KEPT, 2..4);
    take(&link);
    answer(&link, stream, 2);
    answer(&link, stream, 3);
    assert_eq!(credit(&said(&link, stream)), 0);
    link.outbox.acknowledged(1);
    let frames = said(&link, stream);
    assert_eq!(frames.iter().map(|f| f.outcome.len()).sum::<usize>(), 4);
    assert_eq!(credit(&frames), 2);
}

#[test]
fn credit_of_a_further_outcome_comes_back_with_it() {
    let link = link(2);
    let (stream, _) = open(&link);
    arrive(&link, KEPT, 0..2);
    take(&link);
    publish(&link);
    answer(&link, stream, 0);
    answer(&link, stream, 1);
    let credit = |frames: &[v1::ClientEvent]| frames.iter().map(|f| f.credit).sum::<u32>();
    assert_eq!(credit(&said(&link, stream)), 0);
    link.outbox.acknowledged(1);
    assert_eq!(credit(&said(&link, stream)), 2);
}

/// What may happen, in any order.
#[derive(Clone, Debug)]
enum Step {
    Arrive(u8),
    Take,
    Publish,
    /// The oldest handler that runs ends.
    End,
    Poll,
    /// The server settles all that was sent, and asks for nothing.
    Settle,
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1_u8..5).prop_map(Step::Arrive),
        Just(Step::Take),
        Just(Step::Publish),
        Just(Step::End),
        Just(Step::Poll),
        Just(Step::Settle),
        Just(Step::Lose),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn each_delivery_is_answered_once_after_its_events_or_dropped(free in 0_u32..10, steps in steps()) {
        const CREDIT: u32 = 8;
        let link = link_with(CREDIT, free);
        let (mut stream, mut at_server) = open(&link);
        let (mut next, mut running) = (0_u64, std::collections::VecDeque::new());
        // By offset: events published before its handler ended.
        let mut needs = std::collections::HashMap::new();
        let (mut sent, mut settled_here, mut published, mut settled) = (0_u64, 0_u64, 0_u64, 0_u64);
        let mut ended = 0_u64;
        for step in steps {
            match step {
                Step::Arrive(count) => {
                    let count = u32::from(count).min(at_server);
                    at_server -= count;
                    arrive(&link, KEPT, next..next + u64::from(count));
                    next += u64::from(count);
                }
                Step::Take => running.extend(take(&link)),
                Step::Publish => if published - settled < 90 {
                    published = publish(&link);
                },
                Step::End => if let Some(delivery) = running.pop_front() {
                    let due: Due = delivery.due.expect("acknowledged");
                    needs.insert(due.offset, published);
                    answer(&link, due.stream, due.offset);
                    ended += 1;
                },
                Step::Poll => for frame in said(&link, stream) {
                    at_server += frame.credit;
                    sent += frame.publish.len() as u64;
                    for outcome in frame.outcome {
                        let needed = needs.remove(&outcome.offset);
                        prop_assert!(needed.expect("answered once") <= settled);
                    }
                },
                Step::Settle => {
                    settled += sent - settled_here;
                    settled_here = sent;
                    link.outbox.acknowledged(sent);
                }
                Step::Lose => {
                    link.disconnected();
                    (stream, at_server) = open(&link);
                    (sent, settled_here) = (0, 0);
                }
            }
            let stats = stats(&link);
            let waiting = ended - stats.acked - stats.dropped;
            prop_assert!(waiting <= u64::from(CREDIT + free));
            let with_credit = waiting.saturating_sub(free.into()) as usize;
            prop_assert!(at_server as usize + link.inbox.waiting() + running.len() + with_credit <= CREDIT as usize);
        }
        // In the end a quiet stream answers everything that it can.
        said(&link, stream);
        link.outbox.acknowledged(u64::MAX);
        said(&link, stream);
        let stats = stats(&link);
        prop_assert_eq!(stats.acked + stats.dropped, ended);
        prop_assert_eq!(link.inbox.stats().overflowed, 0);
    }
}
