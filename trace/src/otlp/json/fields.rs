//! The scalar fields of OTLP/JSON, each with the forms in which senders write it.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// proto3's JSON mapping takes both alphabets, with or without padding.
const FORGIVING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, FORGIVING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, FORGIVING);

/// Bytes written as hex, the form of OTLP's ids.
pub(super) struct Hex(Vec<u8>);

/// Bytes written as base64, the form of `bytesValue`.
pub(super) struct Base64(Vec<u8>);

/// A double, or one of the texts `NaN`, `Infinity`, `-Infinity`.
pub(super) struct Float(f64);

/// An enum's number, or its protobuf name.
pub(super) struct Enum<N>(i32, PhantomData<N>);

/// An integer as a number or as text.
pub(super) struct Integer<T>(T);

pub(super) type Int32 = Integer<i32>;
pub(super) type Int64 = Integer<i64>;
pub(super) type Uint32 = Integer<u32>;
pub(super) type Uint64 = Integer<u64>;

/// Names of an enum's values by number.
pub(super) trait Names {
    const NAMES: &'static [&'static str];
}

/// Names of `SpanKind`.
pub(super) struct Kind;

/// Names of `StatusCode`.
pub(super) struct Code;

impl Names for Kind {
    const NAMES: &'static [&'static str] = &[
        "SPAN_KIND_UNSPECIFIED",
        "SPAN_KIND_INTERNAL",
        "SPAN_KIND_SERVER",
        "SPAN_KIND_CLIENT",
        "SPAN_KIND_PRODUCER",
        "SPAN_KIND_CONSUMER",
    ];
}

impl Names for Code {
    const NAMES: &'static [&'static str] =
        &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];
}

impl From<Hex> for Vec<u8> {
    fn from(hex: Hex) -> Self {
        hex.0
    }
}

impl From<Base64> for Vec<u8> {
    fn from(base64: Base64) -> Self {
        base64.0
    }
}

impl From<Float> for f64 {
    fn from(float: Float) -> Self {
        float.0
    }
}

impl<N> From<Enum<N>> for i32 {
    fn from(number: Enum<N>) -> Self {
        number.0
    }
}

macro_rules! from_integer {
    ($($type:ty),*) => {$(
        impl From<Integer<$type>> for $type {
            fn from(integer: Integer<$type>) -> Self {
                integer.0
            }
        }
    )*};
}

from_integer!(i32, i64, u32, u64);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Scalar::deserialize(deserializer)?.text()?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(D::Error::custom("hex with an odd number of digits"));
        };
        pairs
            .iter()
            .map(|&[high, low]| Some((digit(high)? * 16 + digit(low)?) as u8))
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| D::Error::custom("not hex"))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Scalar::deserialize(deserializer)?.text()?;
        let engine = if text.contains(['-', '_']) {
            URL_SAFE
        } else {
            STANDARD
        };
        engine.decode(text).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Scalar::deserialize(deserializer)? {
            Scalar::Signed(number) => number as f64,
            Scalar::Unsigned(number) => number as f64,
            Scalar::Float(number) => number,
            Scalar::Text(text) => text.parse().map_err(D::Error::custom)?,
        }))
    }
}

impl<'de, N: Names> Deserialize<'de> for Enum<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scalar = Scalar::deserialize(deserializer)?;
        let by_name = |text: &str| (0..).zip(N::NAMES).find(|(_, name)| **name == text);
        let number = match &scalar {
            Scalar::Text(text) => match by_name(text) {
                Some((number, _)) => number,
                None => scalar.integer()?,
            },
            _ => scalar.integer()?,
        };
        Ok(Self(number, PhantomData))
    }
}

impl<'de, T> Deserialize<'de> for Integer<T>
where
    T: TryFrom<i64> + TryFrom<u64> + FromStr<Err: fmt::Display>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Scalar::deserialize(deserializer)?.integer().map(Self)
    }
}

/// Any JSON number or text.
enum Scalar {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
}

impl Scalar {
    fn text<E: Error>(self) -> Result<String, E> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(E::custom("expected text")),
        }
    }

    fn integer<T, E>(&self) -> Result<T, E>
    where
        T: TryFrom<i64> + TryFrom<u64> + FromStr<Err: fmt::Display>,
        E: Error,
    {
        let range = || E::custom("integer out of range");
        match self {
            Self::Signed(number) => T::try_from(*number).map_err(|_| range()),
            Self::Unsigned(number) => T::try_from(*number).map_err(|_| range()),
            // 1.0 and 1e3 are integers in JSON.
            Self::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                T::try_from(*number as i64).map_err(|_| range())
            }
            Self::Float(_) => Err(E::custom("expected an integer")),
            Self::Text(text) => text.parse().map_err(E::custom),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or text")
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Signed(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Unsigned(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }
}
