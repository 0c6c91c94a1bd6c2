//! An execution as the API shows it.

use loom_core::OpenExecution;
use loom_core::execution::State;
use loom_proto::semconv::attribute;
use loom_trace::model::{Attributes, SpanId, TraceId};
use loom_trace::query::timing::Timing;
use loom_trace::query::{ExecutionState, StoredExecution};
use loom_trace::time_text::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

/// One attempt to handle an event or a call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Execution)]
pub(super) struct ExecutionItem {
    /// The id of the span that handed it over.
    #[schema(value_type = SpanId)]
    execution_id: String,
    /// The trace that it belongs to.
    #[schema(value_type = TraceId)]
    trace_id: String,
    /// The span that handed it over; null of a handler that nobody handed anything.
    #[schema(value_type = Option<SpanId>)]
    parent_span_id: Option<String>,
    /// The handler's span; null until it has ended.
    #[schema(value_type = Option<SpanId>)]
    span_id: Option<String>,
    /// The agent that handles; null while none does.
    agent_name: Option<String>,
    /// Topic of the event, or the capability.
    operation: String,
    /// What has become of it.
    state: ExecutionState,
    /// From 1.
    attempt: i64,
    /// RFC 3339, UTC.
    start_time: String,
    /// RFC 3339, UTC; null until it has ended, like all that only the end knows.
    end_time: Option<String>,
    /// From begin to end.
    duration_ms: Option<f64>,
    /// Why it did not come to its end.
    error_message: Option<String>,
    /// The event that is handled; null of a call.
    event_id: Option<String>,
    /// Joins a reply to its request.
    correlation_id: Option<String>,
    /// The workflow that it belongs to.
    workflow_id: Option<String>,
    /// The user that it is about.
    user_id: Option<String>,
    /// The conversation that it belongs to.
    thread_id: Option<String>,
}

/// One execution with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WholeExecution {
    #[serde(flatten)]
    pub(super) execution: ExecutionItem,
    /// Attributes of the handler's span; null until it has ended.
    #[schema(value_type = Option<Object>)]
    pub(super) metadata: Option<Attributes>,
    /// Where its time went; null where that is not known.
    pub(super) timing: Option<Timing>,
}

impl From<&OpenExecution> for ExecutionItem {
    fn from(open: &OpenExecution) -> Self {
        let id = open.context.span_id.to_string();
        Self {
            execution_id: id.clone(),
            trace_id: open.context.trace_id.to_string(),
            parent_span_id: Some(id),
            span_id: None,
            agent_name: not_empty(&open.agent),
            operation: open.operation.clone(),
            state: shown(open.state),
            attempt: open.attempt.into(),
            start_time: rfc3339(open.since_unix_nano),
            end_time: None,
            duration_ms: None,
            error_message: None,
            event_id: None,
            correlation_id: None,
            workflow_id: None,
            user_id: None,
            thread_id: None,
        }
    }
}

impl From<&StoredExecution> for ExecutionItem {
    fn from(ended: &StoredExecution) -> Self {
        let duration_ns = ended.end_ns.saturating_sub(ended.start_ns);
        Self {
            execution_id: ended.id().to_string(),
            trace_id: ended.trace_id.to_string(),
            parent_span_id: ended.parent_span_id.map(|id| id.to_string()),
            span_id: Some(ended.span_id.to_string()),
            agent_name: not_empty(&ended.agent),
            operation: ended.operation.clone(),
            state: ended.state,
            attempt: ended.attempt(),
            start_time: rfc3339(ended.start_ns),
            end_time: Some(rfc3339(ended.end_ns)),
            duration_ms: Some(duration_ns as f64 / 1e6),
            error_message: not_empty(&ended.error_message),
            event_id: not_empty(ended.text(attribute::EVENT)),
            correlation_id: not_empty(ended.text(attribute::CORRELATION_ID)),
            workflow_id: ended.workflow_id.clone(),
            user_id: ended.user_id.clone(),
            thread_id: ended.thread_id.clone(),
        }
    }
}

fn shown(state: State) -> ExecutionState {
    match state {
        State::Pending => ExecutionState::Pending,
        State::Running => ExecutionState::Running,
        State::Completed => ExecutionState::Completed,
        State::Failed => ExecutionState::Failed,
        State::Timeout => ExecutionState::Timeout,
        State::Dead => ExecutionState::Dead,
    }
}

fn not_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
