//! Credit is neither lost nor made: what the server may send, what it has sent, and what is handled add up.

use std::task::{Poll, Waker};

use loom_proto::v1;
use proptest::prelude::*;
use prost::Message;

use crate::inbox::{Delivery, Inbox};
use crate::link::{Link, LinkConfig};
use crate::outbox::Outbox;
use crate::wake::Wake;

const WORK: u32 = 1;
const REPLIES: u32 = 9;

fn link(credit: u32) -> Link {
    let config = LinkConfig {
        address: String::new(),
        hello: v1::Hello::default(),
        credit,
    };
    let wake = Wake::new().expect("a descriptor");
    let inbox = Inbox::new(wake, credit as usize, REPLIES);
    Link::new(config, Outbox::new(1 << 20), inbox)
}

fn decode(bytes: bytes::Bytes) -> v1::ClientEvent {
    v1::ClientEvent::decode(bytes).expect("what we write is protobuf")
}

/// Opens a stream; returns it and the credit of its Hello.
fn open(link: &Link) -> (u64, u32) {
    let (stream, frame) = link.greet();
    let hello = decode(frame.0).hello.expect("a hello");
    link.outbox.connected(100);
    (stream, hello.credit)
}

/// Deliveries come from the server.
fn arrive(link: &Link, subscription: u32, count: u32) {
    let delivery = v1::Delivery {
        subscription,
        event: Some(v1::Event::default()),
        ..v1::Delivery::default()
    };
    let bytes = bytes::Bytes::from(delivery.encode_to_vec());
    let read = || link.inbox.read(&bytes, &bytes).expect("well formed");
    let mut deliveries: Vec<Delivery> = (0..count).map(|_| read()).collect();
    link.inbox.push(&mut deliveries, &mut Vec::new());
}

/// The agent takes what it can; returns how many deliveries and how many notices.
fn take(link: &Link, max: u32) -> (u32, u32) {
    let (mut deliveries, mut notices) = (Vec::new(), Vec::new());
    link.take(max as usize, &mut deliveries, &mut notices);
    (deliveries.len() as u32, notices.len() as u32)
}

/// Credit that was granted since the last look.
fn granted(link: &Link, stream: u64) -> u32 {
    let mut sum = 0;
    while let Poll::Ready(Some(frame)) = link.outbox.poll_frame(stream, Waker::noop()) {
        sum += decode(frame.0).credit;
    }
    sum
}

#[test]
fn credit_is_granted_anew_when_half_of_it_is_used_up() {
    let link = link(10);
    let (stream, credit) = open(&link);
    assert_eq!(credit, 10);
    arrive(&link, WORK, 6);
    assert_eq!(take(&link, 6), (6, 0));
    link.release(4);
    assert_eq!(granted(&link, stream), 0);
    link.release(1);
    assert_eq!(granted(&link, stream), 5);
}

#[test]
fn a_new_stream_gets_what_this_process_can_take() {
    let link = link(10);
    open(&link);
    arrive(&link, WORK, 7);
    assert_eq!(take(&link, 4), (4, 0));
    // Four are held, three wait in the inbox.
    let (stream, credit) = open(&link);
    assert_eq!(credit, 3);
    assert_eq!(take(&link, 10), (3, 0));
    link.release(7);
    assert_eq!(granted(&link, stream), 7);
}

#[test]
fn replies_are_outside_of_the_credit() {
    let link = link(1);
    let (stream, _) = open(&link);
    arrive(&link, WORK, 1);
    assert_eq!(take(&link, 1), (1, 0));
    arrive(&link, REPLIES, 100);
    assert_eq!(take(&link, 0), (0, 100));
    assert_eq!(granted(&link, stream), 0);
    assert_eq!(link.inbox.stats().overflowed, 0);
    link.release(1);
    assert_eq!(granted(&link, stream), 1);
}

#[test]
fn a_draining_agent_grants_nothing() {
    let link = link(2);
    let (stream, _) = open(&link);
    arrive(&link, WORK, 2);
    take(&link, 2);
    link.freeze();
    link.release(2);
    assert_eq!(granted(&link, stream), 0);
    assert_eq!(open(&link).1, 0);
}

proptest! {
    #[test]
    fn the_server_never_holds_more_than_was_meant(
        credit in 1_u32..20,
        steps in prop::collection::vec((0_u8..5, 1_u32..8), 0..200),
    ) {
        let link = link(credit);
        let (mut stream, mut at_server) = open(&link);
        let (mut waiting, mut held) = (0_u32, 0_u32);
        for (what, count) in steps {
            match what {
                0 => {
                    let sent = count.min(at_server);
                    at_server -= sent;
                    waiting += sent;
                    arrive(&link, WORK, sent);
                }
                1 => {
                    let (taken, _) = take(&link, count);
                    prop_assert_eq!(taken, count.min(waiting));
                    waiting -= taken;
                    held += taken;
                }
                2 => {
                    let done = count.min(held);
                    held -= done;
                    link.release(done);
                }
                3 => arrive(&link, REPLIES, count),
                _ => (stream, at_server) = open(&link),
            }
            at_server += granted(&link, stream);
            prop_assert!(at_server + waiting + held <= credit);
            // Everything handled is granted again, at the latest when nothing is held.
            if waiting + held == 0 {
                prop_assert!(at_server > credit / 2, "{at_server} of {credit}");
            }
        }
        prop_assert_eq!(link.inbox.stats().overflowed, 0);
    }
}
