//! The queue between the I/O thread and the event loop.

use bytes::Bytes;
use loom_proto::v1;
use proptest::prelude::*;
use prost::Message;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::inbox::{Delivery, Inbox, Notice};
use crate::wake::Wake;

const REPLIES: u32 = 9;

fn inbox(capacity: usize) -> Inbox {
    Inbox::new(Wake::new().expect("a descriptor"), capacity, REPLIES)
}

fn encoded(subscription: u32, payload: &[u8]) -> Bytes {
    let delivery = v1::Delivery {
        subscription,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        attempt: 1,
        event: Some(v1::Event {
            id: vec![7; 16].into(),
            topic: "a.b".to_owned(),
            payload: payload.to_vec().into(),
            ..v1::Event::default()
        }),
        offset: 0,
    };
    delivery.encode_to_vec().into()
}

fn delivery(inbox: &Inbox, subscription: u32) -> Delivery {
    let bytes = encoded(subscription, b"x");
    inbox.read(&bytes, &bytes).expect("well formed")
}

/// Whether the event loop would be woken.
fn is_readable(inbox: &Inbox) -> bool {
    let fd = inbox.wake.fd();
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&now)).expect("poll") > 0
}

fn take(inbox: &Inbox, max: usize) -> (Vec<Delivery>, Vec<Notice>) {
    let (mut deliveries, mut notices) = (Vec::new(), Vec::new());
    inbox.take(max, &mut deliveries, &mut notices);
    (deliveries, notices)
}

#[test]
fn the_loop_is_woken_once_until_it_has_looked() {
    let inbox = inbox(10);
    assert!(!is_readable(&inbox));
    let mut deliveries = vec![delivery(&inbox, 1)];
    inbox.push(&mut deliveries, &mut Vec::new());
    assert!(is_readable(&inbox));
    inbox.wake.clear();
    inbox.push(&mut vec![delivery(&inbox, 1)], &mut Vec::new());
    assert!(!is_readable(&inbox), "it is awake already");
    assert_eq!(take(&inbox, 10).0.len(), 2);
    inbox.notify(Notice::Writable);
    assert!(is_readable(&inbox));
}

#[test]
fn notices_wake_a_loop_that_leaves_deliveries_behind() {
    let inbox = inbox(10);
    inbox.push(
        &mut vec![delivery(&inbox, 1), delivery(&inbox, 1)],
        &mut Vec::new(),
    );
    inbox.wake.clear();
    assert_eq!(take(&inbox, 1).0.len(), 1);
    inbox.notify(Notice::Writable);
    assert!(is_readable(&inbox));
    let (deliveries, notices) = take(&inbox, 0);
    assert_eq!((deliveries.len(), notices.len()), (0, 1));
    assert_eq!(inbox.waiting(), 1);
}

#[test]
fn replies_do_not_stand_in_line_with_deliveries() {
    let inbox = inbox(1);
    let mut deliveries = vec![delivery(&inbox, 1), delivery(&inbox, REPLIES)];
    inbox.push(&mut deliveries, &mut Vec::new());
    let (deliveries, notices) = take(&inbox, 0);
    assert!(deliveries.is_empty());
    assert!(matches!(&notices[..], [Notice::Reply(_)]));
}

#[test]
fn a_flood_of_replies_leaves_room_for_the_server() {
    let inbox = inbox(1);
    let mut flood = (0..70_000).map(|_| delivery(&inbox, REPLIES)).collect();
    inbox.push(&mut flood, &mut Vec::new());
    let lost = inbox.stats().overflowed;
    assert!(lost > 0);
    inbox.notify(Notice::Closed);
    assert_eq!(inbox.stats().overflowed, lost);
    let (_, notices) = take(&inbox, 0);
    assert!(matches!(notices.last(), Some(Notice::Closed)));
}

#[test]
fn what_is_beyond_the_capacity_is_counted() {
    let inbox = inbox(2);
    let mut deliveries = (0..5).map(|_| delivery(&inbox, 1)).collect();
    inbox.push(&mut deliveries, &mut Vec::new());
    let stats = inbox.stats();
    assert_eq!((stats.received, stats.overflowed, stats.waiting), (5, 3, 2));
    assert_eq!(inbox.discard(), 2);
}

#[test]
fn parts_are_read_where_they_stand() {
    let inbox = inbox(2);
    let frame = encoded(3, b"the payload");
    let delivery = inbox.read(&frame, &frame).expect("well formed");
    let layout = &delivery.layout;
    assert_eq!(layout.topic.text(&delivery.event), "a.b");
    assert_eq!(layout.payload.bytes(&delivery.event), b"the payload");
    assert_eq!(layout.thread_id.text(&delivery.event), "");
    assert!(layout.context.is_sampled());
    assert_eq!(layout.id, [7; 16]);
}

proptest! {
    #[test]
    fn garbage_is_counted_and_nothing_worse(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let inbox = inbox(2);
        let frame = Bytes::from(bytes);
        if let Some(delivery) = inbox.read(&frame, &frame) {
            let _topic = delivery.layout.topic.text(&delivery.event);
            let _payload = delivery.layout.payload.bytes(&delivery.event);
        } else {
            prop_assert_eq!(inbox.stats().malformed, 1);
        }
    }

    #[test]
    fn a_delivery_cut_short_is_malformed_or_whole(payload in prop::collection::vec(any::<u8>(), 1..50), part in 0.0..1.0) {
        let inbox = inbox(2);
        let whole = encoded(1, &payload);
        let cut = whole.slice(..(whole.len() as f64 * part) as usize);
        if let Some(delivery) = inbox.read(&cut, &cut) {
            prop_assert!(delivery.layout.payload.bytes(&delivery.event).len() <= payload.len());
        }
    }
}
