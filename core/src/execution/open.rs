//! Executions that have not ended, as the server sees them.

use loom_proto::trace_context::TraceContext;

use super::State;

/// An execution that has not ended. What has ended is told by spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenExecution {
    /// Context of the span that hands it over; its span id is the id of the execution.
    pub context: TraceContext,
    /// `PENDING` or `RUNNING`. Seen from the server an execution runs when it has been handed to its agent, where it may
    /// still wait for its turn.
    pub state: State,
    /// Agent that has it; empty while none has.
    pub agent: String,
    /// Topic of the event, or the capability.
    pub operation: String,
    /// Which attempt of its delivery it is, from 1.
    pub attempt: u32,
    /// When the span that hands it over began: nanoseconds since the Unix epoch.
    pub since_unix_nano: u64,
}
