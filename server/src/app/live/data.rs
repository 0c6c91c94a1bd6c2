//! What frames say. The types are the description of the frames, too.

use std::collections::BTreeMap;

use loom_trace::PublishedEvent;
use loom_trace::model::{SpanId, TraceId};
use loom_trace::query::ExecutionState;
use serde::Serialize;
use utoipa::ToSchema;

use super::frame::Channel;
use crate::accounts::Books;

/// A frame. Over the WebSocket it is this object; as a server-sent event it has these fields, `data` as JSON on one line, and none that is null.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LiveFrame {
    /// What `Last-Event-ID` says to go on after it; null of `gap`, `subscribed` and `error`.
    id: Option<String>,
    #[serde(flatten)]
    what: LiveData,
}

/// What a frame is, and says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "event", content = "data", rename_all = "lowercase")]
#[expect(dead_code, reason = "a description: the doors write it piece by piece")]
enum LiveData {
    /// The first frame.
    Hello(Hello),
    /// The first frame, where what was missed cannot be had any more: ask for the lists again.
    Reset(Reset),
    /// This reader was too slow.
    Gap(Gap),
    /// Events that were published.
    Events(EventsFrame),
    /// Handlers that have ended, and how many are open.
    Executions(ExecutionsFrame<'static>),
    /// Who is connected, each time that changes.
    Agents(AgentsFrame),
    /// Traces that got spans.
    Traces(BTreeMap<TraceId, Grown>),
    /// The books, once a second.
    Stats(Books),
    /// The channels that a WebSocket tells from now on, after it was asked.
    Subscribed(Vec<Channel>),
    /// What was said to a WebSocket cannot be understood; nothing has changed.
    Error(NotUnderstood),
}

/// The begin of a stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Hello {
    /// Tells the frames of this server from those of one before it.
    pub(super) boot: String,
    /// Number of the frame before the next one, as text.
    pub(super) seq: String,
}

/// The begin of a stream that does not go on where its reader was.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reset {
    /// Why.
    pub(super) reason: ResetReason,
}

/// Why a stream does not go on where its reader was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResetReason {
    /// The id is of no frame of this server.
    UnknownId,
    /// The id is of a server before this one.
    ServerRestarted,
    /// What came after it is not kept any more.
    Expired,
}

/// Frames that a reader has lost.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Gap {
    /// How many.
    pub(super) dropped: u64,
}

/// Events that were published.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventsFrame {
    /// The newest first; 200 at most.
    pub(super) items: Vec<PublishedEvent>,
    /// Events beyond these.
    pub(super) skipped_events: usize,
    /// Spans that nobody looked at: there were too many at once.
    pub(super) skipped_spans: u64,
}

/// Handlers that have ended, and those that have not.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExecutionsFrame<'a> {
    /// How many have not ended.
    pub(super) open: Open,
    /// The newest first; 200 at most.
    pub(super) ended: Vec<Ended<'a>>,
    /// Ended ones beyond these.
    pub(super) skipped: usize,
}

/// Executions that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = OpenExecutions)]
pub(super) struct Open {
    /// Those that wait for their agent.
    #[serde(rename = "PENDING")]
    pub(super) pending: u64,
    /// Those that their agent has.
    #[serde(rename = "RUNNING")]
    pub(super) running: u64,
}

/// An execution that has ended.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = EndedExecution)]
pub(super) struct Ended<'a> {
    /// The id of the span that handed it over.
    pub(super) execution_id: SpanId,
    /// The trace that it belongs to.
    pub(super) trace_id: TraceId,
    /// The handler's span.
    pub(super) span_id: SpanId,
    /// The agent that handled.
    pub(super) agent_name: Option<&'a str>,
    /// Topic of the event, or the capability.
    pub(super) operation: Option<&'a str>,
    /// What has become of it.
    pub(super) state: ExecutionState,
    /// RFC 3339, UTC.
    pub(super) start_time: String,
    /// RFC 3339, UTC.
    pub(super) end_time: String,
    /// From begin to end.
    pub(super) duration_ms: f64,
    /// Why it did not come to its end.
    pub(super) error_message: Option<&'a str>,
}

/// Who is connected.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AgentsFrame {
    /// By id.
    pub(super) connected: Vec<Connected>,
}

/// An agent that is connected, as far as its coming and going is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ConnectedAgent)]
pub(super) struct Connected {
    /// Its id.
    pub(super) agent_id: String,
    /// Of this process of the agent.
    pub(super) instance_id: String,
}

/// Spans of a trace that have just been stored.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GrownTrace)]
pub(super) struct Grown {
    /// How many.
    pub(super) spans: u64,
    /// Whether a root is among them.
    pub(super) has_root: bool,
}

/// What a WebSocket did not understand.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotUnderstood {
    /// What it is, for programs.
    pub(super) code: &'static str,
    /// What it is, for people.
    pub(super) detail: String,
}
