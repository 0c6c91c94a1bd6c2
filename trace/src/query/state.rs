//! What can become of an execution.

use loom_proto::semconv::attribute;
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{Span, Value};

/// What has become of an execution: of one that has ended it is one of the last four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ExecutionState {
    /// It waits for its agent.
    Pending,
    /// Its agent has it.
    Running,
    /// Handled.
    Completed,
    /// The handler failed, or could not begin.
    Failed,
    /// Its time was up.
    Timeout,
    /// Its process was lost.
    Dead,
}

impl ExecutionState {
    /// Of an execution that has ended, as its handler's span tells.
    pub fn of(handler: &Span) -> Self {
        if !handler.is_error() {
            return Self::Completed;
        }
        match handler.attributes.get(attribute::EXECUTION_STATE) {
            Some(Value::String(name)) => Self::ended(name),
            _ => Self::Failed,
        }
    }

    /// The end of that name; whatever else a span says of a handler that did not come to its end, it has failed.
    pub(super) fn ended(name: &str) -> Self {
        match name {
            "COMPLETED" => Self::Completed,
            "TIMEOUT" => Self::Timeout,
            "DEAD" => Self::Dead,
            _ => Self::Failed,
        }
    }
}
