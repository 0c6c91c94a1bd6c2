//! What the trace store has done: every span that came in is in exactly one of these counters or still in the spool.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::otlp::Rejected;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters since the start of the process.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $name: AtomicU64,)*
        }

        /// The values of all counters at one moment.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
        pub struct CounterValues {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            pub(crate) fn values(&self) -> CounterValues {
                CounterValues { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Requests that were put into the spool.
    requests,
    /// Requests that were no OTLP; their spans could not be counted.
    malformed_requests,
    /// Spans acknowledged to their sender.
    accepted,
    /// Spans refused for their trace id.
    rejected_trace_id,
    /// Spans refused for their span id.
    rejected_span_id,
    /// Spans refused for their parent span id.
    rejected_parent_span_id,
    /// Spans refused because the spool was full. The sender was told and may have sent them again.
    refused_spool_full,
    /// Spans refused because the spool could not be written. The sender was told.
    refused_spool_error,
    /// Spans refused because the store was closing. The sender was told.
    refused_closed,
    /// Accepted spans, of this process or an earlier one, not yet in the database.
    lag,
    /// Spans in the spool when it was opened.
    backlog,
    /// Spans stored in the database.
    stored,
    /// Spans that were in the database already.
    duplicates,
    /// Those of them that differ from the one that was there: two spans had one id.
    conflicts,
    /// Spans lost in damaged spool records whose header was still readable.
    lost_spans,
    /// Bytes of the spool that could not be read back.
    damaged_bytes,
    /// Damaged places in the spool.
    damaged_places,
    /// Calls of models whose tokens are known and whose price is not: the table of prices has no such model.
    unpriced,
    /// Spans deleted by retention.
    expired,
    /// Failed attempts to write to the database; each is tried again.
    store_errors,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Relaxed);
    }

    /// Takes spans off the lag; a wrong count of a damaged spool must not wrap it.
    pub(crate) fn arrived(&self, spans: u64) {
        let less = |lag: u64| Some(lag.saturating_sub(spans));
        let result = self.lag.fetch_update(Relaxed, Relaxed, less);
        debug_assert!(result.is_ok(), "the closure always gives a value");
    }

    pub(crate) fn rejected(&self, rejected: &Rejected) {
        Self::add(&self.rejected_trace_id, rejected.trace_id);
        Self::add(&self.rejected_span_id, rejected.span_id);
        Self::add(&self.rejected_parent_span_id, rejected.parent_span_id);
    }
}
