//! What an agent's subscriptions have for it, on its way into a frame.

use std::collections::VecDeque;
use std::sync::Arc;

use loom_core::{Attempt, Delivery, Forwarded, Subscriber};
use loom_proto::SpanId;
use loom_proto::frame::BATCH_BYTES;

use crate::forward::{Forward, Outgoing};
use crate::shares::Shares;

/// Deliveries taken out of a source at once.
const TAKE: usize = 256;

/// Some of the agent's subscriptions.
pub(crate) struct Lane<S: Source> {
    source: S,
    /// Deliveries that have left their source and did not fit into the last frame.
    taken: VecDeque<S::Item>,
}

/// Where deliveries come from.
pub(crate) trait Source {
    type Item;

    /// Moves up to `max` deliveries to the end of `into`.
    fn take(&mut self, max: usize, into: &mut VecDeque<Self::Item>);

    /// Waits until there may be something. Cancel safe.
    async fn ready(&self);

    fn outgoing(item: &Self::Item) -> Outgoing<'_>;

    /// A delivery was written, under this span if it is recorded.
    fn written(&mut self, _item: &Self::Item, _span: Option<SpanId>) {}

    /// No more deliveries will be written for now.
    fn flush(&mut self) {}
}

/// Subscriptions with mailboxes.
pub(crate) struct Mailboxes {
    subscriber: Subscriber,
    scratch: Vec<Delivery>,
}

impl Mailboxes {
    pub(crate) fn new(subscriber: Subscriber) -> Self {
        Self {
            subscriber,
            scratch: Vec::new(),
        }
    }
}

impl Source for Mailboxes {
    type Item = Delivery;

    fn take(&mut self, max: usize, into: &mut VecDeque<Delivery>) {
        self.subscriber.try_recv_many(&mut self.scratch, max);
        into.extend(self.scratch.drain(..));
    }

    async fn ready(&self) {
        self.subscriber.ready().await;
    }

    fn outgoing(delivery: &Delivery) -> Outgoing<'_> {
        Outgoing::first(delivery.subscription, &delivery.event)
    }
}

/// Subscriptions that are shares in groups.
pub(crate) struct Attempts {
    shares: Arc<Shares>,
    /// What the groups are to be told of, by subscription. They are asked for their locks once a frame.
    written: Vec<(u32, Forwarded)>,
}

impl Attempts {
    pub(crate) fn new(shares: Arc<Shares>) -> Self {
        Self {
            shares,
            written: Vec::new(),
        }
    }
}

impl Source for Attempts {
    type Item = (u32, Attempt);

    fn take(&mut self, max: usize, into: &mut VecDeque<(u32, Attempt)>) {
        self.shares.take(max, into);
    }

    async fn ready(&self) {
        self.shares.ready().await;
    }

    fn written(&mut self, (subscription, attempt): &(u32, Attempt), span: Option<SpanId>) {
        if let Some(span) = span {
            let forwarded = Forwarded {
                offset: attempt.offset,
                attempt: attempt.number,
                span,
            };
            self.written.push((*subscription, forwarded));
        }
    }

    fn flush(&mut self) {
        self.shares.forwarded(&self.written);
        self.written.clear();
    }

    fn outgoing((subscription, attempt): &(u32, Attempt)) -> Outgoing<'_> {
        Outgoing::attempt(*subscription, attempt)
    }
}

impl<S: Source> Lane<S> {
    pub(crate) fn new(source: S) -> Self {
        Self {
            source,
            taken: VecDeque::new(),
        }
    }

    /// Fills the frame until it has `limit` bytes, or one event more, with at most `quota` deliveries.
    pub(crate) fn put(
        &mut self,
        forward: &Forward,
        frame: &mut Vec<u8>,
        limit: usize,
        quota: &mut u32,
    ) {
        while *quota > 0 && frame.len() < limit {
            if self.taken.is_empty() {
                self.source.take(TAKE.min(*quota as usize), &mut self.taken);
                if self.taken.is_empty() {
                    break;
                }
                frame.reserve(BATCH_BYTES.min(self.taken_bytes()));
            }
            while *quota > 0 && frame.len() < limit {
                let Some(item) = self.taken.pop_front() else {
                    break;
                };
                let span = forward.delivery(&S::outgoing(&item), frame);
                self.source.written(&item, span);
                *quota -= 1;
            }
        }
        self.source.flush();
    }

    /// Waits until there may be something. Cancel safe.
    pub(crate) async fn ready(&self) {
        self.source.ready().await;
    }

    /// Deliveries that will not arrive if the agent is gone now.
    pub(crate) fn taken(&self) -> impl Iterator<Item = &S::Item> {
        self.taken.iter()
    }

    /// What the taken deliveries will need in a frame.
    fn taken_bytes(&self) -> usize {
        const AROUND: usize = 80;
        self.taken
            .iter()
            .map(|item| S::outgoing(item).wire_len() + AROUND)
            .sum()
    }
}
