//! What a journal keeps of attempts, so that the next server goes on counting where the last one stopped.

use loom_proto::trace_context::SpanId;

/// An event that was tried and is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its place in the stream.
    pub offset: u64,
    /// Attempts begun.
    pub attempts: u32,
    /// `bridge.forward` of the last of them; zero where its delivery was not written yet, or is not recorded.
    pub span: SpanId,
    /// What it waits for.
    pub stage: Stage,
    /// The failed attempts that are remembered, oldest first.
    pub failed: Vec<FailedAttempt>,
}

/// What an event that was tried waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// For the outcome of its last attempt.
    InHand,
    /// For its next attempt, not before this time in nanoseconds since the Unix epoch; 0 where it does not rest.
    Again {
        /// See above.
        not_before: u64,
    },
    /// For its dead letter to be kept.
    GivenUp,
}

/// An attempt that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// From 1.
    pub number: u32,
    /// Why, in the agent's words or in those of the group; empty where that was too much to keep.
    pub error: String,
    /// Its `bridge.forward`; zero where the attempt had none.
    pub span: SpanId,
    /// When it was over, in nanoseconds since the Unix epoch.
    pub unix_nano: u64,
}
