//! Errors of the store as gRPC says them.

use tonic::Status;

use crate::error::QueryError;

pub(super) fn status(error: QueryError) -> Status {
    match error {
        QueryError::Timeout(_) => Status::deadline_exceeded(error.to_string()),
        QueryError::Cancelled => Status::unavailable(error.to_string()),
        QueryError::Store(error) => {
            // Paths and SQL are for the log, not for whoever asks.
            tracing::error!(%error, "query failed");
            Status::internal("the trace store failed, see the server's log")
        }
    }
}
