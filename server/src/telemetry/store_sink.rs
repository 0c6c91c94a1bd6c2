//! The store in process, as a sink of the server's spans: no socket, no second encoding.

use loom_telemetry::sink::{DropReason, SpanBatch, SpanSink};
use loom_trace::{Ingest, IngestError};

/// Hands every batch to the store.
#[derive(Debug)]
pub struct StoreSink {
    ingest: Ingest,
    is_failing: bool,
}

impl StoreSink {
    /// A sink that writes to `ingest`.
    pub fn new(ingest: Ingest) -> Self {
        Self {
            ingest,
            is_failing: false,
        }
    }
}

impl SpanSink for StoreSink {
    fn name(&self) -> &'static str {
        "store"
    }

    fn export(&mut self, batch: SpanBatch) {
        match self
            .ingest
            .append_own(batch.request(), batch.spans() as u64)
        {
            Ok(()) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the trace store takes the server's spans again");
                }
                batch.exported();
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "the trace store does not take the server's spans: they are dropped and counted");
                }
                batch.dropped(match error {
                    IngestError::Closed => DropReason::Shutdown,
                    _ => DropReason::StoreFull,
                });
            }
        }
    }
}
