//! Words that a span holds.

use std::borrow::Cow;

use super::attribute::attribute_sets;
use crate::model::{Attributes, Span, Value};

/// Words of one search at most: each has a bit of a number.
const MAX_WORDS: usize = u16::BITS as usize;

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

    /// Whether a span holds all of them. Each text is read once: there may be many, and long ones.
    pub(crate) fn are_in(&self, span: &Span) -> bool {
        let mut missing = self.where_not(u16::MAX, |word| is_id(word, span));
        let events = span.events.iter().map(|event| event.name.as_str());
        let texts = [span.name.as_str(), span.status.message.as_str()];
        for text in texts.into_iter().chain(events) {
            missing = self.not_in(missing, text);
        }
        for (_, value) in attribute_sets(span).flat_map(Attributes::iter) {
            missing = match value {
                _ if missing == 0 => return true,
                Value::String(text) => self.not_in(missing, text),
                other => self.not_in(missing, &other.to_text()),
            };
        }
        missing == 0
    }

    /// Those of some words, a bit each, that are not in a text.
    fn not_in(&self, words: u16, text: &str) -> u16 {
        if words == 0 {
            return 0;
        }
        let lower = lowercase(text);
        self.where_not(words, |word| lower.contains(word))
    }

    fn where_not(&self, words: u16, is_found: impl Fn(&str) -> bool) -> u16 {
        let places = self.0.iter().enumerate();
        places
            .filter(|(at, word)| words & (1 << at) != 0 && !is_found(word))
            .fold(0, |left, (at, _)| left | 1 << at)
    }
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

fn lowercase(text: &str) -> Cow<'_, str> {
    if text
        .bytes()
        .any(|b| b.is_ascii_uppercase() || !b.is_ascii())
    {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
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
    fn as_many_words_as_there_may_be() {
        let mut span = span(1, 0, "w0", 0, 1);
        span.attributes.0 = (1..16)
            .map(|at| (format!("k{at}"), Value::from(format!("w{at}").as_str())))
            .collect();
        let all = |last: &str| {
            let first: Vec<_> = (0..15).map(|at| format!("w{at}")).collect();
            words(&format!("{} {last}", first.join(" ")))
        };
        assert!(all("w15").are_in(&span));
        assert!(!all("w16").are_in(&span));
    }

    #[test]
    fn none_and_too_many() {
        assert_eq!(Words::of(" \t\n"), Ok(None));
        assert!(Words::of(&"w ".repeat(16)).is_ok());
        assert_eq!(Words::of(&"w ".repeat(17)), Err(TooManyWords));
    }
}
