//! The receiving end of some mailboxes.

use std::sync::Arc;

use crate::bus::EventBus;
use crate::config::Qos;
use crate::group::Acknowledged;
use crate::mailbox::{Delivery, Doorbell, Mailbox};

/// What a subscriber wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Comes back with each delivery.
    pub id: u32,
    /// A topic, or a pattern.
    pub pattern: String,
    /// What a full mailbox does.
    pub qos: Qos,
    /// Size of the mailbox in events; 0, or more than the class allows, means the class's own.
    pub capacity: usize,
    /// Set: it is a share in a group ([`EventBus::join`]) and has no mailbox.
    pub acknowledged: Option<Acknowledged>,
}

impl Subscription {
    /// A subscription of the default class.
    pub fn to(pattern: &str) -> Self {
        Self {
            pattern: pattern.to_owned(),
            ..Self::default()
        }
    }
}

/// Receives what its subscriptions want. Dropping it ends them: what waits in their mailboxes is counted as lost.
#[derive(Debug)]
pub struct Subscriber {
    bus: EventBus,
    doorbell: Arc<Doorbell>,
    mailboxes: Vec<Arc<Mailbox>>,
}

impl Subscriber {
    pub(crate) fn new(
        bus: EventBus,
        doorbell: Arc<Doorbell>,
        mailboxes: Vec<Arc<Mailbox>>,
    ) -> Self {
        Self {
            bus,
            doorbell,
            mailboxes,
        }
    }

    /// Waits for one delivery.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Delivery {
        let mut one = Vec::with_capacity(1);
        loop {
            self.try_recv_many(&mut one, 1);
            match one.pop() {
                Some(delivery) => return delivery,
                None => self.doorbell.wait().await,
            }
        }
    }

    /// Waits until there is something, and moves up to `max` deliveries to the end of `into`: the higher classes
    /// first. Returns how many.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn recv_many(&mut self, into: &mut Vec<Delivery>, max: usize) -> usize {
        loop {
            let received = self.try_recv_many(into, max);
            if received > 0 || max == 0 {
                return received;
            }
            self.doorbell.wait().await;
        }
    }

    /// Waits until there may be something.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn ready(&self) {
        self.doorbell.wait().await;
    }

    /// Moves up to `max` deliveries that are there already. After it has given fewer, [`ready`](Self::ready) waits for
    /// the next; after it has given `max`, there may be more without a further ring.
    pub fn try_recv_many(&mut self, into: &mut Vec<Delivery>, max: usize) -> usize {
        let before = into.len();
        self.doorbell.take(&self.mailboxes, into, max);
        into.len() - before
    }

    /// The pattern of a subscription, shared.
    pub fn pattern(&self, subscription: u32) -> Option<Arc<str>> {
        self.mailboxes
            .iter()
            .find(|mailbox| mailbox.subscription() == subscription)
            .map(|m| Arc::clone(m.pattern()))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.bus.unsubscribe(&self.mailboxes);
    }
}
