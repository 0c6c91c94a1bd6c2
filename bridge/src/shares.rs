//! One agent's shares in groups: what it takes from them, and what it says of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loom_core::{
    Attempt, EventBus, Forwarded, GroupMember, OpenExecution, SubscribeError, Subscription, Verdict,
};
use loom_proto::{Code, v1};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What is kept of an agent's words about a failure.
const LONGEST_ERROR: usize = 1024;

/// Dropping it gives back what the agent has in hand.
#[derive(Debug)]
pub(crate) struct Shares {
    members: Vec<(u32, GroupMember)>,
    bell: Arc<Notify>,
    /// Whose turn it is.
    next: AtomicUsize,
    /// One taker at a time; keeps what it takes in the order of the groups.
    scratch: Mutex<Vec<Attempt>>,
}

impl Shares {
    /// Joins the groups of the subscriptions that are acknowledged.
    ///
    /// # Errors
    /// The first that cannot be joined; none is joined then.
    pub(crate) fn join(
        bus: &EventBus,
        subscriptions: &[Subscription],
    ) -> Result<Self, SubscribeError> {
        let bell = Arc::new(Notify::new());
        let mut members = Vec::new();
        for subscription in subscriptions {
            if let Some(wanted) = &subscription.acknowledged {
                let member = bus.join(&subscription.pattern, wanted, &bell)?;
                members.push((subscription.id, member));
            }
        }
        Ok(Self {
            members,
            bell,
            next: AtomicUsize::new(0),
            scratch: Mutex::default(),
        })
    }

    /// Takes up to `max` attempts, from the groups in turn.
    pub(crate) fn take(&self, max: usize, into: &mut VecDeque<(u32, Attempt)>) {
        let count = self.members.len();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut scratch = self.scratch.lock();
        for turn in 0..count {
            let (subscription, member) = &self.members[(first + turn) % count];
            member.take(max - into.len(), &mut scratch);
            into.extend(scratch.drain(..).map(|attempt| (*subscription, attempt)));
        }
    }

    /// Tells the groups under which spans deliveries were written. Those of one subscription stand side by side, as they were taken.
    pub(crate) fn forwarded(&self, deliveries: &[(u32, Forwarded)]) {
        for run in deliveries.chunk_by(|one, next| one.0 == next.0) {
            if let Some((_, member)) = self.members.iter().find(|(id, _)| *id == run[0].0) {
                member.forwarded(run.iter().map(|(_, forwarded)| *forwarded));
            }
        }
    }

    /// The attempts that the agent has in hand.
    pub(crate) fn open_executions(&self, agent: &str) -> Vec<OpenExecution> {
        let of_each = self
            .members
            .iter()
            .map(|(_, member)| member.open_executions(agent));
        of_each.flatten().collect()
    }

    /// Waits until there may be something to take. Cancel safe.
    pub(crate) async fn ready(&self) {
        self.bell.notified().await;
    }

    /// The agent says what became of an attempt.
    ///
    /// # Errors
    /// It says nothing that can be meant.
    pub(crate) fn settle(&self, outcome: &v1::Outcome) -> Result<(), v1::Error> {
        let refuse = |message: String, field: &str| {
            Err(v1::Error::new(Code::MalformedFrame, message).at(field))
        };
        let of = outcome.subscription;
        let Some((_, member)) = self.members.iter().find(|(id, _)| *id == of) else {
            let message = format!("subscription {of} is not acknowledged");
            return refuse(message, "outcome.subscription");
        };
        let verdict = match outcome.verdict() {
            v1::Verdict::Ack => Verdict::Ack,
            v1::Verdict::Retry if outcome.delay_ms == 0 => Verdict::Retry(None),
            v1::Verdict::Retry => {
                Verdict::Retry(Some(Duration::from_millis(outcome.delay_ms.into())))
            }
            v1::Verdict::Reject => Verdict::Reject,
            v1::Verdict::Unspecified => {
                let message = format!("{} is no verdict", outcome.verdict);
                return refuse(message, "outcome.verdict");
            }
        };
        let why = || match &outcome.error {
            Some(error) => error.message.chars().take(LONGEST_ERROR).collect(),
            None => "the agent did not say why".to_owned(),
        };
        member.settle(outcome.offset, outcome.attempt, verdict, why);
        Ok(())
    }
}
