//! The look at the door: is this an OTLP trace request, how many spans has it, and how many of them are bad?
//!
//! Walks the wire format without allocating, by a table of the messages. It accepts and rejects exactly what
//! [`super::decode()`] accepts and rejects, and both what prost does, which property tests hold against each other; so a
//! request that was acknowledged can always be indexed later.

use loom_proto::wire::{Field, Fields, Value};

use super::wire::{Fault, MAX_DEPTH, WireError};
use crate::model::{SpanId, TraceId};

/// What a request holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scanned {
    /// Spans in the request, good and bad.
    pub spans: u64,
    /// Spans that will be left out, by reason.
    pub rejected: Rejected,
}

impl Scanned {
    /// Spans that will be stored.
    pub fn accepted(&self) -> u64 {
        self.spans - self.rejected.total()
    }
}

/// Spans left out of a good request, each counted under the first reason that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rejected {
    /// Trace id not 16 bytes, or all zero.
    pub trace_id: u64,
    /// Span id not 8 bytes, or all zero.
    pub span_id: u64,
    /// Parent span id neither absent nor 8 bytes.
    pub parent_span_id: u64,
}

impl Rejected {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.trace_id + self.span_id + self.parent_span_id
    }

    /// Counts a span with these ids. True when the span is good.
    pub(super) fn judge(&mut self, trace_id: &[u8], span_id: &[u8], parent_span_id: &[u8]) -> bool {
        let reason = if TraceId::from_bytes(trace_id).is_none() {
            &mut self.trace_id
        } else if SpanId::from_bytes(span_id).is_none() {
            &mut self.span_id
        } else if !matches!(parent_span_id.len(), 0 | 8) {
            &mut self.parent_span_id
        } else {
            return true;
        };
        *reason += 1;
        false
    }

    /// A sentence for the sender; empty when nothing was rejected.
    pub fn message(&self) -> String {
        let parts = [
            (self.trace_id, "a trace id that is not 16 bytes or all zero"),
            (self.span_id, "a span id that is not 8 bytes or all zero"),
            (self.parent_span_id, "a parent span id that is not 8 bytes"),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} with {what}"))
            .collect();
        match parts.as_slice() {
            [] => String::new(),
            parts => format!("spans rejected: {}", parts.join(", ")),
        }
    }
}

/// Checks an encoded `ExportTraceServiceRequest` and counts its spans.
pub fn scan(request: &[u8]) -> Result<Scanned, WireError> {
    let mut scanned = Scanned::default();
    walk(&REQUEST, request, request.len(), MAX_DEPTH, &mut scanned)?;
    Ok(scanned)
}

/// Walks `bytes`, which end at byte `end` of the request.
fn walk(
    message: &'static Message,
    bytes: &[u8],
    end: usize,
    depth: u32,
    scanned: &mut Scanned,
) -> Result<(), WireError> {
    // Ids of the span, if this is one. Of a repeated field the last counts, as protobuf has it.
    let mut ids: [&[u8]; 3] = [&[]; 3];
    let mut fields = Fields::with_groups(bytes, depth);
    loop {
        let (number, value) = match fields.try_next() {
            Ok(Some(Field { number, value })) => (number, value),
            Ok(None) => break,
            Err(error) => return Err(WireError::at(&fields, end, error)),
        };
        match (message.field(number), value) {
            (Some(Type::Varint), Value::Varint(_))
            | (Some(Type::Fixed32), Value::Fixed32(_))
            | (Some(Type::Fixed64), Value::Fixed64(_))
            | (Some(Type::Bytes), Value::Bytes(_)) => {}
            (Some(Type::Id(place)), Value::Bytes(bytes)) => ids[place] = bytes,
            (Some(Type::String), Value::Bytes(bytes)) => {
                if std::str::from_utf8(bytes).is_err() {
                    return Err(WireError::at(&fields, end, Fault::Utf8));
                }
            }
            (Some(Type::Message(_)), Value::Bytes(_)) | (None, _) if depth == 0 => {
                return Err(WireError::at(&fields, end, Fault::Depth));
            }
            (Some(Type::Message(inner)), Value::Bytes(bytes)) => {
                let end = end - fields.rest().len();
                walk(inner, bytes, end, depth - 1, scanned)?;
            }
            (Some(_), _) => return Err(WireError::at(&fields, end, Fault::WireType)),
            // Unknown fields are allowed: newer senders have them.
            (None, _) => {}
        }
    }
    if message.is_span {
        scanned.spans += 1;
        scanned.rejected.judge(ids[0], ids[1], ids[2]);
    }
    Ok(())
}

