//! Events and deliveries, written straight into a batch.

use bytes::BufMut;

use super::{EnvelopeHead, number};

/// The parts of an event that is about to be written. Empty parts take no bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventParts<'a> {
    /// 16 bytes.
    pub id: &'a [u8],
    /// The topic.
    pub topic: &'a str,
    /// What happened.
    pub r#type: &'a str,
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// Identity and trace context.
    pub envelope: EnvelopeHead<'a>,
    /// Media type of the payload.
    pub content_type: &'a str,
    /// The user's own headers.
    pub metadata: &'a [(&'a str, &'a str)],
    /// The payload.
    pub payload: &'a [u8],
}

impl EventParts<'_> {
    /// How many bytes [`EventParts::put`] writes.
    pub fn encoded_len(&self) -> usize {
        let envelope = self.envelope.encoded_len();
        bytes_len(self.id)
            + bytes_len(self.topic.as_bytes())
            + bytes_len(self.r#type.as_bytes())
            + if self.time_unix_nano == 0 { 0 } else { 9 }
            + if envelope == 0 {
                0
            } else {
                1 + varint_len(envelope as u64) + envelope
            }
            + bytes_len(self.content_type.as_bytes())
            + self
                .metadata
                .iter()
                .map(|entry| message_len(map_entry_len(*entry)))
                .sum::<usize>()
            + bytes_len(self.payload)
    }

    /// Writes the event, without a tag before it.
    pub fn put(&self, to: &mut impl BufMut) {
        put_bytes(to, 1, self.id);
        put_bytes(to, 2, self.topic.as_bytes());
        put_bytes(to, 3, self.r#type.as_bytes());
        if self.time_unix_nano != 0 {
            to.put_u8(4 << 3 | 1);
            to.put_u64_le(self.time_unix_nano);
        }
        let envelope = self.envelope.encoded_len();
        if envelope != 0 {
            to.put_u8(5 << 3 | 2);
            put_varint(to, envelope as u64);
            self.envelope.put(to);
        }
        put_bytes(to, 6, self.content_type.as_bytes());
        for (key, value) in self.metadata {
            to.put_u8(7 << 3 | 2);
            put_varint(to, map_entry_len((key, value)) as u64);
            put_bytes(to, 1, key.as_bytes());
            put_bytes(to, 2, value.as_bytes());
        }
        put_bytes(to, 8, self.payload);
    }
}

impl EnvelopeHead<'_> {
    fn encoded_len(&self) -> usize {
        bytes_len(self.traceparent.as_bytes())
            + bytes_len(self.tracestate.as_bytes())
            + bytes_len(self.baggage.as_bytes())
            + bytes_len(self.thread_id.as_bytes())
            + bytes_len(self.correlation_id.as_bytes())
            + bytes_len(self.sender.as_bytes())
            + bytes_len(self.reply_to.as_bytes())
            + varint_field_len(self.ttl.into())
            + varint_field_len(self.hop.into())
    }

    fn put(&self, to: &mut impl BufMut) {
        put_bytes(to, 1, self.traceparent.as_bytes());
        put_bytes(to, 2, self.tracestate.as_bytes());
        put_bytes(to, 3, self.baggage.as_bytes());
        put_bytes(to, 4, self.thread_id.as_bytes());
        put_bytes(to, 5, self.correlation_id.as_bytes());
        put_bytes(to, 6, self.sender.as_bytes());
        put_bytes(to, 7, self.reply_to.as_bytes());
        put_uint32(to, 8, self.ttl);
        put_uint32(to, 9, self.hop);
    }
}

/// Writes one element of `ClientEvent.publish`.
pub fn put_event(to: &mut impl BufMut, event: &EventParts<'_>) {
    to.put_u8((number::PUBLISH as u8) << 3 | 2);
    put_varint(to, event.encoded_len() as u64);
    event.put(to);
}

/// Writes one element of `ServerEvent.delivery` around an event that is encoded already. `offset` is 0 where the
/// subscription is not acknowledged.
pub fn put_delivery(
    to: &mut impl BufMut,
    subscription: u32,
    traceparent: &[u8],
    attempt: u32,
    event: &[u8],
    offset: u64,
) {
    let length = varint_field_len(subscription.into())
        + bytes_len(traceparent)
        + varint_field_len(attempt.into())
        + message_len(event.len())
        + varint_field_len(offset);
    to.put_u8((number::DELIVERY as u8) << 3 | 2);
    put_varint(to, length as u64);
    put_uint32(to, 1, subscription);
    put_bytes(to, 2, traceparent);
    put_uint32(to, 3, attempt);
    to.put_u8(4 << 3 | 2);
    put_varint(to, event.len() as u64);
    to.put_slice(event);
    put_varint_field(to, 5, offset);
}

/// Writes a field of type message; it is written even when it is empty.
///
/// # Panics
/// Never for what `prost` encodes: the buffer grows.
pub fn put_message_field(to: &mut Vec<u8>, number: u32, message: &impl prost::Message) {
    put_varint(to, u64::from(number) << 3 | 2);
    put_varint(to, message.encoded_len() as u64);
    message.encode_raw(to);
}

/// Writes a field of type bytes or string, unless it is empty.
pub fn put_bytes_field(to: &mut impl BufMut, number: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_varint(to, u64::from(number) << 3 | 2);
        put_varint(to, bytes.len() as u64);
        to.put_slice(bytes);
    }
}

/// Writes a field of a varint type, unless it is zero.
pub fn put_varint_field(to: &mut impl BufMut, number: u32, value: u64) {
    if value != 0 {
        put_varint(to, u64::from(number) << 3);
        put_varint(to, value);
    }
}

/// Writes a varint.
pub fn put_varint(to: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        to.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

/// `number` is at most 15, so that the key is one byte.
fn put_bytes(to: &mut impl BufMut, number: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        to.put_u8(number << 3 | 2);
        put_varint(to, bytes.len() as u64);
        to.put_slice(bytes);
    }
}

fn put_uint32(to: &mut impl BufMut, number: u8, value: u32) {
    if value != 0 {
        to.put_u8(number << 3);
        put_varint(to, u64::from(value));
    }
}

const fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// With its key of one byte; 0 when there is nothing to write.
fn bytes_len(bytes: &[u8]) -> usize {
    if bytes.is_empty() {
        0
    } else {
        message_len(bytes.len())
    }
}

fn message_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

/// With its key of one byte; 0 when there is nothing to write.
fn varint_field_len(value: u64) -> usize {
    if value == 0 { 0 } else { 1 + varint_len(value) }
}

fn map_entry_len((key, value): (&str, &str)) -> usize {
    bytes_len(key.as_bytes()) + bytes_len(value.as_bytes())
}
