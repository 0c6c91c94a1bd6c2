//! Heads of the messages of the hot path, borrowed from their bytes.

use super::{Field, Fields, Value, WireError};

/// What the bus and the bridge read of an `Event`. Absent fields are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventHead<'a> {
    /// 16 bytes, or empty when the bridge shall give one.
    pub id: &'a [u8],
    /// The topic; UTF-8, and nothing else is checked yet.
    pub topic: &'a str,
    /// `Event.type`.
    pub r#type: &'a str,
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// Identity and trace context.
    pub envelope: EnvelopeHead<'a>,
    /// Media type of the payload.
    pub content_type: &'a str,
    /// `metadata["traceparent"]`, for peers that speak only string maps.
    pub metadata_traceparent: Option<&'a str>,
    /// The payload.
    pub payload: &'a [u8],
}

/// The fields of an `Envelope`. Absent fields are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EnvelopeHead<'a> {
    /// W3C traceparent, not parsed yet.
    pub traceparent: &'a str,
    /// W3C tracestate, not checked yet.
    pub tracestate: &'a str,
    /// W3C baggage, not checked yet.
    pub baggage: &'a str,
    /// The conversation.
    pub thread_id: &'a str,
    /// Joins a reply to its request.
    pub correlation_id: &'a str,
    /// Agent id of the producer.
    pub sender: &'a str,
    /// Topic on which an answer is awaited.
    pub reply_to: &'a str,
    /// Hops allowed; 0 is the default.
    pub ttl: u32,
    /// Hops made.
    pub hop: u32,
}

/// A `Delivery`, with its event still encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryHead<'a> {
    /// Which of the agent's subscriptions.
    pub subscription: u32,
    /// Context of the span `bridge.forward`, not parsed yet; empty where the event is not traced.
    pub traceparent: &'a str,
    /// From 1.
    pub attempt: u32,
    /// The encoded `Event`.
    pub event: &'a [u8],
    /// Its place in its stream, where the subscription is acknowledged.
    pub offset: u64,
}

/// Which field could not be read, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The message as a whole is no protobuf.
    #[error("{message} is no protobuf message: {source}")]
    Wire {
        /// Name of the message.
        message: &'static str,
        /// What is wrong with its bytes.
        source: WireError,
    },
    /// The field has another wire type than the contract gives it.
    #[error("{0} has the wrong type")]
    Type(&'static str),
    /// A string field that is not UTF-8.
    #[error("{0} is not UTF-8")]
    Utf8(&'static str),
}

impl FieldError {
    /// The field or message at fault ("event.topic").
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Wire { message, .. } => message,
            Self::Type(field) | Self::Utf8(field) => field,
        }
    }
}

impl<'a> EventHead<'a> {
    /// Walks an encoded `Event` once. As in protobuf, the last value of a repeated scalar counts and unknown fields pass.
    ///
    /// # Errors
    /// The field that cannot be read.
    pub fn scan(event: &'a [u8]) -> Result<Self, FieldError> {
        let mut head = Self::default();
        for field in Fields::of(event) {
            let Field { number, value } = field.map_err(|source| FieldError::Wire {
                message: "event",
                source,
            })?;
            match number {
                1 => head.id = bytes(value, "event.id")?,
                2 => head.topic = text(value, "event.topic")?,
                3 => head.r#type = text(value, "event.type")?,
                4 => head.time_unix_nano = fixed64(value, "event.time_unix_nano")?,
                5 => head.envelope.scan(bytes(value, "event.envelope")?)?,
                6 => head.content_type = text(value, "event.content_type")?,
                7 => {
                    let (key, value) = map_entry(bytes(value, "event.metadata")?)?;
                    if key == "traceparent" {
                        head.metadata_traceparent = Some(value);
                    }
                }
                8 => head.payload = bytes(value, "event.payload")?,
                _ => {}
            }
        }
        Ok(head)
    }
}

impl<'a> EnvelopeHead<'a> {
    fn scan(&mut self, envelope: &'a [u8]) -> Result<(), FieldError> {
        for field in Fields::of(envelope) {
            let Field { number, value } = field.map_err(|source| FieldError::Wire {
                message: "event.envelope",
                source,
            })?;
            match number {
                1 => self.traceparent = text(value, "event.envelope.traceparent")?,
                2 => self.tracestate = text(value, "event.envelope.tracestate")?,
                3 => self.baggage = text(value, "event.envelope.baggage")?,
                4 => self.thread_id = text(value, "event.envelope.thread_id")?,
                5 => self.correlation_id = text(value, "event.envelope.correlation_id")?,
                6 => self.sender = text(value, "event.envelope.sender")?,
                7 => self.reply_to = text(value, "event.envelope.reply_to")?,
                8 => self.ttl = uint32(value, "event.envelope.ttl")?,
                9 => self.hop = uint32(value, "event.envelope.hop")?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> DeliveryHead<'a> {
    /// Walks an encoded `Delivery` once.
    ///
    /// # Errors
    /// The field that cannot be read.
    pub fn scan(delivery: &'a [u8]) -> Result<Self, FieldError> {
        let mut head = Self::default();
        for field in Fields::of(delivery) {
            let Field { number, value } = field.map_err(|source| FieldError::Wire {
                message: "delivery",
                source,
            })?;
            match number {
                1 => head.subscription = uint32(value, "delivery.subscription")?,
                2 => head.traceparent = text(value, "delivery.traceparent")?,
                3 => head.attempt = uint32(value, "delivery.attempt")?,
                4 => head.event = bytes(value, "delivery.event")?,
                5 => head.offset = uint64(value, "delivery.offset")?,
                _ => {}
            }
        }
        Ok(head)
    }
}

fn bytes<'a>(value: Value<'a>, field: &'static str) -> Result<&'a [u8], FieldError> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(FieldError::Type(field)),
    }
}

fn text<'a>(value: Value<'a>, field: &'static str) -> Result<&'a str, FieldError> {
    std::str::from_utf8(bytes(value, field)?).map_err(|_| FieldError::Utf8(field))
}

fn uint32(value: Value<'_>, field: &'static str) -> Result<u32, FieldError> {
    match value {
        // protobuf truncates what is too wide for the field
        Value::Varint(value) => Ok(value as u32),
        _ => Err(FieldError::Type(field)),
    }
}

fn uint64(value: Value<'_>, field: &'static str) -> Result<u64, FieldError> {
    match value {
        Value::Varint(value) => Ok(value),
        _ => Err(FieldError::Type(field)),
    }
}

fn fixed64(value: Value<'_>, field: &'static str) -> Result<u64, FieldError> {
    match value {
        Value::Fixed64(value) => Ok(value),
        _ => Err(FieldError::Type(field)),
    }
}

/// Both sides of an entry of `map<string, string>`.
fn map_entry(entry: &[u8]) -> Result<(&str, &str), FieldError> {
    let (mut key, mut content) = ("", "");
    for field in Fields::of(entry) {
        let Field { number, value } = field.map_err(|source| FieldError::Wire {
            message: "event.metadata",
            source,
        })?;
        match number {
            1 => key = text(value, "event.metadata")?,
            2 => content = text(value, "event.metadata")?,
            _ => {}
        }
    }
    Ok((key, content))
}
