//! Attribute values with their OTLP types, and the JSON in which the store keeps them.
//!
//! The JSON is plain where JSON can say it, so that people can query it with SQLite's own functions, and lossless where
//! it cannot: `{"$bytes": base64}`, `{"$double": "NaN"}`, and `{"$map": {..}}` for a map that looks like one of these.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An attribute without a value.
    Empty,
    /// UTF-8 text.
    String(String),
    /// True or false.
    Bool(bool),
    /// 64-bit signed integer.
    Int(i64),
    /// 64-bit float, NaN and infinities included.
    Double(f64),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// A list, possibly of mixed types.
    Array(Vec<Value>),
    /// Named values.
    Map(Attributes),
}

impl Value {
    /// The text by which a search compares: strings as they are, everything else as JSON.
    pub fn to_text(&self) -> String {
        match self {
            Self::String(text) => text.clone(),
            Self::Bytes(bytes) => BASE64.encode(bytes),
            Self::Double(number) if !number.is_finite() => number.to_string(),
            other => to_json(other),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

/// Named values in the order in which they came. Keys should be unique; of equal keys the first one counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes(pub Vec<(String, Value)>);

impl Attributes {
    /// The value of that key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// All pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>> FromIterator<(K, Value)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.into(), v)).collect())
    }
}

const SAYS_NOTHING_ELSE: &str =
    "our own types have text as keys, so there is nothing in them that JSON cannot say";

/// JSON text of anything made of our own model types.
pub fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect(SAYS_NOTHING_ELSE)
}

/// The same behind what is there already.
pub(crate) fn append_json<T: Serialize>(value: &T, json: &mut Vec<u8>) {
    serde_json::to_writer(json, value).expect(SAYS_NOTHING_ELSE);
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Empty => serializer.serialize_unit(),
            Self::String(text) => serializer.serialize_str(text),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Double(number) if number.is_finite() => serializer.serialize_f64(*number),
            Self::Double(number) => one_entry(serializer, "$double", &number.to_string()),
            Self::Bytes(bytes) => one_entry(serializer, "$bytes", &BASE64.encode(bytes)),
            Self::Array(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(value)?;
                }
                list.end()
            }
            Self::Map(map) if map.0.first().is_some_and(|(k, _)| k.starts_with('$')) => {
                one_entry(serializer, "$map", map)
            }
            Self::Map(map) => map.serialize(serializer),
        }
    }
}

fn one_entry<S: Serializer>(
    serializer: S,
    key: &str,
    value: &impl Serialize,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AttributesVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Empty)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map(Value::Int).map_err(E::custom)
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Double(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Some(first) = map.next_key::<String>()? else {
            return Ok(Value::Map(Attributes::default()));
        };
        let value = match first.as_str() {
            // Its inside is a map whatever its keys look like.
            "$map" => Value::Map(map.next_value()?),
            "$double" => {
                let text: String = map.next_value()?;
                Value::Double(text.parse().map_err(de::Error::custom)?)
            }
            "$bytes" => {
                let text: String = map.next_value()?;
                Value::Bytes(BASE64.decode(text).map_err(de::Error::custom)?)
            }
            marker if marker.starts_with('$') => {
                return Err(de::Error::custom(format!("unknown marker {marker:?}")));
            }
            _ => {
                let mut pairs = vec![(first, map.next_value()?)];
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                return Ok(Value::Map(Attributes(pairs)));
            }
        };
        match map.next_key::<String>()? {
            None => Ok(value),
            Some(key) => Err(de::Error::custom(format!("{key:?} beside a marker"))),
        }
    }
}

struct AttributesVisitor;

impl<'de> Visitor<'de> for AttributesVisitor {
    type Value = Attributes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Attributes(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Empty),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            // NaN is not equal to itself, so it has a test of its own.
            any::<f64>()
                .prop_filter("not NaN", |d| !d.is_nan())
                .prop_map(Value::Double),
            "\\PC{0,12}".prop_map(Value::String),
            proptest::collection::vec(any::<u8>(), 0..12).prop_map(Value::Bytes),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::vec(("[$a-z]{0,8}", inner), 0..4)
                    .prop_map(|pairs| Value::Map(Attributes(pairs))),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_keeps_every_value_and_its_type(value in values()) {
            let json = to_json(&value);
            let back: Value = serde_json::from_str(&json).expect(&json);
            prop_assert_eq!(back, value);
        }
    }

    #[test]
    fn nan_survives() {
        let json = to_json(&Value::Double(f64::NAN));
        assert_eq!(json, r#"{"$double":"NaN"}"#);
        let back: Value = serde_json::from_str(&json).expect("own JSON");
        assert!(matches!(back, Value::Double(d) if d.is_nan()));
    }

    #[test]
    fn plain_values_are_plain_json() {
        let attributes: Attributes = [
            ("i", Value::Int(1)),
            ("d", Value::Double(1.0)),
            ("s", Value::from("x")),
        ]
        .into_iter()
        .collect();
        assert_eq!(to_json(&attributes), r#"{"i":1,"d":1.0,"s":"x"}"#);
    }
}
