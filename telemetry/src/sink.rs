//! Where encoded spans go, and how their fate is accounted for.
//!
//! A sink takes over [`SpanBatch`]es. A batch is a request and a claim on its sink's [`Account`]: whoever holds it
//! settles it, as exported or as dropped with a reason. A batch that is simply let go counts as dropped, so that no
//! path through a sink can lose spans in silence.

mod account;

pub use account::{Account, DropCounts, SinkStats, SpanBatch};

/// A destination of spans: a store in process, a collector. It is owned and driven by the pipeline's thread.
///
/// ```
/// use loom_telemetry::sink::{DropReason, SpanBatch, SpanSink};
///
/// /// Keeps requests in memory, as long as there are few.
/// struct Memory(Vec<bytes::Bytes>);
///
/// impl SpanSink for Memory {
///     fn name(&self) -> &'static str {
///         "memory"
///     }
///
///     fn export(&mut self, batch: SpanBatch) {
///         if self.0.len() < 100 {
///             self.0.push(batch.request().clone());
///             batch.exported();
///         } else {
///             batch.dropped(DropReason::StoreFull);
///         }
///     }
/// }
/// ```
pub trait SpanSink: Send {
    /// Names the sink in counters and logs.
    fn name(&self) -> &'static str;

    /// Takes over one OTLP `ExportTraceServiceRequest`. The batch may be settled at once or later, by any thread.
    ///
    /// While this runs, spans of the whole process wait in their recorders: a sink that has to wait for somebody
    /// queues the batch (with a bound) and returns.
    fn export(&mut self, batch: SpanBatch);

    /// Somebody waits for what was handed over: a sink that backs off tries again now.
    fn hurry(&mut self) {}
}

/// Why spans were lost. Closed: counters have one label value for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// The recorder's buffer was full: spans came faster than the pipeline could take them.
    BufferFull,
    /// The exporter's backlog had reached its bound of bytes while the collector was away or slow.
    BacklogFull,
    /// The spans had waited for the collector longer than the backlog's bound of age.
    Expired,
    /// The collector refused the request for good.
    ExportFailed,
    /// The collector took the request and rejected these spans of it (OTLP partial success).
    Rejected,
    /// The store in process took no more.
    StoreFull,
    /// The sink let go of the spans without saying what became of them.
    SinkClosed,
    /// The pipeline was shut down before the spans were taken or settled.
    Shutdown,
}

impl DropReason {
    /// Every reason, in the order of the declaration.
    pub const ALL: [Self; 8] = [
        Self::BufferFull,
        Self::BacklogFull,
        Self::Expired,
        Self::ExportFailed,
        Self::Rejected,
        Self::StoreFull,
        Self::SinkClosed,
        Self::Shutdown,
    ];

    /// The value of the label `reason` in counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer_full",
            Self::BacklogFull => "backlog_full",
            Self::Expired => "expired",
            Self::ExportFailed => "export_failed",
            Self::Rejected => "rejected",
            Self::StoreFull => "store_full",
            Self::SinkClosed => "sink_closed",
            Self::Shutdown => "shutdown",
        }
    }
}

impl std::fmt::Display for DropReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
