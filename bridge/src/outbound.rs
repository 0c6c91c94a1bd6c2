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
    pub(crate) subscriber: Subscriber,
    pub(crate) forward: Forward,
    pub(crate) taken: Taken,
}

/// Deliveries that have left their mailbox and did not fit into the last frame.
#[derive(Default)]
pub(crate) struct Taken {
    deliveries: VecDeque<Delivery>,
    scratch: Vec<Delivery>,
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
            let credit = if end.is_none() && has_room { credit } else { 0 };
            let sent = self.put_deliveries(&mut frame, credit);
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
                () = self.subscriber.ready(), if credit > sent => {}
            }
        }
    }

    /// Fills the frame as far as credit, size and the mailboxes allow.
    fn put_deliveries(&mut self, frame: &mut Vec<u8>, credit: u32) -> u32 {
        let mut sent = 0;
        while sent < credit && frame.len() < BATCH_BYTES {
            if self.taken.deliveries.is_empty() {
                let most = TAKE.min((credit - sent) as usize);
                if self.subscriber.try_recv_many(&mut self.taken.scratch, most) == 0 {
                    break;
                }
                self.taken.deliveries.extend(self.taken.scratch.drain(..));
                frame.reserve(BATCH_BYTES.min(self.taken.wire_bytes()));
            }
            while sent < credit && frame.len() < BATCH_BYTES {
                let Some(delivery) = self.taken.deliveries.pop_front() else {
                    break;
                };
                self.forward.delivery(&delivery, frame);
                sent += 1;
            }
        }
        sent
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        // They had left their mailbox and will not arrive.
        self.bus
            .ledger()
            .undelivered(DropReason::ConnectionLost, self.taken.deliveries.len());
        self.link.end(End::Clean);
    }
}

impl Taken {
    fn wire_bytes(&self) -> usize {
        const AROUND: usize = 80;
        self.deliveries
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
