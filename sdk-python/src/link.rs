//! What the Python side and the connection of one client share.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Poll, Waker};

use loom_proto::frame::Frame;
use loom_proto::v1;
use loom_proto::wire::{self, number};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::inbox::{Delivery, Inbox, Notice};
use crate::outbox::Outbox;

/// Largest event until Welcome says otherwise: the default of the bridge.
const MAX_EVENT_BYTES: u32 = 1024 * 1024;

/// What a client is, for the life of its process.
#[derive(Debug)]
pub(crate) struct LinkConfig {
    /// `host:port`, or a URL with http or https.
    pub(crate) address: String,
    /// Without `credit`, which differs for each stream.
    pub(crate) hello: v1::Hello,
    /// Deliveries that may be in this process and not handled.
    pub(crate) credit: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) config: LinkConfig,
    pub(crate) outbox: Outbox,
    pub(crate) inbox: Inbox,
    credit: Mutex<Credit>,
    /// Deliveries that the server lets this agent have without an outcome.
    max_unanswered: usize,
    max_event_bytes: AtomicU32,
    connections: AtomicU64,
    /// Somebody waits for the buffers of spans and will wake the loop.
    waits_for_spans: AtomicBool,
    leaving: AtomicBool,
    left: Notify,
    abandoned: AtomicBool,
    abandon: Notify,
    ended: AtomicBool,
    end: Notify,
}

/// Where the credit is: what the configuration allows is at the server, waits in the inbox, is held, or is released.
#[derive(Debug, Default)]
struct Credit {
    /// Deliveries handed to the agent and not handled yet, or whose outcome keeps their credit.
    held: u32,
    /// Handled, and not granted anew yet.
    released: u32,
    /// Nothing is granted any more: the agent drains.
    frozen: bool,
}

impl Link {
    pub(crate) fn new(config: LinkConfig, outbox: Outbox, inbox: Inbox) -> Self {
        let shares = config.hello.subscriptions.iter();
        let max_unanswered = shares
            .filter_map(|subscription| subscription.acknowledged.as_ref())
            .map(|share| share.max_in_flight as usize)
            .sum();
        Self {
            max_unanswered,
            config,
            outbox,
            inbox,
            credit: Mutex::default(),
            max_event_bytes: AtomicU32::new(MAX_EVENT_BYTES),
            connections: AtomicU64::new(0),
            waits_for_spans: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            left: Notify::new(),
            abandoned: AtomicBool::new(false),
            abandon: Notify::new(),
            ended: AtomicBool::new(false),
            end: Notify::new(),
        }
    }

    /// Begins a stream: its number in the outbox, and its first frame, whose credit is what this process can take beyond
    /// what it holds. Both under one lock: what is released in between would be granted twice, or not at all.
    pub(crate) fn greet(&self) -> (u64, Frame) {
        let mut credit = self.credit.lock();
        let stream = self.outbox.greet();
        self.inbox.begin(stream);
        let left = self.outbox.take_left_outcomes();
        credit.held = credit.held.saturating_sub(left);
        credit.released = 0;
        let granted = if credit.frozen {
            0
        } else {
            let here = credit.held.saturating_add(self.inbox.waiting() as u32);
            self.config.credit.saturating_sub(here)
        };
        drop(credit);
        let hello = v1::Hello {
            credit: granted,
            ..self.config.hello.clone()
        };
        let mut frame = Vec::new();
        wire::put_message_field(&mut frame, number::HELLO, &hello);
        (stream, Frame(frame.into()))
    }

    /// What Welcome said, for those who publish.
    pub(crate) fn welcomed(&self, welcome: &v1::Welcome) {
        self.max_event_bytes
            .store(welcome.max_event_bytes, Ordering::Relaxed);
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Largest event that the server takes.
    pub(crate) fn max_event_bytes(&self) -> u32 {
        self.max_event_bytes.load(Ordering::Relaxed)
    }

    /// How many streams were opened.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// The stream is gone. What the server will deliver again is not handled any more.
    pub(crate) fn disconnected(&self) {
        self.outbox.disconnected();
        self.inbox.withdraw();
    }

    /// The next frame of a stream; `None` ends it.
    pub(crate) fn poll_frame(&self, stream: u64, waker: &Waker) -> Poll<Option<Frame>> {
        let frame = self.outbox.poll_frame(stream, waker);
        let answered = self.outbox.take_left_outcomes();
        if answered > 0 {
            self.release(answered);
        }
        frame
    }

    // ---- credit ----

    /// Hands up to `max` deliveries and all notices to the agent. The deliveries are held from this moment on: a stream that
    /// begins meanwhile finds each of them in the inbox or held.
    pub(crate) fn take(
        &self,
        max: usize,
        deliveries: &mut Vec<Delivery>,
        notices: &mut Vec<Notice>,
    ) {
        let mut credit = self.credit.lock();
        self.inbox.take(max, deliveries, notices);
        credit.held += deliveries.len() as u32;
    }

    /// The agent has handled deliveries. They are granted anew when half of the credit is used up.
    pub(crate) fn release(&self, deliveries: u32) {
        let mut credit = self.credit.lock();
        credit.held = credit.held.saturating_sub(deliveries);
        credit.released += deliveries;
        if credit.released * 2 >= self.config.credit && credit.released > 0 && !credit.frozen {
            let more = std::mem::take(&mut credit.released);
            self.outbox.control(|control| control.credit(more));
        }
    }

    /// The agent has handled a delivery that came on `stream`, and says how. Its credit comes back at once, unless more
    /// outcomes wait than the server has reason to wait for: that bounds them.
    pub(crate) fn answer(&self, stream: u64, outcome: &v1::Outcome) {
        if self.outbox.answer(stream, outcome, self.max_unanswered) {
            self.release(1);
        }
    }

    /// Grants nothing from now on.
    pub(crate) fn freeze(&self) {
        self.credit.lock().frozen = true;
    }

    // ---- room for spans ----

    /// True for the first who finds no room: it waits for all, and says when the waiting is over.
    pub(crate) fn begin_wait_for_spans(&self) -> bool {
        !self.waits_for_spans.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn end_wait_for_spans(&self) {
        self.waits_for_spans.store(false, Ordering::Release);
        self.inbox.notify(Notice::Writable);
    }

    // ---- the end ----

    /// Asks the connection to send what waits, to say goodbye and to end.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.left.notify_one();
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Waits for [`Link::leave`].
    pub(crate) async fn left(&self) {
        while !self.is_leaving() {
            self.left.notified().await;
        }
    }

    /// Asks the connection to end at once.
    pub(crate) fn abandon(&self) {
        self.leave();
        self.abandoned.store(true, Ordering::Release);
        self.abandon.notify_one();
    }

    /// Waits for [`Link::abandon`].
    pub(crate) async fn abandoned(&self) {
        while !self.abandoned.load(Ordering::Acquire) {
            self.abandon.notified().await;
        }
    }

    /// The connection has ended for good.
    pub(crate) fn closed(&self) {
        self.ended.store(true, Ordering::Release);
        self.end.notify_one();
    }

    /// Waits for [`Link::closed`].
    pub(crate) async fn wait_closed(&self) {
        while !self.ended.load(Ordering::Acquire) {
            self.end.notified().await;
        }
    }
}
