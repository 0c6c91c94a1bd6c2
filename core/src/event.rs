//! An event on the bus: a head that the bus reads, and bytes that it only passes on.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use loom_proto::trace_context::{SpanId, TraceContext};
use loom_proto::wire::{EventHead, FieldError, put_bytes_field};
use loom_proto::{Code, EventId, topic, v1};
use loom_telemetry::ids;
use prost::Message;

use crate::envelope::{Envelope, Malformed};
use crate::instrument::HopSpan;
use crate::ledger::AccountId;

/// An event. Cloning it copies no payload.
#[derive(Clone, Debug)]
pub struct Event {
    id: EventId,
    topic: Arc<str>,
    trace: Option<TraceContext>,
    lineage: Lineage,
    published_unix_nano: u64,
    hop: u32,
    ttl: u32,
    payload_len: u32,
    account: AccountId,
    /// The encoded `loom.v1.Event`, as every subscriber gets it.
    wire: Bytes,
}

/// The spans before `EventBus.publish`. A stream keeps them with its event, so that they can be told again when the server
/// was killed before it had handed them on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Parent of `EventBus.publish`; all zero where that is a root, or is not recorded.
    pub parent: SpanId,
    /// What the parent is.
    pub came: Came,
}

/// How an event came to the bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Came {
    /// From a caller in process, whose span the parent is.
    #[default]
    InProcess,
    /// Over the bridge: the parent is `bridge.publish`.
    OverTheBridge {
        /// Parent of `bridge.publish`, in the producer's process; all zero where that is a root.
        origin: SpanId,
    },
}

/// The bytes or fields make no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The bytes cannot be read.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The id is no UUID.
    #[error(
        "event.id is not valid: it must be 16 bytes and not all zero, or empty so that the bridge gives one"
    )]
    Id,
    /// The topic is no topic.
    #[error("event.topic {topic:?} is not valid: {source}")]
    Topic {
        /// As it came.
        topic: String,
        /// What is wrong with it.
        source: topic::InvalidTopic,
    },
}

impl EventError {
    /// The face on the wire.
    pub fn code(&self) -> Code {
        match self {
            Self::Topic { .. } => Code::InvalidTopic,
            Self::Field(_) | Self::Id => Code::InvalidEvent,
        }
    }

    /// The field at fault.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Field(error) => error.field(),
            Self::Id => "event.id",
            Self::Topic { .. } => "event.topic",
        }
    }
}

impl Event {
    /// Takes a message apart, gives it an id and a time where it has none, and encodes it once for all subscribers.
    ///
    /// # Errors
    /// The id or the topic is not valid.
    pub fn new(mut message: v1::Event) -> Result<Self, EventError> {
        if message.id.is_empty() {
            message.id = Bytes::copy_from_slice(&EventId::now().0);
        }
        if message.time_unix_nano == 0 {
            message.time_unix_nano = ids::now_unix_nano();
        }
        let wire = Bytes::from(message.encode_to_vec());
        let head = EventHead::scan(&wire)?;
        let topic = Self::check_topic(head.topic)?;
        Self::from_head(&head, topic, &wire, Malformed::default())
    }

    /// A payload on a topic, and nothing else.
    ///
    /// # Errors
    /// The topic is not valid.
    pub fn on(topic: &str, payload: impl Into<Bytes>) -> Result<Self, EventError> {
        Self::new(v1::Event {
            topic: topic.to_owned(),
            payload: payload.into(),
            ..v1::Event::default()
        })
    }

    /// Checks a topic and gives it the form in which the bus shares it.
    ///
    /// # Errors
    /// Names the segment at fault.
    pub fn check_topic(text: &str) -> Result<Arc<str>, EventError> {
        match topic::validate_topic(text) {
            Ok(()) => Ok(text.into()),
            Err(source) => Err(EventError::Topic {
                topic: text.to_owned(),
                source,
            }),
        }
    }

