//! What the Python side and the connection of one client share.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use loom_proto::frame::Frame;
use loom_proto::v1;
use loom_proto::wire::{self, number};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::inbox::{Inbox, Notice};
use crate::outbox::Outbox;

/// Largest event until Welcome says otherwise: the default of the bridge.
const MAX_EVENT_BYTES: u32 = 1024 * 1024;

/// Deliveries that may come beyond the credit while requests wait for replies.
const fn overdraft_limit(credit: u32) -> u32 {
    credit.saturating_mul(4).saturating_add(1024)
}

/// Deliveries that the inbox of a client with this credit must have room for.
pub(crate) const fn inbox_capacity(credit: u32) -> usize {
    credit.saturating_add(overdraft_limit(credit)) as usize
}

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
    max_event_bytes: AtomicU32,
    connections: AtomicU64,
    starving: Notify,
    /// Somebody waits for the buffers of spans and will wake the loop.
    waits_for_spans: AtomicBool,
    leaving: AtomicBool,
    left: Notify,
    abandoned: AtomicBool,
    abandon: Notify,
    ended: AtomicBool,
    end: Notify,
}

/// Where the credit is: `config.credit + overdraft = at_server + held + waiting in the inbox + released`.
#[derive(Debug, Default)]
struct Credit {
    /// Granted, and not used by a delivery yet.
    at_server: u32,
    /// Deliveries handed to the agent and not handled yet.
    held: u32,
    /// Handled, and not granted anew yet.
    released: u32,
    /// Granted beyond the configured credit, for replies; paid back before anything is granted anew.
    overdraft: u32,
    /// Requests of this agent that have no reply yet.
    open_requests: u32,
    /// Nothing is granted any more: the agent drains.
    frozen: bool,
}

impl Link {
    pub(crate) fn new(config: LinkConfig, outbox: Outbox, inbox: Inbox) -> Self {
        Self {
            config,
            outbox,
            inbox,
            credit: Mutex::default(),
            max_event_bytes: AtomicU32::new(MAX_EVENT_BYTES),
            connections: AtomicU64::new(0),
            starving: Notify::new(),
            waits_for_spans: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            left: Notify::new(),
            abandoned: AtomicBool::new(false),
            abandon: Notify::new(),
            ended: AtomicBool::new(false),
            end: Notify::new(),
        }
    }

    /// The first frame of a stream. Its credit is what this process can take beyond what it holds.
    pub(crate) fn hello(&self) -> Frame {
        let mut credit = self.credit.lock();
        let here = credit.held.saturating_add(self.inbox.waiting() as u32);
        credit.overdraft = here.saturating_sub(self.config.credit);
        credit.released = 0;
        credit.at_server = if credit.frozen {
            0
        } else {
            self.config.credit.saturating_sub(here)
        };
        let hello = v1::Hello {
            credit: credit.at_server,
            ..self.config.hello.clone()
        };
        let mut frame = Vec::new();
        wire::put_message_field(&mut frame, number::HELLO, &hello);
        Frame(frame.into())
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

    // ---- credit ----

    /// Deliveries came; `replies` of them were passed on and need no handler.
    pub(crate) fn received(&self, deliveries: u32, replies: u32) {
        let mut credit = self.credit.lock();
        credit.at_server = credit.at_server.saturating_sub(deliveries);
        self.grant(&mut credit, replies);
    }

    /// The agent took deliveries from the inbox.
    pub(crate) fn hold(&self, deliveries: u32) {
        self.credit.lock().held += deliveries;
    }

    /// The agent has handled deliveries. They are granted anew when half of the credit is used up.
    pub(crate) fn release(&self, deliveries: u32) {
        let mut credit = self.credit.lock();
        credit.held = credit.held.saturating_sub(deliveries);
        self.grant(&mut credit, deliveries);
    }

    fn grant(&self, credit: &mut Credit, deliveries: u32) {
        let repaid = deliveries.min(credit.overdraft);
        credit.overdraft -= repaid;
        credit.released += deliveries - repaid;
        if credit.released * 2 >= self.config.credit && credit.released > 0 && !credit.frozen {
            let more = std::mem::take(&mut credit.released);
            credit.at_server += more;
            self.outbox.control(|control| control.credit(more));
        }
    }

    /// A handler asks and will wait for a reply.
    pub(crate) fn open_request(&self) {
        let mut credit = self.credit.lock();
        credit.open_requests += 1;
        if credit.at_server == 0 {
            self.starving.notify_one();
        }
    }

    /// A request is over, answered or not.
    pub(crate) fn close_request(&self) {
        let mut credit = self.credit.lock();
        credit.open_requests = credit.open_requests.saturating_sub(1);
    }

    /// True when a reply is awaited that cannot come: all credit is held by deliveries, perhaps by the very handlers that wait.
    pub(crate) fn is_starving(&self) -> bool {
        let credit = self.credit.lock();
        credit.open_requests > 0 && credit.at_server == 0 && !credit.frozen
    }

    /// Waits until the agent may have begun to starve.
    pub(crate) async fn starves(&self) {
        self.starving.notified().await;
    }

    /// Grants one delivery beyond the credit. Replies have the highest class of mailbox and come first, so that it is a reply
    /// when there is one; an event that came instead waits in the inbox. Called at intervals, which bounds how many do.
    pub(crate) fn probe(&self) {
        let mut credit = self.credit.lock();
        if credit.overdraft < overdraft_limit(self.config.credit) {
            credit.overdraft += 1;
            credit.at_server += 1;
            self.outbox.control(|control| control.credit(1));
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
