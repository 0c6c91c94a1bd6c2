//! Every event is settled once, whatever happens to streams.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake, Waker};

use loom_proto::Frame;
use loom_proto::frame::BATCH_BYTES;
use loom_proto::v1;
use loom_proto::wire::EventParts;
use proptest::prelude::*;
use prost::Message;

use crate::outbox::{Outbox, Publish, Settled};

const BYTES: usize = 1 << 20;

fn event(id: &[u8]) -> EventParts<'_> {
    EventParts {
        id,
        topic: "a.b",
        payload: b"payload",
        ..EventParts::default()
    }
}

fn publish(outbox: &Outbox, number: u64) -> Publish {
    outbox.publish(&event(&u128::from(number).to_be_bytes()), false)
}

/// A stream that was welcomed.
fn open(outbox: &Outbox, window: u32) -> u64 {
    let stream = outbox.greet();
    outbox.connected(window);
    stream
}

fn poll(outbox: &Outbox, stream: u64) -> Poll<Option<Frame>> {
    outbox.poll_frame(stream, Waker::noop())
}

fn decode(frame: &Frame) -> v1::ClientEvent {
    v1::ClientEvent::decode(frame.0.clone()).expect("what we write is protobuf")
}

fn numbers(frame: &Frame) -> Vec<u64> {
    let ids = decode(frame).publish.into_iter().map(|event| event.id);
    ids.map(|id| u128::from_be_bytes(id[..].try_into().expect("16 bytes")) as u64)
        .collect()
}

fn next(outbox: &Outbox, stream: u64) -> Vec<u64> {
    match poll(outbox, stream) {
        Poll::Ready(Some(frame)) => numbers(&frame),
        other => panic!("a frame was expected: {other:?}"),
    }
}

#[test]
fn what_is_published_before_a_frame_is_asked_for_is_one_batch() {
    let outbox = Outbox::new(BYTES);
    assert_eq!(publish(&outbox, 1), Publish::Taken(1));
    assert_eq!(publish(&outbox, 2), Publish::Taken(2));
    let stream = open(&outbox, 10);
    assert_eq!(next(&outbox, stream), [1, 2]);
    assert!(poll(&outbox, stream).is_pending());
    assert_eq!(publish(&outbox, 3), Publish::Taken(3));
    assert_eq!(next(&outbox, stream), [3]);
}

#[test]
fn nothing_is_sent_before_welcome_nor_on_an_old_stream() {
    let outbox = Outbox::new(BYTES);
    publish(&outbox, 1);
    let first = outbox.greet();
    assert!(poll(&outbox, first).is_pending());
    outbox.disconnected();
    assert!(matches!(poll(&outbox, first), Poll::Ready(None)));
    let second = open(&outbox, 10);
    assert!(matches!(poll(&outbox, first), Poll::Ready(None)));
    assert_eq!(next(&outbox, second), [1]);
}

#[test]
fn an_acknowledgement_may_cut_a_batch_and_the_rest_is_sent_again() {
    let outbox = Outbox::new(BYTES);
    for number in 1..=5 {
        publish(&outbox, number);
    }
    let stream = open(&outbox, 10);
    assert_eq!(next(&outbox, stream), [1, 2, 3, 4, 5]);
    outbox.acknowledged(2);
    outbox.disconnected();
    publish(&outbox, 6);
    let stream = open(&outbox, 10);
    assert_eq!(next(&outbox, stream), [3, 4, 5]);
    assert_eq!(next(&outbox, stream), [6]);
    // The new stream counts from 1 again.
    assert_eq!(outbox.number(1), 3);
    outbox.acknowledged(4);
    let stats = outbox.stats();
    assert_eq!((stats.published, stats.settled, stats.resent), (6, 6, 3));
}

#[test]
fn a_smaller_window_of_the_next_server_is_kept() {
    let outbox = Outbox::new(BYTES);
    for number in 1..=7 {
        publish(&outbox, number);
    }
    let stream = open(&outbox, 3);
    assert_eq!(next(&outbox, stream), [1, 2, 3]);
    assert!(poll(&outbox, stream).is_pending());
    outbox.acknowledged(2);
    assert_eq!(next(&outbox, stream), [4, 5]);
    outbox.acknowledged(5);
    assert_eq!(next(&outbox, stream), [6, 7]);
}