    /// Makes an event of bytes whose head was scanned and whose topic was checked. The bytes are copied: they are part
    /// of a batch that must not stay in memory as long as its slowest event.
    ///
    /// The trace context is left to the caller, who knows where else it may stand.
    ///
    /// # Errors
    /// The id is not valid.
    pub fn from_head(
        head: &EventHead<'_>,
        topic: Arc<str>,
        wire: &[u8],
        malformed: Malformed,
    ) -> Result<Self, EventError> {
        let id = if head.id.is_empty() {
            EventId::now()
        } else {
            EventId::from_slice(head.id).map_err(|_| EventError::Id)?
        };
        let wire = if head.id.is_empty() || malformed.is_any() {
            amended(wire, id, malformed)
        } else {
            Bytes::copy_from_slice(wire)
        };
        Ok(Self {
            id,
            topic,
            trace: None,
            lineage: Lineage::default(),
            published_unix_nano: 0,
            hop: head.envelope.hop,
            ttl: head.envelope.ttl,
            account: AccountId::default(),
            payload_len: head.payload.len() as u32,
            wire,
        })
    }

    /// An event as a journal kept it: [`wire`](Self::wire) with the context, the lineage and the time of
    /// `EventBus.publish`.
    ///
    /// # Errors
    /// The bytes make no event that the bus would have taken.
    pub fn restored(
        wire: Bytes,
        trace: Option<TraceContext>,
        lineage: Lineage,
        published_unix_nano: u64,
    ) -> Result<Self, EventError> {
        let head = EventHead::scan(&wire)?;
        Ok(Self {
            id: EventId::from_slice(head.id).map_err(|_| EventError::Id)?,
            topic: Self::check_topic(head.topic)?,
            trace,
            lineage,
            published_unix_nano,
            hop: head.envelope.hop,
            ttl: head.envelope.ttl,
            account: AccountId::default(),
            payload_len: head.payload.len() as u32,
            wire,
        })
    }

    /// Its id.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// Its topic.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The context that whoever handles the event next has as its parent.
    pub fn trace(&self) -> Option<TraceContext> {
        self.trace
    }

    /// The same where the trace is recorded.
    pub fn sampled_trace(&self) -> Option<TraceContext> {
        self.trace.filter(|trace| trace.flags.is_sampled())
    }

    /// Stamps the event with the context of the span that handles it now.
    pub fn set_trace(&mut self, trace: Option<TraceContext>) {
        self.trace = trace;
    }

    /// Stamps the event with the span of the bridge that takes it.
    pub fn set_bridged(&mut self, span: &HopSpan) {
        self.trace = span.context();
        let origin = span.parent();
        self.lineage.came = Came::OverTheBridge { origin };
    }

    /// Stamps the event with the span of the bus that takes it, and with the account that it is booked on.
    pub(crate) fn set_published(&mut self, span: &HopSpan, account: AccountId) {
        self.trace = span.context();
        self.lineage.parent = span.parent();
        self.published_unix_nano = span.start_unix_nano();
        self.account = account;
    }

    /// The spans before `EventBus.publish`.
    pub fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// Stamps the event with the time at which a stream takes it, unless the bus did.
    pub(crate) fn set_published_at(&mut self, unix_nano: u64) {
        if self.published_unix_nano == 0 {
            self.published_unix_nano = unix_nano;
        }
    }

    /// Whose account the bus books it on.
    pub(crate) fn account(&self) -> AccountId {
        self.account
    }

    /// A group has found the account of its topic.
    pub(crate) fn set_account(&mut self, account: AccountId) {
        self.account = account;
    }

    /// When the bus took it, in nanoseconds since the Unix epoch; 0 where neither a trace is recorded nor a stream keeps
    /// it, since nobody asks for the time then.
    pub fn published_unix_nano(&self) -> u64 {
        self.published_unix_nano
    }

    /// Hops made.
    pub fn hop(&self) -> u32 {
        self.hop
    }

    /// Hops allowed; 0 means the bus's default.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// Size of the payload in bytes.
    pub fn payload_len(&self) -> u32 {
        self.payload_len
    }

    /// The encoded `loom.v1.Event`.
    pub fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// The whole message. Its envelope carries the event's present trace context.
    ///
    /// # Errors
    /// A field that the head does not show is malformed.
    pub fn decode(&self) -> Result<v1::Event, prost::DecodeError> {
        let mut message = v1::Event::decode(self.wire.clone())?;
        if let Some(trace) = self.trace {
            message.envelope.get_or_insert_default().traceparent = trace.to_string();
        }
        Ok(message)
    }

