//! The place of one event in a group's window.

use std::collections::VecDeque;
use std::sync::Arc;

use loom_proto::trace_context::{SpanId, TraceContext};

use super::history::History;
use crate::event::Event;

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) state: State,
    /// Hash of its thread id; 0 without one.
    pub(super) thread: u64,
    /// Attempts begun.
    pub(super) attempts: u32,
    /// `bridge.forward` of the last of them; zero until its delivery is written.
    pub(super) span: SpanId,
    /// What became of those that failed.
    pub(super) history: Option<Box<History>>,
    pub(super) event: Option<Arc<Event>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Behind,
    InHand { member: u64 },
    Resting,
    Buried,
    Settled,
}

impl Slot {
    /// Where the last attempt that failed stands in the event's trace.
    pub(super) fn last_context(&self) -> Option<TraceContext> {
        let span_id = self.history.as_ref()?.last_span()?;
        let trace = self.event.as_ref()?.trace()?;
        Some(TraceContext { span_id, ..trace })
    }
}

/// The slot of an offset; `None` below the floor and above what was pushed.
pub(super) fn slot(slots: &mut VecDeque<Slot>, floor: u64, offset: u64) -> Option<&mut Slot> {
    slots.get_mut(usize::try_from(offset.checked_sub(floor)?).ok()?)
}
