//! What an agent's subscriptions have for it, on its way into a frame.

use std::collections::VecDeque;
use std::sync::Arc;

use loom_core::{Attempt, Delivery, Subscriber};
use loom_proto::frame::BATCH_BYTES;

use crate::forward::{Forward, Outgoing};
use crate::shares::Shares;

/// Deliveries taken out of the mailboxes at once.
const TAKE: usize = 256;

/// Subscriptions with mailboxes.
pub(crate) struct Mailboxes {
    subscriber: Subscriber,
    /// Deliveries that have left their mailbox and did not fit into the last frame.
    taken: VecDeque<Delivery>,
    scratch: Vec<Delivery>,
}

/// Subscriptions that are shares in groups.
pub(crate) struct Attempts {
    shares: Arc<Shares>,
    /// Attempts that are in the agent's hand and did not fit into the last frame.
    taken: VecDeque<(u32, Attempt)>,
}

impl Mailboxes {
    pub(crate) fn new(subscriber: Subscriber) -> Self {
        Self {
            subscriber,
            taken: VecDeque::new(),
            scratch: Vec::new(),
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
                let most = TAKE.min(*quota as usize);
                if self.subscriber.try_recv_many(&mut self.scratch, most) == 0 {
                    break;
                }
                self.taken.extend(self.scratch.drain(..));
                frame.reserve(BATCH_BYTES.min(self.taken_bytes()));
            }
            while *quota > 0 && frame.len() < limit {
                let Some(delivery) = self.taken.pop_front() else {
                    break;
                };
                let outgoing = Outgoing::first(delivery.subscription, &delivery.event);
                forward.delivery(&outgoing, frame);
                *quota -= 1;
            }
        }
    }

    /// Waits until there may be something. Cancel safe.
    pub(crate) async fn ready(&self) {
        self.subscriber.ready().await;
    }

    /// Deliveries that will not arrive if the agent is gone now.
    pub(crate) fn taken(&self) -> usize {
        self.taken.len()
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

impl Attempts {
    pub(crate) fn new(shares: Arc<Shares>) -> Self {
        Self {
            shares,
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
                self.shares.take(TAKE.min(*quota as usize), &mut self.taken);
                if self.taken.is_empty() {
                    break;
                }
            }
            while *quota > 0 && frame.len() < limit {
                let Some((subscription, attempt)) = self.taken.pop_front() else {
                    break;
                };
                forward.delivery(&Outgoing::attempt(subscription, &attempt), frame);
                *quota -= 1;
            }
        }
    }

    /// Waits until there may be something. Cancel safe.
    pub(crate) async fn ready(&self) {
        self.shares.ready().await;
    }
}
