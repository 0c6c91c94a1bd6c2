//! The OTLP doors: limit, decompress, hand over to [`Ingest`], answer. They decode nothing.

pub mod grpc;
pub mod http;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};

use crate::error::IngestError;
use crate::trace_store::{Accepted, Ingest};

/// From this size on the checks and the write leave the async threads.
const LARGE: usize = 128 << 10;

/// Puts a request into the spool without holding up the caller's async thread.
async fn accept(ingest: &Ingest, request: Bytes) -> Result<Accepted, IngestError> {
    if request.len() < LARGE {
        return ingest.append(request);
    }
    // One at a time: they wait for the same file anyway, and each further thread would keep memory of its own.
    let _turn = ingest.large_request().await;
    let ingest = ingest.clone();
    // Fails only when the runtime goes down, or if `append` panics.
    tokio::task::spawn_blocking(move || ingest.append(request))
        .await
        .unwrap_or(Err(IngestError::Closed))
}

/// The OTLP answer: empty when all spans were taken.
fn response(accepted: &Accepted) -> ExportTraceServiceResponse {
    let rejected = accepted.rejected;
    ExportTraceServiceResponse {
        partial_success: (rejected.total() > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(rejected.total()).unwrap_or(i64::MAX),
            error_message: rejected.message(),
        }),
    }
}