    /// The envelope, with the event's present trace context.
    ///
    /// # Errors
    /// A field that the head does not show is malformed.
    pub fn envelope(&self) -> Result<Envelope, prost::DecodeError> {
        Ok(Envelope::from_wire(
            self.decode()?.envelope.unwrap_or_default(),
        ))
    }
}

/// The same event with its id and without what is malformed. Protobuf merges a message that stands twice, and the last
/// value of a field counts, so appending is enough: an empty tracestate takes the place of a bad one.
fn amended(wire: &[u8], id: EventId, malformed: Malformed) -> Bytes {
    const ENVELOPE: u32 = 5;
    const EMPTY_TRACESTATE: [u8; 2] = [2 << 3 | 2, 0];
    const EMPTY_BAGGAGE: [u8; 2] = [3 << 3 | 2, 0];
    const ROOM: usize = 32;
    let mut to = BytesMut::with_capacity(wire.len() + ROOM);
    to.put_slice(wire);
    put_bytes_field(&mut to, 1, &id.0);
    if malformed.tracestate {
        put_bytes_field(&mut to, ENVELOPE, &EMPTY_TRACESTATE);
    }
    if malformed.baggage {
        put_bytes_field(&mut to, ENVELOPE, &EMPTY_BAGGAGE);
    }
    to.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_gets_an_id_and_a_time_once() {
        let event = Event::on("sensor.data", "21.5").expect("valid");
        let message = event.decode().expect("valid");
        assert_eq!(message.id, event.id().0.as_slice());
        assert_ne!(message.time_unix_nano, 0);
        assert_eq!(message.payload, "21.5");
        assert_eq!(event.payload_len(), 4);
    }

    #[test]
    fn an_id_is_appended_to_bytes_that_have_none() {
        let wire = v1::Event {
            topic: "a.b".into(),
            payload: "x".into(),
            ..Default::default()
        }
        .encode_to_vec();
        let head = EventHead::scan(&wire).expect("valid");
        let event =
            Event::from_head(&head, "a.b".into(), &wire, Malformed::default()).expect("valid");
        assert_eq!(event.decode().expect("valid").id, event.id().0.as_slice());
    }

    #[test]
    fn what_is_malformed_is_left_out_and_nothing_else() {
        let envelope = v1::Envelope {
            tracestate: "bad".into(),
            baggage: "k=v".into(),
            thread_id: "t".into(),
            ..Default::default()
        };
        let id = EventId::now();
        let sent = v1::Event {
            id: id.0.to_vec().into(),
            topic: "a".into(),
            envelope: Some(envelope.clone()),
            payload: "x".into(),
            ..Default::default()
        };
        let wire = sent.encode_to_vec();
        let head = EventHead::scan(&wire).expect("valid");
        let malformed = Malformed::of(&head.envelope, true);
        assert_eq!(
            malformed,
            Malformed {
                tracestate: true,
                baggage: false
            }
        );
        let event = Event::from_head(&head, "a".into(), &wire, malformed).expect("valid");
        let expected = v1::Envelope {
            tracestate: String::new(),
            ..envelope
        };
        let expected = v1::Event {
            envelope: Some(expected),
            ..sent
        };
        assert_eq!(event.decode().expect("valid"), expected);
        let scanned = EventHead::scan(event.wire()).expect("valid").envelope;
        assert_eq!(
            (scanned.tracestate, scanned.baggage, scanned.thread_id),
            ("", "k=v", "t")
        );
    }

    #[test]
    fn the_decoded_envelope_carries_the_present_context() {
        let mut event = Event::on("a", "").expect("valid");
        let context = ids::new_root(true);
        event.set_trace(Some(context));
        assert_eq!(
            event
                .decode()
                .expect("valid")
                .envelope
                .expect("stamped")
                .traceparent,
            context.to_string()
        );
        assert_eq!(
            event.envelope().expect("valid").trace_id(),
            Some(context.trace_id.to_string())
        );
    }

    #[test]
    fn faults_name_their_field() {
        let bad = |event: v1::Event| Event::new(event).expect_err("invalid");
        assert_eq!(bad(v1::Event::default()).field(), "event.topic");
        let short_id = v1::Event {
            topic: "a".into(),
            id: "abc".into(),
            ..Default::default()
        };
        assert_eq!(bad(short_id), EventError::Id);
    }
}
