//! Texts and lists of spans that are done with, kept for their room.
//!
//! Spans of one request are much alike: where they are read one after the other, hardly one needs memory that the one before it
//! did not.

use std::mem;

use crate::model::{Attributes, Identity, Span, Value};

/// Texts that are kept at most.
const MOST: usize = 256;
/// What has room for more bytes is not kept.
const LONGEST: usize = 4096;

/// What is taken last is given first, so that a text gets the room of the one that stood in its place.
#[derive(Debug, Default)]
pub(super) struct Spare {
    texts: Vec<String>,
    attributes: Attributes,
}

impl Spare {
    /// The text, to be kept.
    #[inline]
    pub(super) fn own(&mut self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let mut own = self.texts.pop().unwrap_or_default();
        own.push_str(text);
        own
    }

    /// An empty list.
    pub(super) fn list(&mut self) -> Attributes {
        mem::take(&mut self.attributes)
    }

    /// Takes a text that nobody needs.
    #[inline]
    pub(super) fn take(&mut self, mut text: String) {
        if (1..=LONGEST).contains(&text.capacity()) && self.texts.len() < MOST {
            text.clear();
            self.texts.push(text);
        }
    }

    /// Takes what a span has that nobody needs, from its end to its beginning.
    pub(super) fn take_span(&mut self, span: Span) {
        self.take(span.status.message);
        self.take(span.name);
        self.take(span.trace_state);
        self.take_identity(span.identity);
        let mut attributes = span.attributes;
        for (key, value) in attributes.0.drain(..).rev() {
            // The key is taken over behind its value.
            self.take(key);
            if let Value::String(text) = value {
                self.take(text);
            }
        }
        self.attributes = attributes;
    }

    /// Takes what an identity says.
    pub(super) fn take_identity(&mut self, identity: Identity) {
        let Identity {
            agent,
            workflow,
            session,
            user,
            tenant,
            thread,
        } = identity;
        let said = [thread, tenant, user, session, workflow, agent];
        for text in said.into_iter().flatten() {
            self.take(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_last_is_given_first_and_empty() {
        let mut spare = Spare::default();
        for text in ["long enough for any", "short"] {
            spare.take(text.to_owned());
        }
        let first = spare.own("a");
        let second = spare.own("b");
        assert_eq!((first.as_str(), second.as_str()), ("a", "b"));
        assert!(first.capacity() < second.capacity());
    }

    #[test]
    fn neither_long_texts_are_kept_nor_many() {
        let mut spare = Spare::default();
        spare.take("x".repeat(LONGEST + 1));
        spare.take(String::new());
        assert_eq!(spare.texts.len(), 0);
        for _ in 0..=MOST {
            spare.take("x".repeat(LONGEST));
        }
        assert_eq!(spare.texts.len(), MOST);
    }
}
