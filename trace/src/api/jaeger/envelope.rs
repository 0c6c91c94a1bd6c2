//! What stands around an answer of the legacy family.

use serde::Serialize;

use crate::model::TraceId;

/// Every answer but Jaeger's metrics.
#[derive(Debug, Serialize)]
pub(super) struct Envelope<T> {
    data: T,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<Vec<ErrorItem>>,
}

impl<T> Envelope<T> {
    /// `total` is the number of items for lists and 0 for traces, as Jaeger has it.
    pub(super) fn new(data: T, total: usize) -> Self {
        Self {
            data,
            total,
            limit: 0,
            offset: 0,
            errors: None,
        }
    }

    pub(super) fn with_errors(mut self, errors: Vec<ErrorItem>) -> Self {
        self.errors = (!errors.is_empty()).then_some(errors);
        self
    }
}

/// Something that is missing in an answer.
#[derive(Debug, Serialize)]
pub(super) struct ErrorItem {
    msg: String,
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
}

impl ErrorItem {
    /// A trace that was asked for by its id and is not there.
    pub(super) fn missing(trace_id: TraceId) -> Self {
        Self {
            msg: "trace not found".to_owned(),
            trace_id: Some(trace_id),
        }
    }

    pub(super) fn said(msg: String) -> Self {
        Self {
            msg,
            trace_id: None,
        }
    }
}
