//! A bounded queue of deliveries with the policy of its [`Qos`], and the doorbell of whoever empties it.
//!
//! One lock per mailbox, held for a push or for the move of a batch, never over an await. The doorbell is rung once
//! when a mailbox gets its first event, not for each event.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::Qos;
use crate::event::Event;
use crate::ledger::{DropReason, InFlight, Ledger};
use crate::sync::{AtomicUsize, Mutex, Notify, Ordering};

/// One event for one subscription.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What the subscriber called its subscription.
    pub subscription: u32,
    /// The event, with the context and the time of `EventBus.publish`.
    pub event: Arc<Event>,
}

/// The queue of one subscription.
#[derive(Debug)]
pub(crate) struct Mailbox {
    subscription: u32,
    pattern: Arc<str>,
    qos: Qos,
    capacity: usize,
    queue: Mutex<Queue>,
    /// Publishers that wait for room.
    waiting: AtomicUsize,
    room: Notify,
    doorbell: Arc<Doorbell>,
    /// Where the subscriber keeps this mailbox.
    slot: u32,
    ledger: Arc<Ledger>,
}

#[derive(Debug, Default)]
struct Queue {
    deliveries: VecDeque<Delivery>,
    /// The doorbell knows of this mailbox, until it is found empty.
    rung: bool,
    closed: bool,
}

/// What became of a delivery that was offered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Taken,
    /// The publisher must wait and offer again.
    Full,
    /// The subscriber has left; the loss is counted.
    Closed,
}

/// Which of a subscriber's mailboxes have something, by class.
#[derive(Debug, Default)]
pub(crate) struct Doorbell {
    ready: Mutex<[VecDeque<u32>; Qos::ALL.len()]>,
    notify: Notify,
}

impl Mailbox {
    pub(crate) fn new(
        subscription: u32,
        pattern: Arc<str>,
        qos: Qos,
        capacity: usize,
        doorbell: Arc<Doorbell>,
        slot: u32,
        ledger: Arc<Ledger>,
    ) -> Self {
        Self {
            subscription,
            pattern,
            qos,
            capacity,
            queue: Mutex::default(),
            waiting: AtomicUsize::new(0),
            room: Notify::new(),
            doorbell,
            slot,
            ledger,
        }
    }

    pub(crate) fn subscription(&self) -> u32 {
        self.subscription
    }

    pub(crate) fn pattern(&self) -> &Arc<str> {
        &self.pattern
    }

    /// Offers an event; counts what is lost by it, be it this event or an older one.
    pub(crate) fn offer(&self, event: &Arc<Event>) -> Offer {
        let mut queue = self.queue.lock();
        if queue.closed {
            drop(queue);
            self.ledger
                .dropped(DropReason::SubscriberGone, [event.account()]);
            return Offer::Closed;
        }
        let mut displaced = None;
        if queue.deliveries.len() >= self.capacity {
            if self.qos != Qos::Realtime {
                return Offer::Full;
            }
            displaced = queue.deliveries.pop_front();
        }
        queue.deliveries.push_back(Delivery {
            subscription: self.subscription,
            event: Arc::clone(event),
        });
        let ring = !std::mem::replace(&mut queue.rung, true);
        drop(queue);
        if ring {
            self.doorbell.ring(self.qos, self.slot);
        }
        if let Some(displaced) = displaced {
            self.ledger
                .dropped(DropReason::MailboxFull, [displaced.event.account()]);
        }
        Offer::Taken
    }

    /// Offers until there is room. Cancel safe: a publisher that gives up has offered nothing.
    pub(crate) async fn offer_when_room(&self, event: &Arc<Event>) -> Offer {
        let _waiting = Waiting::enter(&self.waiting);
        loop {
            // Enabled before the offer, so that room made in between is not missed.
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();

            match self.offer(event) {
                Offer::Full => room.await,
                done => return done,
            }
        }
    }

    /// Moves up to `max` deliveries to the end of `into`; true when some stay behind.
    fn take(&self, into: &mut Vec<Delivery>, max: usize) -> bool {
        let mut queue = self.queue.lock();
        let before = into.len();
        let count = max.min(queue.deliveries.len());
        into.extend(queue.deliveries.drain(..count));
        let more = !queue.deliveries.is_empty();
        queue.rung = more;
        drop(queue);
        let taken = into[before..].iter();
        self.ledger
            .delivered(taken.map(|delivery| delivery.event.account()));
        if self.waiting.load(Ordering::Acquire) > 0 {
            self.room.notify_waiters();
        }
        more
    }

    /// Ends the mailbox: what waits in it is lost and counted, who waits for room is let go.
    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        let left = std::mem::take(&mut queue.deliveries);
        drop(queue);
        let left = left.iter().map(|delivery| delivery.event.account());
        self.ledger.dropped(DropReason::SubscriberGone, left);
        self.room.notify_waiters();
    }

    /// Adds the deliveries in the queue.
    pub(crate) fn count(&self, in_flight: &mut InFlight) {
        for delivery in &self.queue.lock().deliveries {
            in_flight.add(delivery.event.account(), 1);
        }
    }
}

impl Doorbell {
    fn ring(&self, qos: Qos, slot: u32) {
        self.ready.lock()[qos as usize].push_back(slot);
        self.notify.notify_one();
    }

    /// Waits until some mailbox may have something. Cancel safe: a missed ring is kept.
    pub(crate) async fn wait(&self) {
        self.notify.notified().await;
    }

    /// Moves up to `max` deliveries out of the mailboxes that have some, the higher classes first, within a class in
    /// turn.
    pub(crate) fn take(&self, mailboxes: &[Arc<Mailbox>], into: &mut Vec<Delivery>, max: usize) {
        let limit = into.len() + max;
        while into.len() < limit {
            let Some(mailbox) = self.next().and_then(|slot| mailboxes.get(slot as usize)) else {
                return;
            };
            if mailbox.take(into, limit - into.len()) {
                self.ring(mailbox.qos, mailbox.slot);
            }
        }
    }

    fn next(&self) -> Option<u32> {
        self.ready.lock().iter_mut().find_map(VecDeque::pop_front)
    }
}

/// Counts a waiting publisher for as long as it lives, also when its future is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::AcqRel);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
