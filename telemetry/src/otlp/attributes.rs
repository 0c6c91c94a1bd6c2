//! Attributes: `KeyValue` and `AnyValue`.

use super::wire::{TINY, Writer, delimited_tag, varint_len};
use crate::record::Value;

/// Values nest no deeper. A reader of protobuf stops at 100 messages, and one level of a map takes three.
pub(super) const MAX_DEPTH: usize = 16;

mod field {
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
    pub(super) const TEXT: u32 = 1;
    pub(super) const BOOL: u32 = 2;
    pub(super) const INT: u32 = 3;
    pub(super) const DOUBLE: u32 = 4;
    pub(super) const ARRAY: u32 = 5;
    pub(super) const MAP: u32 = 6;
    pub(super) const BYTES: u32 = 7;
    /// Of `ArrayValue` and `KeyValueList`.
    pub(super) const MEMBERS: u32 = 1;
}

/// Writes all pairs as `field` of the open message; returns how many could not be, because their key is no text.
pub(super) fn write(writer: &mut Writer, field: u32, pairs: &[(Value, Value)]) -> u32 {
    write_pairs(writer, field, pairs, MAX_DEPTH)
}

/// One attribute with a text, given as its UTF-8: by far the most frequent, so its lengths are computed, not guessed.
#[inline]
pub(super) fn write_text(writer: &mut Writer, field: u32, key: &str, value: &[u8]) {
    let any = 2 + value.len();
    let pair = 2 + key.len() + 2 + any;
    if pair < 0x80 && !key.is_empty() {
        // Every length takes one byte: the frame around key and value is eight bytes, written as two pieces.
        let (pair, any) = (pair as u8, any as u8);
        let (key_len, value_len) = (key.len() as u8, value.len() as u8);
        writer.raw(&[
            delimited_tag(field),
            pair,
            delimited_tag(field::KEY),
            key_len,
        ]);
        writer.raw(key.as_bytes());
        let text = delimited_tag(field::TEXT);
        writer.raw(&[delimited_tag(field::VALUE), any, text, value_len]);
        writer.raw(value);
        return;
    }
    open_pair(writer, field, key, delimited(value.len()));
    writer.bytes(field::TEXT, value);
}

/// One attribute with a whole number.
#[inline]
pub(super) fn write_int(writer: &mut Writer, field: u32, key: &str, value: i64) {
    open_pair(writer, field, key, 1 + varint_len(value as u64));
    writer.number(field::INT, value as u64);
}

/// Writes the attribute `key`, which is true.
#[inline]
pub(super) fn write_truth(writer: &mut Writer, field: u32, key: &str) {
    open_pair(writer, field, key, 1 + varint_len(1));
    writer.number(field::BOOL, 1);
}

/// Everything of a pair up to the inside of its `AnyValue`, which is `any` bytes long.
#[inline]
fn open_pair(writer: &mut Writer, field: u32, key: &str, any: usize) {
    // prost leaves out an empty key, and so do we; OTLP forbids it anyway.
    let key_field = if key.is_empty() {
        0
    } else {
        delimited(key.len())
    };
    writer.message_of(field, key_field + delimited(any));
    writer.text(field::KEY, key);
    writer.message_of(field::VALUE, any);
}

/// Size of a length-delimited field whose number is below 16.
#[inline]
const fn delimited(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

fn write_pairs(writer: &mut Writer, field: u32, pairs: &[(Value, Value)], depth: usize) -> u32 {
    let mut unwritten = 0;
    for (key, value) in pairs {
        match (key.as_str(), value) {
            (None, _) => unwritten += 1,
            (Some(key), Value::Int(number)) => write_int(writer, field, key, *number),
            (Some(key), value) => match value.as_str() {
                Some(text) => write_text(writer, field, key, text.as_bytes()),
                None => writer.message(field, TINY, |writer| {
                    writer.text(field::KEY, key);
                    writer.message(field::VALUE, TINY, |writer| write_any(writer, value, depth));
                }),
            },
        }
    }
    unwritten
}

/// The inside of an `AnyValue`. Below the deepest level it stays empty, which OTLP reads as "no value".
fn write_any(writer: &mut Writer, value: &Value, depth: usize) {
    match value {
        Value::Static(text) => writer.bytes(field::TEXT, text.as_bytes()),
        Value::Shared(text) => writer.bytes(field::TEXT, text.as_bytes()),
        Value::Text(text) => writer.bytes(field::TEXT, text.as_bytes()),
        Value::Bool(truth) => writer.number(field::BOOL, u64::from(*truth)),
        Value::Int(number) => writer.number(field::INT, *number as u64),
        Value::Double(number) => writer.double(field::DOUBLE, *number),
        Value::Bytes(bytes) => writer.bytes(field::BYTES, bytes),
        Value::Array(_) | Value::Map(_) if depth == 0 => {}
        Value::Array(values) => writer.message(field::ARRAY, TINY, |writer| {
            for value in values {
                writer.message(field::MEMBERS, TINY, |writer| {
                    write_any(writer, value, depth - 1);
                });
            }
        }),
        Value::Map(pairs) => writer.message(field::MAP, TINY, |writer| {
            // A map has no place for a count of what it lacks.
            let _unwritten = write_pairs(writer, field::MEMBERS, pairs, depth - 1);
        }),
    }
}
