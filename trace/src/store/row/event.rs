//! The event that a span is about, as 16 bytes.

use std::fmt::Write as _;

use loom_proto::semconv::attribute;

use crate::model::{Span, Value};

/// A UUID.
pub(in crate::store) type Event = [u8; 16];

/// The event that a span is about, where its attributes name it by a UUID as it is usually written.
pub(in crate::store) fn event(span: &Span) -> Option<(&str, Event)> {
    let mut said = [attribute::EVENT_ID, attribute::EVENT]
        .into_iter()
        .filter_map(|key| span.attributes.get(key));
    let Some(Value::String(text)) = said.next() else {
        return None;
    };
    Some((text, uuid(text.as_bytes())?))
}

/// Where the digits of each byte of a UUID stand in its text.
const UUID_BYTES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// The bytes of `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` in lower case.
fn uuid(text: &[u8]) -> Option<Event> {
    let text: &[u8; 36] = text.try_into().ok()?;
    if [8, 13, 18, 23].into_iter().any(|at| text[at] != b'-') {
        return None;
    }
    let digit = |at: usize| match text[at] {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 16];
    for (byte, at) in bytes.iter_mut().zip(UUID_BYTES) {
        *byte = digit(at)? << 4 | digit(at + 1)?;
    }
    Some(bytes)
}

pub(super) fn uuid_text(bytes: Event) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        // Writing to a String does not fail.
        _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_uuid_comes_back(bytes in any::<Event>()) {
            prop_assert_eq!(uuid(uuid_text(bytes).as_bytes()), Some(bytes));
        }

        #[test]
        fn what_looks_like_a_uuid_is_kept_as_it_is(text in "[0-9a-fA-F-]{36}") {
            prop_assert!(uuid(text.as_bytes()).is_none_or(|bytes| uuid_text(bytes) == text));
        }
    }
}
