//! What a span is until it is written as OTLP.

use std::sync::Arc;

use loom_proto::EventId;
use loom_proto::trace_context::{SpanId, TraceContext};

/// A finished span.
#[derive(Clone, Debug)]
pub struct SpanRecord {
    /// The span's own ids and flags.
    pub context: TraceContext,
    /// All zero for a root.
    pub parent_span_id: SpanId,
    /// True when the parent lives in another process.
    pub parent_is_remote: bool,
    /// What role the span plays.
    pub kind: SpanKind,
    /// How it ended.
    pub status: SpanStatus,
    /// Nanoseconds since the Unix epoch.
    pub start_unix_nano: u64,
    /// Nanoseconds since the Unix epoch; never before the start.
    pub end_unix_nano: u64,
    /// Name and attributes.
    pub detail: SpanDetail,
}

/// OTel's span kinds, with OTLP's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum SpanKind {
    /// Work inside a process.
    #[default]
    Internal = 1,
    /// Serves a remote caller that waits.
    Server = 2,
    /// Waits for a remote callee.
    Client = 3,
    /// Hands a message on and does not wait for it to be handled.
    Producer = 4,
    /// Handles a message.
    Consumer = 5,
}

/// OTel's status codes, with OTLP's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum SpanStatus {
    /// Nothing was said.
    #[default]
    Unset = 0,
    /// Said to be good, against whatever instrumentation thought.
    Ok = 1,
    /// Failed.
    Error = 2,
}

/// Name and attributes of a span: a few words for the spans of the bus, anything for all others.
#[derive(Clone, Debug)]
pub enum SpanDetail {
    /// A hop of an event; no allocation, unless it has a link.
    Message(MessageDetail),
    /// Whatever the OTel API allows.
    Free(Arc<FreeDetail>),
}

/// A hop of an event through the bus or the bridge. The names and attributes are made of it when it is written.
#[derive(Clone, Debug)]
pub struct MessageDetail {
    /// Which hop.
    pub operation: MessageOperation,
    /// The agent at the other end of the stream; `None` for the bus itself.
    pub agent: Option<Arc<str>>,
    /// The event's topic.
    pub topic: Arc<str>,
    /// The event's id.
    pub event_id: EventId,
    /// The code of the failure when the status is [`SpanStatus::Error`].
    pub error: Option<&'static str>,
    /// Another span that this one has to do with: the attempt before. Boxed, since hardly a span has one.
    pub link: Option<Box<TraceContext>>,
    /// It stands in the place of the span that was lost with its process.
    pub is_stand_in: bool,
}

/// The hops, each with what only it knows.
#[derive(Clone, Debug)]
pub enum MessageOperation {
    /// `bridge.publish`: size of the payload in bytes.
    BridgePublish {
        /// `messaging.message.body.size`.
        body_size: u32,
    },
    /// `EventBus.publish`: how many subscriptions matched.
    BusPublish {
        /// `loom.bus.matched`.
        matched: u32,
    },
    /// `bridge.forward`.
    BridgeForward {
        /// What the delivery is for.
        subscription: Arc<SubscriptionName>,
        /// From 1.
        attempt: u32,
        /// Time in the mailbox, in microseconds.
        wait_us: u32,
    },
}

/// A subscription as its deliveries' spans name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionName {
    /// Topics that it wants: `messaging.destination.subscription.name`.
    pub pattern: String,
    /// Its group, where it is acknowledged: `messaging.consumer.group.name`.
    pub group: Option<String>,
}

/// Everything that an OTel span may carry.
#[derive(Clone, Debug, Default)]
pub struct FreeDetail {
    /// The span's name.
    pub name: Value,
    /// Keys are unique; the last value of a key was kept.
    pub attributes: Vec<(Value, Value)>,
    /// What happened meanwhile.
    pub events: Vec<SpanEvent>,
    /// Other spans that this one has to do with.
    pub links: Vec<SpanLink>,
    /// Says more of an error.
    pub status_message: String,
    /// W3C tracestate.
    pub tracestate: String,
    /// Instrumentation scope; empty means Loom's own.
    pub scope_name: Value,
    /// Version of the scope.
    pub scope_version: Value,
    /// Attributes beyond the limit.
    pub dropped_attributes: u32,
    /// Events beyond the limit.
    pub dropped_events: u32,
    /// Links beyond the limit.
    pub dropped_links: u32,
}

/// An event of a span.
#[derive(Clone, Debug, Default)]
pub struct SpanEvent {
    /// Its name.
    pub name: Value,
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// Its attributes.
    pub attributes: Vec<(Value, Value)>,
}

/// A link to another span.
#[derive(Clone, Debug, Default)]
pub struct SpanLink {
    /// The other span.
    pub context: TraceContext,
    /// W3C tracestate of the other span.
    pub tracestate: String,
    /// The link's attributes.
    pub attributes: Vec<(Value, Value)>,
}

/// A value of an attribute, or a text that is often a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A constant.
    Static(&'static str),
    /// A text that several spans share.
    Shared(Arc<str>),
    /// A text of this span alone.
    Text(String),
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating point number.
    Double(f64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    Array(Vec<Value>),
    /// A map.
    Map(Vec<(Value, Value)>),
}

impl SpanRecord {
    /// True when the span has no parent.
    pub fn is_root(&self) -> bool {
        !self.parent_span_id.is_valid()
    }
}

impl Value {
    /// The text, where the value is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Static(text) => Some(text),
            Self::Shared(text) => Some(text),
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Default for Value {
    fn default() -> Self {
        Self::Static("")
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_stays_small() {
        // One push per span: at 600,000 spans a second each 64 bytes more are 38 MB/s of memory traffic.
        assert!(
            size_of::<SpanRecord>() <= 168,
            "{}",
            size_of::<SpanRecord>()
        );
    }
}
