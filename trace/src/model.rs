//! A span as plain data: what every room between the wire and the screen speaks.
//!
//! Times are nanoseconds since the Unix epoch, as OTLP has them. Nothing here knows protobuf, SQL or HTTP.

pub mod id;
pub mod value;

use std::sync::Arc;

use loom_proto::semconv::attribute;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use id::{IdError, SpanId, TraceId};
pub use value::{Attributes, Value};

/// The service of a span whose resource names none; the fallback that Jaeger shows for such spans.
pub const UNKNOWN_SERVICE: &str = "OTLPResourceNoServiceName";

/// One finished unit of work.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace it belongs to; never all zero.
    pub trace_id: TraceId,
    /// Its own id, unique within the trace; never all zero.
    pub span_id: SpanId,
    /// The span that caused it. `None` makes it a root.
    pub parent_span_id: Option<SpanId>,
    /// W3C `tracestate`, empty when there is none.
    pub trace_state: String,
    /// Low byte: W3C trace flags. Bits 8 and 9: whether the parent is known to be remote.
    pub flags: u32,
    /// What was done, of low cardinality.
    pub name: String,
    /// Its role in a remote interaction.
    pub kind: SpanKind,
    /// Start, ns since the Unix epoch.
    pub start_ns: u64,
    /// End, ns since the Unix epoch. A broken clock may put it before the start.
    pub end_ns: u64,
    /// Outcome.
    pub status: Status,
    /// Attributes in the order in which they came.
    pub attributes: Attributes,
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
    /// Things that happened on the way.
    pub events: Vec<Event>,
    /// Events that the sender left out.
    pub dropped_events: u32,
    /// Causes other than the parent.
    pub links: Vec<Link>,
    /// Links that the sender left out.
    pub dropped_links: u32,
    /// Who this span is about; filled from the attributes at ingest.
    pub identity: Identity,
    /// The process that made it.
    pub resource: Arc<Resource>,
    /// The library that made it.
    pub scope: Arc<Scope>,
}

impl Span {
    /// Time between start and end in ns; 0 when the end lies before the start.
    pub fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    /// Name of the service, or [`UNKNOWN_SERVICE`].
    pub fn service(&self) -> &str {
        self.resource.service()
    }

    /// True when the runtime wrote it in the place of one that was lost with its process.
    pub fn is_stand_in(&self) -> bool {
        is_stand_in(&self.attributes)
    }

    /// True when the status says that the work failed.
    pub fn is_error(&self) -> bool {
        self.status.code == StatusCode::Error
    }
}

/// Whether a span with these attributes is a stand-in: [`Span::is_stand_in`].
pub(crate) fn is_stand_in(attributes: &Attributes) -> bool {
    attributes.get(attribute::STAND_IN) == Some(&Value::Bool(true))
}

/// Role of a span in a remote interaction, as OTLP has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum SpanKind {
    /// Not said, or a number that OTLP does not define.
    #[default]
    Unspecified = 0,
    /// Work within one process.
    Internal = 1,
    /// Serves a request.
    Server = 2,
    /// Makes a request and waits.
    Client = 3,
    /// Hands work over and does not wait.
    Producer = 4,
    /// Does work that was handed over.
    Consumer = 5,
}

impl SpanKind {
    /// From OTLP's number; what OTLP does not define becomes `Unspecified`.
    pub fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// Lower-case name as in Jaeger's `span.kind`; `None` when unspecified.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Unspecified => None,
            Self::Internal => Some("internal"),
            Self::Server => Some("server"),
            Self::Client => Some("client"),
            Self::Producer => Some("producer"),
            Self::Consumer => Some("consumer"),
        }
    }

    /// The kind of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Internal,
            Self::Server,
            Self::Client,
            Self::Producer,
            Self::Consumer,
        ]
        .into_iter()
        .find(|kind| kind.name().is_some_and(|n| n.eq_ignore_ascii_case(name)))
    }
}

/// Outcome of a span.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Unset, ok or error.
    pub code: StatusCode,
    /// Why it failed; empty otherwise.
    pub message: String,
}

/// Whether the work of a span failed, as OTLP has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SpanStatus)]
#[repr(u8)]
pub enum StatusCode {
    /// Nothing was said.
    #[default]
    Unset = 0,
    /// Said to be successful.
    Ok = 1,
    /// Failed.
    Error = 2,
}

impl StatusCode {
    /// From OTLP's number; what OTLP does not define becomes `Unset`.
    pub fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }
}

/// Something that happened at one moment of a span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, ns since the Unix epoch.
    pub time_ns: u64,
    /// What.
    pub name: String,
    /// Details.
    pub attributes: Attributes,
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
}

/// A cause other than the parent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Trace of the linked span.
    pub trace_id: TraceId,
    /// The linked span.
    pub span_id: SpanId,
    /// W3C `tracestate` of the linked span.
    pub trace_state: String,
    /// As [`Span::flags`].
    pub flags: u32,
    /// Details.
    pub attributes: Attributes,
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
}

/// The process or agent that made a span.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Resource {
    /// Its attributes, `service.name` among them.
    pub attributes: Attributes,
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
    /// Schema of the attributes, empty when not said.
    pub schema_url: String,
}

impl Resource {
    /// Name of the service, or [`UNKNOWN_SERVICE`].
    pub fn service(&self) -> &str {
        match self.attributes.get("service.name") {
            Some(Value::String(name)) if !name.is_empty() => name,
            _ => UNKNOWN_SERVICE,
        }
    }
}

/// The instrumentation library that made a span.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scope {
    /// Its name, empty when not said.
    pub name: String,
    /// Its version, empty when not said.
    pub version: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// Attributes that the sender left out.
    pub dropped_attributes: u32,
    /// Schema of the spans, empty when not said.
    pub schema_url: String,
}

/// The attributes by which people look for spans; each has a column and an index of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// `agent.id`
    pub agent: Option<String>,
    /// `workflow.id`
    pub workflow: Option<String>,
    /// `session.id`
    pub session: Option<String>,
    /// `user.id`
    pub user: Option<String>,
    /// `tenant.id`
    pub tenant: Option<String>,
    /// `thread_id`
    pub thread: Option<String>,
}

/// All known spans of one trace, in order of their start.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// Its spans by start time, at most as many as the query allowed.
    pub spans: Vec<Span>,
    /// True when the store holds more spans of it than are here.
    pub truncated: bool,
}
