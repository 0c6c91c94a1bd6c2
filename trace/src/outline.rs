//! A trace without the bodies of its spans: what a view of all of it needs, small enough for tens of thousands of them.
//!
//! Texts stand once in tables and are referred to by number.

use crate::model::{Attributes, SpanId, SpanKind, StatusCode, TraceId};

/// All known spans of one trace, by start and then by id.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// Its id.
    pub id: TraceId,
    /// True when the store holds more spans of it than are here; then the latest are missing.
    pub truncated: bool,
    /// Names of spans.
    pub names: Vec<String>,
    /// Names of services.
    pub services: Vec<String>,
    /// Ids of agents.
    pub agents: Vec<String>,
    /// Names of instrumentation scopes.
    pub scopes: Vec<String>,
    /// Topics of events.
    pub topics: Vec<String>,
    /// The spans.
    pub spans: Vec<OutlineSpan>,
    /// Their links, in the order of the spans.
    pub links: Vec<OutlineLink>,
}

/// A span without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutlineSpan {
    /// Its id.
    pub span_id: SpanId,
    /// The span that caused it.
    pub parent_span_id: Option<SpanId>,
    /// Place in [`Outline::names`].
    pub name: u32,
    /// Place in [`Outline::services`].
    pub service: u32,
    /// Place in [`Outline::agents`].
    pub agent: Option<u32>,
    /// Place in [`Outline::scopes`].
    pub scope: u32,
    /// Place in [`Outline::topics`].
    pub topic: Option<u32>,
    /// As in OTLP.
    pub kind: SpanKind,
    /// What Loom knows of it by its name.
    pub step: Step,
    /// Start, ns since the Unix epoch.
    pub start_ns: u64,
    /// End, ns since the Unix epoch; never before the start.
    pub end_ns: u64,
    /// Outcome.
    pub status: StatusCode,
    /// How many events it has.
    pub events: u32,
    /// How many links it has.
    pub links: u32,
    /// The runtime wrote it in the place of one that was lost.
    pub is_stand_in: bool,
    /// Its parent is not here.
    pub is_orphan: bool,
    /// Whether a model or a tool was at work.
    pub gen_ai: GenAi,
    /// How long its event waited for it in a mailbox, ns; of deliveries only.
    pub wait_ns: Option<u64>,
}

/// Whether a model or a tool was at work in a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GenAi {
    /// Neither.
    #[default]
    No,
    /// A model was called.
    ModelCall,
    /// A tool was used.
    Tool,
}

/// What a span is on the way of an event or of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Step {
    /// Something of the user's.
    #[default]
    Other,
    /// `bridge.publish` or `EventBus.publish`: an event is handed over, and nobody waits for what comes of it.
    Publish,
    /// `bridge.forward`: an attempt to deliver it.
    Forward,
    /// `agent.on_event`: the handler of a delivery.
    Handler,
    /// `broker.invoke`: a call on its way.
    Invoke,
    /// `agent.on_action`: the handler of a call.
    Action,
}

/// A cause of a span other than its parent.
#[derive(Debug, Clone, PartialEq)]
pub struct OutlineLink {
    /// Place of the span that has it, in [`Outline::spans`].
    pub from: u32,
    /// Trace of the linked span.
    pub trace_id: TraceId,
    /// The linked span.
    pub span_id: SpanId,
    /// Details.
    pub attributes: Attributes,
}

impl Outline {
    /// Earliest start, ns since the Unix epoch.
    pub fn start_ns(&self) -> u64 {
        let starts = self.spans.iter().map(|span| span.start_ns);
        starts.min().unwrap_or_default()
    }

    /// Latest end, ns since the Unix epoch.
    pub fn end_ns(&self) -> u64 {
        let ends = self.spans.iter().map(|span| span.end_ns);
        ends.max().unwrap_or_default()
    }
}
