//! What inbound and outbound of one agent share: the control messages that wait to be sent, and the credit.
//!
//! Deliveries are not here: they stay in their mailboxes until the very frame that carries them.

use loom_proto::v1;
use tonic::Status;

use crate::sync::{Mutex, Notify};

/// One agent's connection, seen from the middle.
#[derive(Debug, Default)]
pub(crate) struct Link {
    state: Mutex<State>,
    /// Outbound has something to do.
    outbound: Notify,
    /// Inbound shall end.
    inbound: Notify,
}

#[derive(Debug, Default)]
struct State {
    control: Control,
    credit: u32,
    end: Option<End>,
}

/// Control messages in the order of their making, by kind. Each kind is bounded: rejections by the publish window,
/// calls and replies by the limits of open calls.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// Events settled since the last frame; 0 when none.
    pub(crate) acked_through: u64,
    pub(crate) rejected: Vec<v1::Rejection>,
    pub(crate) calls: Vec<v1::ActionCall>,
    pub(crate) replies: Vec<v1::ActionReply>,
    pub(crate) cancels: Vec<v1::ActionCancel>,
    pub(crate) goodbye: bool,
}

/// How a connection ends.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// On purpose.
    Clean,
    /// With a status for the agent.
    Status(Status),
}

impl Link {
    pub(crate) fn new(credit: u32) -> Self {
        Self {
            state: Mutex::new(State {
                credit,
                ..State::default()
            }),
            ..Self::default()
        }
    }

    /// Adds control messages and wakes outbound.
    pub(crate) fn control(&self, add: impl FnOnce(&mut Control)) {
        add(&mut self.state.lock().control);
        self.outbound.notify_one();
    }

    /// Events are settled. Outbound says so in its next frame; `urgent` wakes it for that.
    pub(crate) fn acknowledge(
        &self,
        through: u64,
        rejected: &mut Vec<v1::Rejection>,
        urgent: bool,
    ) {
        let mut state = self.state.lock();
        state.control.acked_through = through;
        let urgent = urgent || !rejected.is_empty();
        state.control.rejected.append(rejected);
        drop(state);
        if urgent {
            self.outbound.notify_one();
        }
    }

    /// The agent can take more deliveries.
    pub(crate) fn add_credit(&self, credit: u32) {
        let mut state = self.state.lock();
        state.credit = state.credit.saturating_add(credit);
        drop(state);
        self.outbound.notify_one();
    }

    /// What the next frame may and must carry.
    pub(crate) fn take(&self) -> (Control, u32, Option<End>) {
        let mut state = self.state.lock();
        (
            std::mem::take(&mut state.control),
            state.credit,
            state.end.clone(),
        )
    }

    /// Deliveries were put into a frame.
    pub(crate) fn spend_credit(&self, deliveries: u32) {
        let mut state = self.state.lock();
        state.credit = state.credit.saturating_sub(deliveries);
    }

    /// Ends the connection; the first reason counts.
    pub(crate) fn end(&self, end: End) {
        self.state.lock().end.get_or_insert(end);
        self.outbound.notify_one();
        self.inbound.notify_one();
    }

    /// The agent has got the status with which its connection ends.
    pub(crate) fn end_was_said(&self) {
        self.state.lock().end = Some(End::Clean);
    }

    /// Waits until there may be something for outbound. Cancel safe.
    pub(crate) async fn outbound_woken(&self) {
        self.outbound.notified().await;
    }

    /// Waits until inbound shall end. Cancel safe.
    pub(crate) async fn ended(&self) {
        self.inbound.notified().await;
    }
}

impl Control {
    pub(crate) fn is_empty(&self) -> bool {
        self.acked_through == 0
            && self.rejected.is_empty()
            && self.calls.is_empty()
            && self.replies.is_empty()
            && self.cancels.is_empty()
            && !self.goodbye
    }
}
