//! What came from the server and waits for the agent's event loop.
//!
//! The I/O thread pushes whole frames' worth at a time and wakes the loop once; the loop takes up to so many deliveries
//! at a time. Notices (replies, calls, acknowledgements, the connection's fate) have a queue of their own, so that an
//! answer reaches a handler that waits for it however many deliveries stand in line.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use loom_proto::v1;
use loom_proto::wire::DeliveryHead;
use parking_lot::Mutex;
use rustc_hash::FxHashSet;

use crate::wake::Wake;

mod layout;

pub(crate) use layout::{EventLayout, Part};

/// Notices beyond this are dropped and counted; the server keeps far below it unless it is broken.
const NOTICE_LIMIT: usize = 65_536;
/// Replies beyond this many notices are dropped and counted. They need no credit, and anybody may send them: a loop that
/// stands still must lose superfluous replies, and not what the server has to say.
const REPLY_LIMIT: usize = NOTICE_LIMIT / 2;

/// A delivery with its event still encoded, and where its parts stand.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) subscription: u32,
    pub(crate) attempt: u32,
    pub(crate) event: Bytes,
    pub(crate) layout: EventLayout,
    /// Set: the subscription is acknowledged, and the server awaits an outcome.
    pub(crate) due: Option<Due>,
}

/// What an outcome must know of its delivery, beside subscription and attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// The connection's stream that brought the delivery; on a later one the server delivers again.
    pub(crate) stream: u64,
    /// Its place in the stream that keeps it.
    pub(crate) offset: u64,
}

/// Everything that is not a delivery to a handler.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A stream is open.
    Connected(v1::Welcome),
    /// The stream ended or could not be opened; another attempt follows.
    Disconnected(String),
    /// The server does not want this agent; no other attempt follows.
    Refused(v1::Error),
    /// There is room for publishing again.
    Writable,
    /// All events up to this number are settled.
    Confirmed(u64),
    /// An event was refused: its number, its id, and why.
    Rejected(u64, Bytes, v1::Error),
    /// An answer to a request of this agent.
    Reply(Delivery),
    /// A call for this agent to serve.
    Call(v1::ActionCall),
    /// An answer to a call of this agent.
    CallReply(v1::ActionReply),
    /// The caller of a served call is gone.
    CallCancelled(v1::ActionCancel),
    /// The client has closed.
    Closed,
}

/// The counters of an inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InboxStats {
    /// Deliveries that came.
    pub(crate) received: u64,
    /// Deliveries or other parts that could not be read.
    pub(crate) malformed: u64,
    /// Deliveries beyond the credit, and notices beyond the bound.
    pub(crate) overflowed: u64,
    /// Deliveries that wait.
    pub(crate) waiting: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Inbox {
    queues: Mutex<Queues>,
    pub(crate) wake: Wake,
    capacity: usize,
    /// Subscription on which replies to this agent's requests come.
    reply_subscription: u32,
    /// Subscriptions whose deliveries are answered by outcomes.
    acknowledged: FxHashSet<u32>,
    /// The connection's stream of this moment.
    stream: AtomicU64,
    received: AtomicU64,
    malformed: AtomicU64,
    overflowed: AtomicU64,
}

#[derive(Debug, Default)]
struct Queues {
    deliveries: VecDeque<Delivery>,
    notices: VecDeque<Notice>,
}

impl Inbox {
    pub(crate) fn new(wake: Wake, capacity: usize, reply_subscription: u32) -> Self {
        Self {
            queues: Mutex::default(),
            wake,
            capacity,
            reply_subscription,
            acknowledged: FxHashSet::default(),
            stream: AtomicU64::new(0),
            received: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
        }
    }

    /// The same inbox, where deliveries to these subscriptions are answered by outcomes.
    pub(crate) fn acknowledging(mut self, subscriptions: impl IntoIterator<Item = u32>) -> Self {
        self.acknowledged.extend(subscriptions);
        self
    }

    /// What is read from now on came on this stream.
    pub(crate) fn begin(&self, stream: u64) {
        self.stream.store(stream, Ordering::Relaxed);
    }

