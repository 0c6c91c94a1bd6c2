//! What an agent gets: each frame is made when the connection asks for it, of what is there at that moment.
//!
//! That is the adaptive batch: under load a frame is full, at rest it holds one event, and no timer is needed.

use std::sync::Arc;

use futures_util::Stream;
use loom_core::EventBus;
use loom_core::ledger::DropReason;
use loom_proto::frame::BATCH_BYTES;
use loom_proto::wire::{number, put_message_field, put_varint_field};
use loom_proto::{Frame, v1};
use tonic::Status;

use crate::forward::Forward;
use crate::lane::{Attempts, Lane, Mailboxes};
use crate::link::{Control, End, Link};

/// The sending half of one agent. Dropping it ends the agent's subscriptions.
pub(crate) struct Outbound {
    pub(crate) link: Arc<Link>,
    pub(crate) bus: EventBus,
    pub(crate) forward: Forward,
    /// Subscriptions below `_inbox.`, which need no credit: the handlers that hold all of it may wait for just these.
    pub(crate) replies: Lane<Mailboxes>,
    /// The other subscriptions with mailboxes.
    pub(crate) work: Lane<Mailboxes>,
    /// Shares in groups.
    pub(crate) attempts: Lane<Attempts>,
    /// Whose turn it is to fill a frame first: one large event fills it, and must not keep the other lanes out for ever.
    pub(crate) turn: usize,
}

/// How many deliveries a frame may take.
struct Quota {
    replies: u32,
    credit: u32,
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
            let mut quota = Quota {
                replies: if may_deliver { u32::MAX } else { 0 },
                credit,
            };
            self.put_deliveries(&mut frame, &mut quota);
            let sent = credit - quota.credit;
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
                () = self.replies.ready(), if may_deliver => {}
                () = self.work.ready(), if credit > sent => {}
                () = self.attempts.ready(), if credit > sent => {}
            }
        }
    }

    /// Fills the frame as far as credit, size and the subscriptions allow. Each lane has a share of the room, the one whose
    /// turn it is first, and then what is left.
    fn put_deliveries(&mut self, frame: &mut Vec<u8>, quota: &mut Quota) {
        const LANES: usize = 3;
        let before = frame.len();
        let room = BATCH_BYTES.saturating_sub(before);
        for pass in 1..=2 * LANES {
            let limit = before + room * pass.min(LANES) / LANES;
            let Quota { replies, credit } = quota;
            match (self.turn + pass) % LANES {
                0 => self.replies.put(&self.forward, frame, limit, replies),
                1 => self.work.put(&self.forward, frame, limit, credit),
                _ => self.attempts.put(&self.forward, frame, limit, credit),
            }
        }
        if frame.len() > before {
            self.turn = (self.turn + 1) % LANES;
        }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        // They had left their mailbox and will not arrive.
        let lost = self.work.taken().chain(self.replies.taken());
        self.bus
            .ledger()
            .undelivered(DropReason::ConnectionLost, lost);
        self.link.end(End::Clean);
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
    use crate::shares::Shares;

    const EACH: u32 = 10;

    /// An agent for which `EACH` events of work and as many replies wait, of this size.
    async fn outbound(size: usize) -> Outbound {
        let bus = EventBus::new(BusConfig::default(), Tracer::off());
        let lane = |topic| {
            Lane::new(Mailboxes::new(
                bus.subscribe(&[Subscription::to(topic)]).expect("valid"),
            ))
        };
        let shares = Shares::join(&bus, &[]).expect("none");
        let outbound = Outbound {
            link: Arc::new(Link::new(0)),
            bus: bus.clone(),
            forward: Forward::new(Tracer::off(), "agent".into(), FxHashMap::default()),
            work: lane("work"),
            replies: lane("_inbox.agent"),
            attempts: Lane::new(Attempts::new(Arc::new(shares))),
            turn: 0,
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
        let mut quota = Quota {
            replies: u32::MAX,
            credit,
        };
        let mut frame = Vec::new();
        outbound.put_deliveries(&mut frame, &mut quota);
        let work = credit - quota.credit;
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
        let mut frames: Vec<_> = (0..2 * EACH).map(|_| frame(&mut outbound, EACH)).collect();
        // Three lanes, one of them empty: nobody waits for more than two frames.
        for three in frames[..EACH as usize].windows(3) {
            assert!(
                three.contains(&(1, 0)) && three.contains(&(0, 1)),
                "{frames:?}"
            );
        }
        frames.sort_unstable();
        assert_eq!(
            frames.partition_point(|carried| *carried == (0, 1)),
            EACH as usize
        );
        assert_eq!(frame(&mut outbound, EACH), (0, 0));
    }
}
