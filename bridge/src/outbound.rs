//! What an agent gets: each frame is made when the connection asks for it, of what is there at that moment.
//!
//! That is the adaptive batch: under load a frame is full, at rest it holds one event, and no timer is needed.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::Stream;
use loom_core::ledger::DropReason;
use loom_core::{Delivery, EventBus, Subscriber};
use loom_proto::frame::BATCH_BYTES;
use loom_proto::wire::{number, put_message_field, put_varint_field};
use loom_proto::{Frame, v1};
use tonic::Status;

use crate::forward::Forward;
use crate::link::{Control, End, Link};

/// Deliveries taken out of the mailboxes at once.
const TAKE: usize = 256;

/// The sending half of one agent. Dropping it ends the agent's subscriptions.
pub(crate) struct Outbound {
    pub(crate) link: Arc<Link>,
    pub(crate) bus: EventBus,
    pub(crate) forward: Forward,
    /// Subscriptions that need credit.
    pub(crate) work: Lane,
    /// Subscriptions below `_inbox.`, which need none: the handlers that hold all credit may wait for just these.
    pub(crate) replies: Lane,
    /// Whose turn it is to fill a frame first: one large event fills it, and must not keep the other lane out for ever.
    pub(crate) work_is_first: bool,
}

/// Some of the agent's subscriptions.
pub(crate) struct Lane {
    subscriber: Subscriber,
    /// Deliveries that have left their mailbox and did not fit into the last frame.
    taken: VecDeque<Delivery>,
    scratch: Vec<Delivery>,
    /// Deliveries that may still go into this frame.
    quota: u32,
}

impl Outbound {
    /// The frames, `welcome` first.
    pub(crate) fn into_stream(
        self,
        welcome: &v1::Welcome,
    ) -> impl Stream<Item = Result<Frame, Status>> + Send + use<> {
        let mut first = Vec::new();
        put_message_field(&mut first, number::WELCOME, welcome);
        futures_util::stream::unfold((self, Some(first)), |(mut outbound, first)| async move {
            let frame = match first {
                Some(first) => Some(Ok(Frame(first.into()))),
                None => outbound.next_frame().await,
            };
            frame.map(|frame| (frame, (outbound, None)))
        })
    }

    /// Waits until there is something to send. `None` ends the stream.
    async fn next_frame(&mut self) -> Option<Result<Frame, Status>> {
        loop {
            let (control, credit, end) = self.link.take();
            let mut frame = Vec::new();
            put_control(&mut frame, &control);
            // An agent that leaves gets what concerns its own doings, and no more work.
            // And while the spans of deliveries would be lost, the deliveries wait.
            let has_room = self.forward.tracer().has_room();
            let may_deliver = end.is_none() && has_room;
            let credit = if may_deliver { credit } else { 0 };
            self.work.quota = credit;
            self.replies.quota = if may_deliver { u32::MAX } else { 0 };
            self.put_deliveries(&mut frame);
            let sent = credit - self.work.quota;
            if sent > 0 {
                self.link.spend_credit(sent);
            }
            if !frame.is_empty() {
                return Some(Ok(Frame(frame.into())));
            }
            match end {
                Some(End::Clean) => return None,
                Some(End::Status(status)) => {
                    // Said once; the stream ends after it.
                    self.link.end_was_said();
                    return Some(Err(status));
                }
                None => {}
            }
            tokio::select! {
                () = self.link.outbound_woken() => {}
                () = self.forward.tracer().room(), if !has_room => {}
                () = self.replies.subscriber.ready(), if may_deliver => {}
                () = self.work.subscriber.ready(), if credit > sent => {}
            }
        }
    }

    /// Fills the frame as far as credit, size and the mailboxes allow. The lanes share what room there is, and take turns.
    fn put_deliveries(&mut self, frame: &mut Vec<u8>) {
        let before = frame.len();
        let (first, second) = if self.work_is_first {
            (&mut self.work, &mut self.replies)
        } else {
            (&mut self.replies, &mut self.work)
        };
        first.put(&self.forward, frame, before.midpoint(BATCH_BYTES));
        second.put(&self.forward, frame, BATCH_BYTES);
        first.put(&self.forward, frame, BATCH_BYTES);
        if frame.len() > before {
            self.work_is_first = !self.work_is_first;
        }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        // They had left their mailbox and will not arrive.
        let lost = self.work.taken.len() + self.replies.taken.len();
        self.bus
            .ledger()
            .undelivered(DropReason::ConnectionLost, lost);
        self.link.end(End::Clean);
    }
}

