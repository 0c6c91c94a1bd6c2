//! Errors of the store as gRPC says them.

use tonic::Status;

use crate::api::error::Problem;
use crate::error::QueryError;

pub(super) fn status(error: QueryError) -> Status {
    Problem::from(error).into()
}
