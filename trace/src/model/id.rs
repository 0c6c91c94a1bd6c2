//! Trace and span ids: bytes inside, lower-case hex outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// Why a text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Empty, or more digits than the id has.
    #[error("an id of this kind has 1 to {max} hex digits, got {got}")]
    Length {
        /// Digits that the id has.
        max: usize,
        /// Characters that were given.
        got: usize,
    },
    /// Something else than a hex digit.
    #[error("an id has hex digits only")]
    Digit,
    /// Every digit is zero, which W3C Trace Context calls invalid.
    #[error("an id of zeros only is invalid")]
    Zero,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $digits:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The id of these bytes; `None` when the length is wrong or all are zero.
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let bytes: [u8; $bytes] = bytes.try_into().ok()?;
                (bytes != [0; $bytes]).then_some(Self(bytes))
            }

            /// Its bytes, the most significant first.
            pub fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Any case; fewer digits are padded with zeros on the left, as Jaeger does.
            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $bytes];
                parse_hex(text, &mut bytes)?;
                Self::from_bytes(&bytes).ok_or(IdError::Zero)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .pattern(Some(concat!("^[0-9a-fA-F]{1,", $digits, "}$")))
                    .description(Some(concat!($digits, " digits, in lower case where Loom writes it")))
                    .into()
            }
        }

        impl ToSchema for $name {}

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// 16 bytes, at least one of them not zero.
    TraceId,
    16,
    32
);
id!(
    /// 8 bytes, at least one of them not zero.
    SpanId,
    8,
    16
);

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // The longest id has 16 bytes.
    let mut text = [0; 32];
    for (digits, byte) in text.chunks_exact_mut(2).zip(bytes) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
    f.write_str(str::from_utf8(&text[..2 * bytes.len()]).map_err(|_| fmt::Error)?)
}

/// Fills `out` from the right with the hex digits of `text`.
fn parse_hex(text: &str, out: &mut [u8]) -> Result<(), IdError> {
    let max = out.len() * 2;
    if text.is_empty() || text.len() > max {
        return Err(IdError::Length {
            max,
            got: text.chars().count(),
        });
    }
    for (place, digit) in text.bytes().rev().enumerate() {
        let value = char::from(digit).to_digit(16).ok_or(IdError::Digit)? as u8;
        let byte = out.len() - 1 - place / 2;
        out[byte] |= value << (4 * (place % 2));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_on_the_left_and_prints_lower_case() {
        let id: TraceId = "ABC".parse().expect("three digits are enough");
        assert_eq!(id.to_string(), "00000000000000000000000000000abc");
        let id: SpanId = "00f067aa0ba902b7".parse().expect("a full id");
        assert_eq!(id.to_string(), "00f067aa0ba902b7");
    }

    #[test]
    fn refuses_what_is_no_id() {
        let cases = [
            ("", IdError::Length { max: 16, got: 0 }),
            ("11111111111111111", IdError::Length { max: 16, got: 17 }),
            ("xyz", IdError::Digit),
            ("+1", IdError::Digit),
            ("ä", IdError::Digit),
            ("0000000000000000", IdError::Zero),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<SpanId>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn bytes_of_the_wrong_length_or_all_zero_are_no_id() {
        assert_eq!(SpanId::from_bytes(&[1; 7]), None);
        assert_eq!(SpanId::from_bytes(&[0; 8]), None);
        assert!(TraceId::from_bytes(&[1; 16]).is_some());
    }
}
