//! The attempts of a group as executions.

use loom_proto::trace_context::{SpanId, TraceContext};
use loom_telemetry::ids::now_unix_nano;

use super::{Group, GroupMember};
use crate::execution::{OpenExecution, State};

impl Group {
    /// Events in memory that no agent has: they wait for one, for their time, or for those before them in their thread.
    pub fn waiting(&self) -> usize {
        self.state.lock().window.waiting()
    }
}

impl GroupMember {
    /// The attempts that it has in hand, the oldest first. One that is not recorded has no id, and is not among them.
    pub fn open_executions(&self, agent: &str) -> Vec<OpenExecution> {
        let now = now_unix_nano();
        let state = self.group.state.lock();
        let in_hand = state.window.in_hand(self.id);
        let recorded = in_hand.filter(|attempt| attempt.span != SpanId::default());
        recorded
            .filter_map(|attempt| {
                let ago = u64::try_from(attempt.taken.elapsed().as_nanos()).unwrap_or(u64::MAX);
                Some(OpenExecution {
                    context: TraceContext {
                        span_id: attempt.span,
                        ..attempt.event.trace()?
                    },
                    state: State::Running,
                    agent: agent.to_owned(),
                    operation: attempt.event.topic().to_string(),
                    attempt: attempt.attempt,
                    since_unix_nano: now.saturating_sub(ago),
                })
            })
            .collect()
    }
}