#[test]
fn a_full_window_says_so_and_says_when_there_is_room() {
    let outbox = Outbox::new(BYTES);
    let stream = open(&outbox, 4);
    for number in 1..=4 {
        assert_eq!(publish(&outbox, number), Publish::Taken(number));
    }
    assert_eq!(publish(&outbox, 5), Publish::Full);
    assert_eq!(next(&outbox, stream), [1, 2, 3, 4]);
    // Somebody waits: the server is asked to acknowledge.
    let Poll::Ready(Some(ask)) = poll(&outbox, stream) else {
        panic!("a frame was expected");
    };
    assert!(decode(&ask).ack_now);
    assert_eq!(outbox.acknowledged(1), Settled::default());
    let settled = outbox.acknowledged(2);
    assert!(settled.writable);
    assert!(!outbox.acknowledged(3).writable, "said once");
    assert_eq!(publish(&outbox, 5), Publish::Taken(5));
}

#[test]
fn bytes_are_bounded_too() {
    let outbox = Outbox::new(1000);
    let payload = vec![0; 600];
    let large = EventParts {
        payload: &payload,
        ..event(&[1; 16])
    };
    assert_eq!(outbox.publish(&large, false), Publish::Taken(1));
    assert_eq!(outbox.publish(&large, false), Publish::Taken(2));
    assert_eq!(outbox.publish(&large, false), Publish::Full);
}

#[test]
fn confirmations_are_told_when_their_event_is_settled() {
    let outbox = Outbox::new(BYTES);
    let stream = open(&outbox, 10);
    publish(&outbox, 1);
    assert_eq!(outbox.publish(&event(&[2; 16]), true), Publish::Taken(2));
    publish(&outbox, 3);
    assert_eq!(outbox.confirm_all(), Some(3));
    assert_eq!(next(&outbox, stream).len(), 3);
    assert_eq!(outbox.acknowledged(1).confirmed, None);
    assert_eq!(outbox.acknowledged(2).confirmed, Some(2));
    assert_eq!(outbox.acknowledged(3).confirmed, Some(3));
    assert_eq!(outbox.confirm_all(), None);
}

#[test]
fn an_answer_without_news_is_no_reason_to_ask_again() {
    let outbox = Outbox::new(BYTES);
    let stream = open(&outbox, 10);
    for number in 1..=2_u64 {
        let taken = outbox.publish(&event(&u128::from(number).to_be_bytes()), true);
        assert_eq!(taken, Publish::Taken(number));
    }
    let asks = || {
        let mut asks = 0;
        while let Poll::Ready(Some(frame)) = poll(&outbox, stream) {
            asks += usize::from(decode(&frame).ack_now);
        }
        asks
    };
    assert_eq!(asks(), 1);
    outbox.acknowledged(0);
    assert_eq!(asks(), 0, "the disk has neither");
    outbox.acknowledged(1);
    assert_eq!(asks(), 1, "the first is there, the second is not");
    outbox.acknowledged(1);
    assert_eq!(asks(), 0);
    outbox.acknowledged(2);
    assert_eq!(asks(), 0, "nobody waits");
}

#[test]
fn batches_are_bounded() {
    let outbox = Outbox::new(64 * BATCH_BYTES);
    let payload = vec![7; 1000];
    for number in 1..=300_u64 {
        let id = u128::from(number).to_be_bytes();
        let parts = EventParts {
            payload: &payload,
            ..event(&id)
        };
        assert_eq!(outbox.publish(&parts, false), Publish::Taken(number));
    }
    let stream = open(&outbox, 1000);
    let mut seen = Vec::new();
    while let Poll::Ready(Some(frame)) = poll(&outbox, stream) {
        assert!(frame.0.len() < BATCH_BYTES + 1100, "{}", frame.0.len());
        seen.extend(numbers(&frame));
    }
    assert_eq!(seen, (1..=300).collect::<Vec<_>>());
}

#[test]
fn goodbye_comes_after_the_last_event() {
    let outbox = Outbox::new(BYTES);
    let stream = open(&outbox, 2);
    for number in 1..=2 {
        publish(&outbox, number);
    }
    assert_eq!(next(&outbox, stream), [1, 2]);
    assert_eq!(publish(&outbox, 3), Publish::Full);
    outbox.acknowledged(2);
    publish(&outbox, 3);
    outbox.control(|control| control.credit(5));
    outbox.leave();
    let mut frames = VecDeque::new();
    while let Poll::Ready(Some(frame)) = poll(&outbox, stream) {
        frames.push_back(decode(&frame));
    }
    let last = frames.pop_back().expect("a goodbye");
    assert!(last.goodbye && last.publish.is_empty());
    assert!(frames.iter().all(|frame| !frame.goodbye));
    assert_eq!(
        frames
            .iter()
            .map(|frame| frame.publish.len())
            .sum::<usize>(),
        1
    );
    assert!(matches!(poll(&outbox, stream), Poll::Ready(None)));
}

