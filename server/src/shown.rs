//! Moments and payloads as people and scripts read them.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A moment as people and scripts read it.
pub(crate) fn time(unix_nano: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(unix_nano)).to_string()
}

/// The payload is JSON where it is JSON, text where it is text, else hex; the key says which.
pub(crate) fn payload(bytes: &[u8]) -> (&'static str, Value) {
    match (
        serde_json::from_slice::<Value>(bytes),
        std::str::from_utf8(bytes),
    ) {
        (Ok(json), _) => ("payload", json),
        (_, Ok(text)) => ("payload_text", text.into()),
        _ => ("payload_hex", hex(bytes).into()),
    }
}

/// A payload as a part of an answer: one of these, or none.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Payload)]
pub(crate) struct PayloadOf {
    /// It is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Value>,
    /// It is text, and no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    payload_text: Option<String>,
    /// It is neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    payload_hex: Option<String>,
}

impl PayloadOf {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        match payload(bytes) {
            ("payload_text", Value::String(text)) => Self {
                payload_text: Some(text),
                ..Self::default()
            },
            ("payload_hex", Value::String(hex)) => Self {
                payload_hex: Some(hex),
                ..Self::default()
            },
            (_, json) => Self {
                payload: Some(json),
                ..Self::default()
            },
        }
    }
}

/// Two lower-case digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from_digit(four.into(), 16).unwrap_or('?');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)])
        .collect()
}