/// Numbers of the schema's fields are below this.
const NUMBERS: usize = 17;

/// A message of the schema: its fields by number, and whether it is a span.
pub(super) struct Message {
    fields: [Option<Type>; NUMBERS],
    is_span: bool,
}

impl Message {
    const fn of(fields: &[(usize, Type)]) -> Self {
        let mut by_number = [None; NUMBERS];
        let mut at = 0;
        while at < fields.len() {
            by_number[fields[at].0] = Some(fields[at].1);
            at += 1;
        }
        Self {
            fields: by_number,
            is_span: false,
        }
    }

    const fn span(self) -> Self {
        Self {
            is_span: true,
            ..self
        }
    }

    pub(super) fn field(&self, number: u32) -> Option<Type> {
        *self.fields.get(number as usize)?
    }
}

#[derive(Clone, Copy)]
pub(super) enum Type {
    Varint,
    Fixed32,
    Fixed64,
    Bytes,
    /// An id of a span: trace id, span id, parent span id.
    Id(usize),
    String,
    Message(&'static Message),
}

use Type::{Bytes, Fixed32, Fixed64, Id, Message as Msg, String as Str, Varint};

// opentelemetry/proto/{collector/trace,trace,resource,common}/v1, the parts that a trace request can hold.
pub(super) static REQUEST: Message = Message::of(&[(1, Msg(&RESOURCE_SPANS))]);
static RESOURCE_SPANS: Message =
    Message::of(&[(1, Msg(&RESOURCE)), (2, Msg(&SCOPE_SPANS)), (3, Str)]);
static RESOURCE: Message = Message::of(&[(1, Msg(&KEY_VALUE)), (2, Varint), (3, Msg(&ENTITY_REF))]);
static ENTITY_REF: Message = Message::of(&[(1, Str), (2, Str), (3, Str), (4, Str)]);
static SCOPE_SPANS: Message = Message::of(&[(2, Msg(&SPAN)), (1, Msg(&SCOPE)), (3, Str)]);
static SCOPE: Message = Message::of(&[(1, Str), (2, Str), (3, Msg(&KEY_VALUE)), (4, Varint)]);
static SPAN: Message = Message::of(&[
    (9, Msg(&KEY_VALUE)),
    (1, Id(0)),
    (2, Id(1)),
    (4, Id(2)),
    (5, Str),
    (6, Varint),
    (7, Fixed64),
    (8, Fixed64),
    (3, Str),
    (10, Varint),
    (11, Msg(&EVENT)),
    (12, Varint),
    (13, Msg(&LINK)),
    (14, Varint),
    (15, Msg(&STATUS)),
    (16, Fixed32),
])
.span();
static EVENT: Message = Message::of(&[(1, Fixed64), (2, Str), (3, Msg(&KEY_VALUE)), (4, Varint)]);
static LINK: Message = Message::of(&[
    (1, Bytes),
    (2, Bytes),
    (3, Str),
    (4, Msg(&KEY_VALUE)),
    (5, Varint),
    (6, Fixed32),
]);
static STATUS: Message = Message::of(&[(2, Str), (3, Varint)]);
static KEY_VALUE: Message = Message::of(&[(1, Str), (2, Msg(&ANY_VALUE)), (3, Varint)]);
static ANY_VALUE: Message = Message::of(&[
    (1, Str),
    (2, Varint),
    (3, Varint),
    (4, Fixed64),
    (5, Msg(&ARRAY)),
    (6, Msg(&KEY_VALUES)),
    (7, Bytes),
    (8, Varint),
]);
static ARRAY: Message = Message::of(&[(1, Msg(&ANY_VALUE))]);
static KEY_VALUES: Message = Message::of(&[(1, Msg(&KEY_VALUE))]);

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