impl Lane {
    pub(crate) fn new(subscriber: Subscriber) -> Self {
        Self {
            subscriber,
            taken: VecDeque::new(),
            scratch: Vec::new(),
            quota: 0,
        }
    }

    /// Fills the frame until it has `limit` bytes, or one event more.
    fn put(&mut self, forward: &Forward, frame: &mut Vec<u8>, limit: usize) {
        while self.quota > 0 && frame.len() < limit {
            if self.taken.is_empty() {
                let most = TAKE.min(self.quota as usize);
                if self.subscriber.try_recv_many(&mut self.scratch, most) == 0 {
                    break;
                }
                self.taken.extend(self.scratch.drain(..));
                frame.reserve(BATCH_BYTES.min(self.taken_bytes()));
            }
            while self.quota > 0 && frame.len() < limit {
                let Some(delivery) = self.taken.pop_front() else {
                    break;
                };
                forward.delivery(&delivery, frame);
                self.quota -= 1;
            }
        }
    }

    /// What the taken deliveries will need in a frame.
    fn taken_bytes(&self) -> usize {
        const AROUND: usize = 80;
        self.taken
            .iter()
            .map(|delivery| delivery.event.wire().len() + AROUND)
            .sum()
    }
}

fn put_control(frame: &mut Vec<u8>, control: &Control) {
    if control.is_empty() {
        return;
    }
    if control.acked_through > 0 || !control.rejected.is_empty() {
        let ack = v1::PublishAck {
            through: control.acked_through,
            rejected: control.rejected.clone(),
        };
        put_message_field(frame, number::ACK, &ack);
    }
    for call in &control.calls {
        put_message_field(frame, number::CALL, call);
    }
    for reply in &control.replies {
        put_message_field(frame, number::REPLY, reply);
    }
    for cancel in &control.cancels {
        put_message_field(frame, number::CANCEL, cancel);
    }
    put_varint_field(frame, number::SERVER_GOODBYE, control.goodbye.into());
}

#[cfg(test)]
mod tests {
    use loom_core::{BusConfig, Event, Subscription, Tracer};
    use loom_proto::wire::Fields;
    use rustc_hash::FxHashMap;

    use super::*;

    const EACH: u32 = 10;

    /// An agent for which `EACH` events of work and as many replies wait, of this size.
    async fn outbound(size: usize) -> Outbound {
        let bus = EventBus::new(BusConfig::default(), Tracer::off());
        let lane = |topic| Lane::new(bus.subscribe(&[Subscription::to(topic)]).expect("valid"));
        let outbound = Outbound {
            link: Arc::new(Link::new(0)),
            bus: bus.clone(),
            forward: Forward::new(Tracer::off(), "agent".into(), FxHashMap::default()),
            work: lane("work"),
            replies: lane("_inbox.agent"),
            work_is_first: false,
        };
        for topic in ["work", "_inbox.agent"] {
            for _ in 0..EACH {
                let event = Event::on(topic, vec![7; size]).expect("valid");
                bus.publish(event).await.expect("taken");
            }
        }
        outbound
    }

    /// Makes a frame with this credit; returns how many deliveries of work and how many replies it carries.
    fn frame(outbound: &mut Outbound, credit: u32) -> (u32, u32) {
        (outbound.work.quota, outbound.replies.quota) = (credit, u32::MAX);
        let mut frame = Vec::new();
        outbound.put_deliveries(&mut frame);
        let work = credit - outbound.work.quota;
        (work, Fields::of(&frame).count() as u32 - work)
    }

    #[tokio::test]
    async fn without_credit_only_replies_go_out() {
        let mut outbound = outbound(10).await;
        assert_eq!(frame(&mut outbound, 0), (0, EACH));
        assert_eq!(frame(&mut outbound, 3), (3, 0));
        assert_eq!(frame(&mut outbound, EACH), (EACH - 3, 0));
    }

    #[tokio::test]
    async fn the_lanes_share_a_frame() {
        let mut outbound = outbound(BATCH_BYTES / 8).await;
        let (work, replies) = frame(&mut outbound, EACH);
        assert!(work >= 3 && replies >= 3, "{work} {replies}");
    }

    #[tokio::test]
    async fn the_lanes_take_turns_where_one_event_fills_a_frame() {
        let mut outbound = outbound(BATCH_BYTES).await;
        for _ in 0..EACH {
            assert_eq!(frame(&mut outbound, EACH), (0, 1));
            assert_eq!(frame(&mut outbound, EACH), (1, 0));
        }
        assert_eq!(frame(&mut outbound, EACH), (0, 0));
    }
}
