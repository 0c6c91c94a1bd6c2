//! Attributes and their values.

use std::mem;

use loom_proto::wire::Value::{Bytes, Fixed64, Varint};

use super::message::Message;
use super::spare::Spare;
use crate::model::{Attributes, Value};
use crate::otlp::number::{any_value, array_value, key_value, key_value_list};
use crate::otlp::wire::WireError;

/// Reads a `KeyValue` from field `number` of its owner and puts it behind the others.
#[inline]
pub(super) fn attribute<'a>(
    owner: &Message<'a>,
    number: u32,
    bytes: &'a [u8],
    attributes: &mut Attributes,
    spare: &mut Spare,
) -> Result<(), WireError> {
    owner.reserve(&mut attributes.0, number);
    attributes.0.push(pair(owner.inner(bytes)?, spare)?);
    Ok(())
}

/// The key of a `KeyValue`, unchecked.
#[inline]
pub(super) fn key(mut message: Message<'_>) -> Result<&[u8], WireError> {
    let mut key: &[u8] = &[];
    while let Some(field) = message.next()? {
        if let (key_value::KEY, Bytes(bytes)) = field {
            key = bytes;
        }
    }
    Ok(key)
}

/// Reads a `KeyValue`.
pub(super) fn pair(
    mut message: Message<'_>,
    spare: &mut Spare,
) -> Result<(String, Value), WireError> {
    let mut key = "";
    let mut value = Value::Empty;
    while let Some(field) = message.next()? {
        match field {
            (key_value::KEY, Bytes(bytes)) => key = message.text(bytes)?,
            (key_value::VALUE, Bytes(bytes)) => merge(message.inner(bytes)?, &mut value, spare)?,
            // The index into a string table belongs to profiles.
            (key_value::KEY_STRINDEX, Varint(_)) => {}
            (number, _) => message.skip(number, key_value::KNOWN)?,
        }
    }
    Ok((spare.own(key), value))
}

/// Reads an `AnyValue` into the value that the same field had before: the last one counts, but lists and maps grow.
fn merge(mut message: Message<'_>, value: &mut Value, spare: &mut Spare) -> Result<(), WireError> {
    while let Some(field) = message.next()? {
        match field {
            (any_value::STRING_VALUE, Bytes(bytes)) => {
                *value = Value::String(spare.own(message.text(bytes)?));
            }
            (any_value::BOOL_VALUE, Varint(number)) => *value = Value::Bool(number != 0),
            (any_value::INT_VALUE, Varint(number)) => *value = Value::Int(number.cast_signed()),
            (any_value::DOUBLE_VALUE, Fixed64(bits)) => {
                *value = Value::Double(f64::from_bits(bits));
            }
            (any_value::ARRAY_VALUE, Bytes(bytes)) => {
                let before = mem::replace(value, Value::Empty);
                *value = Value::Array(array(message.inner(bytes)?, before, spare)?);
            }
            (any_value::KVLIST_VALUE, Bytes(bytes)) => {
                let before = mem::replace(value, Value::Empty);
                *value = Value::Map(map(message.inner(bytes)?, before, spare)?);
            }
            (any_value::BYTES_VALUE, Bytes(bytes)) => *value = Value::Bytes(bytes.to_owned()),
            // As above: in a span it is to be taken as absent.
            (any_value::STRING_VALUE_STRINDEX, Varint(_)) => *value = Value::Empty,
            (number, _) => message.skip(number, any_value::KNOWN)?,
        }
    }
    Ok(())
}

/// An array behind what the same field held before.
fn array(
    mut message: Message<'_>,
    before: Value,
    spare: &mut Spare,
) -> Result<Vec<Value>, WireError> {
    let mut values = match before {
        Value::Array(values) => values,
        _ => Vec::new(),
    };
    while let Some(field) = message.next()? {
        match field {
            (array_value::VALUES, Bytes(bytes)) => {
                let mut value = Value::Empty;
                merge(message.inner(bytes)?, &mut value, spare)?;
                message.reserve(&mut values, array_value::VALUES);
                values.push(value);
            }
            (number, _) => message.skip(number, array_value::KNOWN)?,
        }
    }
    Ok(values)
}

/// A map behind what the same field held before.
fn map(
    mut message: Message<'_>,
    before: Value,
    spare: &mut Spare,
) -> Result<Attributes, WireError> {
    let mut pairs = match before {
        Value::Map(pairs) => pairs,
        _ => Attributes::default(),
    };
    while let Some(field) = message.next()? {
        match field {
            (key_value_list::VALUES, Bytes(bytes)) => {
                attribute(&message, key_value_list::VALUES, bytes, &mut pairs, spare)?;
            }
            (number, _) => message.skip(number, key_value_list::KNOWN)?,
        }
    }
    Ok(pairs)
}
