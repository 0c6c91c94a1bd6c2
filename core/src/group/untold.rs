//! Attempts whose spans may have been lost with an earlier server: what came or comes next stands below one, or links to it.

use std::sync::Arc;

use loom_proto::trace_context::{SpanId, TraceContext};
use loom_telemetry::SpanRecord;

use super::Group;
use crate::event::Event;
use crate::journal::Tried;
use crate::stand_in;

/// The attempts that are remembered of an event that was tried before the group was loaded.
#[derive(Debug)]
pub(super) struct UntoldAttempts {
    event: Arc<Event>,
    trace: TraceContext,
    /// Number and span of each, in their order.
    attempts: Vec<(u32, SpanId)>,
}

impl UntoldAttempts {
    /// None where the event is not recorded.
    pub(super) fn of(event: &Arc<Event>, tried: &Tried) -> Option<Self> {
        let trace = event.sampled_trace()?;
        let failed = tried.failed.iter();
        let attempts = failed
            .map(|failed| (failed.number, failed.span))
            .filter(|(number, _)| *number < tried.attempts)
            .chain([(tried.attempts, tried.span)])
            .collect();
        Some(Self {
            event: Arc::clone(event),
            trace,
            attempts,
        })
    }

    /// Stand-ins for them. They are made one by one, since after a crash there may be many.
    pub(super) fn spans(&self, group: &Group) -> impl Iterator<Item = SpanRecord> {
        let mut last = 0;
        let mut previous = None;
        self.attempts.iter().filter_map(move |(number, span)| {
            if *number > last + 1 {
                // It may link to one that is not remembered.
                previous = None;
            }
            last = *number;
            if !span.is_valid() {
                return None;
            }
            let attempt = stand_in::Attempt {
                number: *number,
                span: *span,
                previous,
            };
            let (event, trace) = (&self.event, self.trace);
            let told = stand_in::of_attempt(event, trace, &group.pattern, &group.name, attempt);
            previous = Some(told.context);
            Some(told)
        })
    }
}
