//! Credit is neither lost nor made: what the server may send, what it has sent, and what is handled add up.

use std::task::{Poll, Waker};

use loom_proto::v1;
use proptest::prelude::*;
use prost::Message;

use crate::inbox::Inbox;
use crate::link::{Link, LinkConfig, inbox_capacity};
use crate::outbox::Outbox;
use crate::wake::Wake;

fn link(credit: u32) -> Link {
    let config = LinkConfig {
        address: String::new(),
        hello: v1::Hello::default(),
        credit,
    };
    let wake = Wake::new().expect("a descriptor");
    let inbox = Inbox::new(wake, inbox_capacity(credit), 9);
    Link::new(config, Outbox::new(1 << 20), inbox)
}

fn decode(bytes: bytes::Bytes) -> v1::ClientEvent {
    v1::ClientEvent::decode(bytes).expect("what we write is protobuf")
}

/// Opens a stream; returns it and the credit of its Hello.
fn open(link: &Link) -> (u64, u32) {
    let hello = decode(link.hello().0).hello.expect("a hello");
    let stream = link.outbox.greet();
    link.outbox.connected(100);
    (stream, hello.credit)
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
    link.received(6, 0);
    link.hold(6);
    link.release(4);
    assert_eq!(granted(&link, stream), 0);
    link.release(1);
    assert_eq!(granted(&link, stream), 5);
}

#[test]
fn a_new_stream_gets_what_this_process_can_take() {
    let link = link(10);
    open(&link);
    link.received(7, 0);
    link.hold(7);
    let (stream, credit) = open(&link);
    assert_eq!(credit, 3);
    link.release(7);
    assert_eq!(granted(&link, stream), 7);
}

#[test]
fn replies_need_no_handler() {
    let link = link(4);
    let (stream, _) = open(&link);
    link.received(2, 2);
    assert_eq!(granted(&link, stream), 2);
}

#[test]
fn an_agent_starves_only_while_it_asks_and_all_credit_is_gone() {
    let link = link(2);
    let (stream, _) = open(&link);
    assert!(!link.is_starving());
    link.received(2, 0);
    link.hold(2);
    assert!(!link.is_starving());
    link.open_request();
    assert!(link.is_starving());
    link.probe();
    assert_eq!(granted(&link, stream), 1);
    assert!(!link.is_starving(), "a delivery is on its way");
    link.received(1, 0);
    assert!(link.is_starving(), "it was no reply");
    link.close_request();
    assert!(!link.is_starving());
    // What was granted beyond the credit is paid back first.
    link.hold(1);
    link.release(3);
    assert_eq!(granted(&link, stream), 2);
}

#[test]
fn a_draining_agent_grants_nothing() {
    let link = link(2);
    let (stream, _) = open(&link);
    link.received(2, 0);
    link.hold(2);
    link.freeze();
    link.open_request();
    assert!(!link.is_starving());
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
        let (stream, mut at_server) = open(&link);
        let (mut held, mut probes, mut requests) = (0_u32, 0_u32, 0_u32);
        for (what, count) in steps {
            match what {
                0 => {
                    let sent = count.min(at_server);
                    at_server -= sent;
                    link.received(sent, 0);
                    link.hold(sent);
                    held += sent;
                }
                1 => {
                    let done = count.min(held);
                    held -= done;
                    link.release(done);
                }
                2 => {
                    link.open_request();
                    requests += 1;
                }
                3 if requests > 0 => {
                    link.close_request();
                    requests -= 1;
                }
                _ => if link.is_starving() {
                    link.probe();
                    probes += 1;
                },
            }
            at_server += granted(&link, stream);
            prop_assert!(at_server + held <= credit + probes);
            // Everything handled is granted again, at the latest when nothing is held.
            if held == 0 {
                prop_assert!(at_server > credit / 2, "{at_server} of {credit}");
            }
        }
    }
}
