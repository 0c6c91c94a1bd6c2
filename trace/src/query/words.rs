//! Words that a span holds.

use std::borrow::Cow;

use super::attribute::places;
use crate::model::{Attributes, Span, Value};

/// Words of one search at most.
const MAX_WORDS: usize = 16;

/// Every one of these must be in one span: in its name, the value of an attribute wherever it stands, the name of an event, the
/// message of its status or one of its ids. Upper and lower case are alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Words(Vec<String>);

/// A text of more words than are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at most {MAX_WORDS} words")]
pub struct TooManyWords;

impl Words {
    /// The words of a text; `None` when it has none.
    ///
    /// # Errors
    /// There are more than 16.
    pub fn of(text: &str) -> Result<Option<Self>, TooManyWords> {
        let words: Vec<_> = text.split_whitespace().map(str::to_lowercase).collect();
        match words.len() {
            0 => Ok(None),
            1..=MAX_WORDS => Ok(Some(Self(words))),
            _ => Err(TooManyWords),
        }
    }

    /// Whether a span holds all of them.
    pub(crate) fn are_in(&self, span: &Span) -> bool {
        self.0.iter().all(|word| {
            is_in(word, &span.name)
                || is_in(word, &span.status.message)
                || is_id(word, span)
                || span.events.iter().any(|event| is_in(word, &event.name))
                || places(span).any(|attributes| is_in_any(word, attributes))
        })
    }
}

fn is_in_any(word: &str, attributes: &Attributes) -> bool {
    attributes.iter().any(|(_, value)| match value {
        Value::String(text) => is_in(word, text),
        other => is_in(word, &other.to_text()),
    })
}

/// A whole id: part of one would be found by chance.
fn is_id(word: &str, span: &Span) -> bool {
    let is = |bytes: &[u8]| {
        let digit = |at: usize| {
            let digit = bytes[at / 2] >> (4 * (1 - at % 2)) & 15;
            char::from_digit(digit.into(), 16)
        };
        word.len() == bytes.len() * 2
            && word.chars().enumerate().all(|(at, c)| digit(at) == Some(c))
    };
    is(span.span_id.as_bytes()) || is(span.trace_id.as_bytes())
}

/// Whether a lower-case word is in a text.
fn is_in(word: &str, text: &str) -> bool {
    let text = if text
        .bytes()
        .any(|b| b.is_ascii_uppercase() || !b.is_ascii())
    {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    };
    text.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Event;
    use crate::testing::span;

    fn words(text: &str) -> Words {
        Words::of(text).expect("few").expect("some")
    }

    #[test]
    fn every_word_counts_wherever_it_stands() {
        let mut span = span(0xabc, 0, "agent.on_event", 0, 1)
            .of("Processor")
            .failed("bad Ärger");
        span.attributes.0 = vec![
            ("topic".to_owned(), Value::from("sensor.data")),
            ("retries".to_owned(), Value::Int(42)),
        ];
        span.events.push(Event {
            time_ns: 1,
            name: "exception".to_owned(),
            attributes: [("exception.type", Value::from("ValueError"))]
                .into_iter()
                .collect(),
            dropped_attributes: 0,
        });
        for text in [
            "on_event",
            "exception valueerror",
            "ON_EVENT",
            "processor sensor",
            "ärger",
            "42 BAD",
            "0000000000000abc",
            "01010101010101010101010101010101",
            "  data  ",
        ] {
            assert!(words(text).are_in(&span), "{text}");
        }
        for text in ["topic", "sensor output", "0abc", "on_event 43"] {
            assert!(!words(text).are_in(&span), "{text}");
        }
    }

    #[test]
    fn none_and_too_many() {
        assert_eq!(Words::of(" \t\n"), Ok(None));
        assert!(Words::of(&"w ".repeat(16)).is_ok());
        assert_eq!(Words::of(&"w ".repeat(17)), Err(TooManyWords));
    }
}
