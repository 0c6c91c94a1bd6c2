//! What the bridge refuses or drops before the bus sees it, counted by reason.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use loom_core::Malformed;
use loom_proto::Code;
use loom_proto::code::CODES;
use loom_proto::semconv::header;
use loom_proto::trace_context::InvalidContext;

/// What the bridge refuses or drops before the bus sees it.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    rejected: [AtomicU64; CODES.len()],
    invalid_context: [AtomicU64; InvalidContext::ALL.len()],
    tracestate: AtomicU64,
    baggage: AtomicU64,
}

impl Counters {
    pub(crate) fn rejected(&self, code: Code) {
        if let Some(counter) = self.rejected.get(code as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A tracestate without a valid traceparent goes with it, and is not counted apart.
    pub(crate) fn malformed(&self, malformed: Malformed, has_context: bool) {
        if malformed.tracestate && has_context {
            self.tracestate.fetch_add(1, Ordering::Relaxed);
        }
        if malformed.baggage {
            self.baggage.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn invalid_context(&self, reason: InvalidContext) {
        self.invalid_context[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// What was refused, by the name of its code.
    pub(crate) fn read_rejected(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = CODES.iter().map(|faces| faces.name);
        names.zip(self.rejected.iter().map(load))
    }

    /// What was dropped of trace contexts, by reason.
    pub(crate) fn read_invalid_context(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let reasons = InvalidContext::ALL.iter().map(|reason| reason.reason());
        let beside = [
            (header::TRACESTATE, load(&self.tracestate)),
            (header::BAGGAGE, load(&self.baggage)),
        ];
        reasons
            .zip(self.invalid_context.iter().map(load))
            .chain(beside)
    }
}

/// The counters that are not zero.
pub(crate) fn counted(
    counters: impl Iterator<Item = (&'static str, u64)>,
) -> BTreeMap<String, u64> {
    counters
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