#[test]
fn what_is_given_up_is_counted() {
    let outbox = Outbox::new(BYTES);
    let stream = open(&outbox, 10);
    for number in 1..=5 {
        publish(&outbox, number);
    }
    assert_eq!(next(&outbox, stream).len(), 5);
    outbox.acknowledged(2);
    assert_eq!(outbox.abandon(), 3);
    let stats = outbox.stats();
    assert_eq!(
        (stats.published, stats.settled, stats.unconfirmed),
        (5, 2, 3)
    );
    assert_eq!(publish(&outbox, 6), Publish::Closed);
}

/// Counts how often it was woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_stream_that_is_given_up_is_woken_to_end() {
    for give_up in [
        |outbox: &Outbox| outbox.disconnected(),
        |outbox: &Outbox| {
            outbox.abandon();
        },
    ] {
        let outbox = Outbox::new(BYTES);
        let stream = open(&outbox, 10);
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        assert!(outbox.poll_frame(stream, &waker).is_pending());
        give_up(&outbox);
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
        assert!(matches!(poll(&outbox, stream), Poll::Ready(None)));
    }
}

#[test]
fn a_server_that_acknowledges_too_much_settles_what_was_sent() {
    let outbox = Outbox::new(BYTES);
    let stream = open(&outbox, 10);
    publish(&outbox, 1);
    assert_eq!(next(&outbox, stream), [1]);
    publish(&outbox, 2);
    outbox.acknowledged(u64::MAX);
    assert_eq!(outbox.stats().settled, 1);
    assert_eq!(next(&outbox, stream), [2]);
    outbox.acknowledged(2);
    assert_eq!(outbox.stats().settled, 2);
}

/// What may happen, in any order.
#[derive(Clone, Debug)]
enum Step {
    Publish(u8),
    Poll(u8),
    /// A part of what the stream has carried, in 1/255.
    Acknowledge(u8),
    Lose,
    Open(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1_u8..20).prop_map(Step::Publish),
        (1_u8..5).prop_map(Step::Poll),
        any::<u8>().prop_map(Step::Acknowledge),
        Just(Step::Lose),
        (1_u8..30).prop_map(Step::Open),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn streams_carry_what_is_not_settled_in_order_within_the_window(steps in steps()) {
        let outbox = Outbox::new(BYTES);
        let (mut stream, mut window) = (None, 0);
        let (mut published, mut settled) = (0_u64, 0_u64);
        // Numbers that the stream of the moment has carried, and how many of them are acknowledged.
        let (mut carried, mut acknowledged): (Vec<u64>, u64) = (Vec::new(), 0);
        for step in steps {
            match step {
                Step::Publish(count) => for _ in 0..count {
                    if let Publish::Taken(number) = publish(&outbox, published + 1) {
                        published += 1;
                        prop_assert_eq!(number, published);
                    }
                },
                Step::Poll(count) => for _ in 0..count {
                    let Some(stream) = stream else { continue };
                    if let Poll::Ready(Some(frame)) = poll(&outbox, stream) {
                        carried.extend(numbers(&frame));
                    }
                },
                Step::Acknowledge(part) => {
                    let new = acknowledged + (carried.len() as u64 - acknowledged) * u64::from(part) / 255;
                    if stream.is_some() && new > acknowledged {
                        settled += new - acknowledged;
                        acknowledged = new;
                        outbox.acknowledged(new);
                    }
                }
                Step::Lose => {
                    outbox.disconnected();
                    stream = None;
                }
                Step::Open(size) => {
                    outbox.disconnected();
                    window = u64::from(size);
                    stream = Some(open(&outbox, size.into()));
                    (carried, acknowledged) = (Vec::new(), 0);
                }
            }
            let stats = outbox.stats();
            prop_assert_eq!((stats.published, stats.settled), (published, settled));
            prop_assert!(carried.len() as u64 - acknowledged <= window);
            let first = settled - acknowledged + 1;
            prop_assert_eq!(&carried, &(first..first + carried.len() as u64).collect::<Vec<_>>());
        }
        // In the end a quiet stream settles everything.
        let stream = open(&outbox, 1000);
        let mut last = 0;
        while let Poll::Ready(Some(frame)) = poll(&outbox, stream) {
            last += numbers(&frame).len() as u64;
        }
        outbox.acknowledged(last);
        prop_assert_eq!(outbox.stats().settled, published);
    }
}