    /// Reads one encoded `Delivery` of `frame`. `None`: it is malformed, and counted.
    pub(crate) fn read(&self, frame: &Bytes, delivery: &[u8]) -> Option<Delivery> {
        self.received.fetch_add(1, Ordering::Relaxed);
        let read = DeliveryHead::scan(delivery)
            .and_then(|head| Ok((head, EventLayout::scan(head.event, head.traceparent)?)));
        let Ok((head, layout)) = read else {
            self.count_malformed();
            return None;
        };
        // By the subscription and not by the offset: the first event of a stream has offset 0.
        let is_acknowledged = self.acknowledged.contains(&head.subscription);
        Some(Delivery {
            subscription: head.subscription,
            attempt: head.attempt,
            event: frame.slice_ref(head.event),
            layout,
            due: is_acknowledged.then(|| Due {
                stream: self.stream.load(Ordering::Relaxed),
                offset: head.offset,
            }),
        })
    }

    /// Counts a part of a frame that could not be read.
    pub(crate) fn count_malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts the deliveries and notices of one frame into the queues and wakes the loop. Replies become notices: they came
    /// without credit, and need no handler.
    pub(crate) fn push(&self, deliveries: &mut Vec<Delivery>, notices: &mut Vec<Notice>) {
        if deliveries.is_empty() && notices.is_empty() {
            return;
        }
        let mut lost = 0;
        {
            let queues = &mut *self.queues.lock();
            for delivery in deliveries.drain(..) {
                if delivery.subscription == self.reply_subscription {
                    lost += queues.notice_below(REPLY_LIMIT, Notice::Reply(delivery));
                } else if queues.deliveries.len() < self.capacity {
                    queues.deliveries.push_back(delivery);
                } else {
                    lost += 1;
                }
            }
            for notice in notices.drain(..) {
                lost += queues.notice(notice);
            }
        }
        if lost > 0 {
            self.overflowed.fetch_add(lost, Ordering::Relaxed);
        }
        self.wake.signal();
    }

    /// Puts one notice into its queue and wakes the loop.
    pub(crate) fn notify(&self, notice: Notice) {
        let lost = self.queues.lock().notice(notice);
        self.overflowed.fetch_add(lost, Ordering::Relaxed);
        self.wake.signal();
    }

    /// Moves up to `max` deliveries and all notices to the caller. When nothing is left that the caller wanted, the wake
    /// is armed.
    pub(crate) fn take(
        &self,
        max: usize,
        deliveries: &mut Vec<Delivery>,
        notices: &mut Vec<Notice>,
    ) {
        loop {
            let left = {
                let mut queues = self.queues.lock();
                let take = queues
                    .deliveries
                    .len()
                    .min(max.saturating_sub(deliveries.len()));
                deliveries.extend(queues.deliveries.drain(..take));
                notices.extend(queues.notices.drain(..));
                !queues.deliveries.is_empty()
            };
            // What is left over is fetched by whoever finishes the work at hand; notices must still wake the loop.
            self.wake.arm();
            if left || !self.has_more(max.saturating_sub(deliveries.len())) {
                return;
            }
            self.wake.disarm();
        }
    }

    fn has_more(&self, room: usize) -> bool {
        let queues = self.queues.lock();
        !queues.notices.is_empty() || (room > 0 && !queues.deliveries.is_empty())
    }

    /// Deliveries that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queues.lock().deliveries.len()
    }

    /// Throws away what waits for a handler and will be delivered again: the stream that brought it is gone.
    pub(crate) fn withdraw(&self) {
        let mut queues = self.queues.lock();
        queues.deliveries.retain(|delivery| delivery.due.is_none());
    }

    /// Throws away what waits for a handler; returns how many deliveries that were. The client is closing.
    pub(crate) fn discard(&self) -> usize {
        std::mem::take(&mut self.queues.lock().deliveries).len()
    }

    /// The counters of this moment.
    pub(crate) fn stats(&self) -> InboxStats {
        InboxStats {
            received: self.received.load(Ordering::Relaxed),
            malformed: self.malformed.load(Ordering::Relaxed),
            overflowed: self.overflowed.load(Ordering::Relaxed),
            waiting: self.waiting() as u64,
        }
    }
}

impl Queues {
    /// Returns how many notices were lost: none, or this one.
    fn notice(&mut self, notice: Notice) -> u64 {
        self.notice_below(NOTICE_LIMIT, notice)
    }

    fn notice_below(&mut self, limit: usize, notice: Notice) -> u64 {
        if self.notices.len() < limit {
            self.notices.push_back(notice);
            0
        } else {
            1
        }
    }
}
