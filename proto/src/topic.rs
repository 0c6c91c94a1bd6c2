//! Topics and patterns: what is a valid one, and which pattern wants which topic.
//!
//! A topic is dot-separated segments of `[A-Za-z0-9_-]+`. In a pattern `*` stands for exactly one segment and a last
//! `>` for one or more, as in NATS; `a.>` does not match `a`.

/// Longest topic or pattern in bytes.
pub const TOPIC_MAX_LEN: usize = 255;
/// First segment of the topics on which agents await replies.
pub const INBOX: &str = "_inbox";
/// Longest agent id in bytes.
pub const AGENT_ID_MAX_LEN: usize = 128;
/// Longest name of a capability in bytes.
pub const CAPABILITY_MAX_LEN: usize = 128;

/// What is wrong with a topic, a pattern or a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    /// Nothing at all.
    #[error("it is empty; a topic looks like sensor.data")]
    Empty,
    /// Beyond [`TOPIC_MAX_LEN`].
    #[error("it has {0} bytes; at most {TOPIC_MAX_LEN} are allowed")]
    TooLong(usize),
    /// Two dots in a row, or a dot at an end.
    #[error("segment {number} is empty; look for a dot too many")]
    EmptySegment {
        /// From 1.
        number: usize,
    },
    /// A character that is not allowed.
    #[error(
        "segment {number} ({segment:?}) holds {character:?}; letters, digits, _ and - are allowed"
    )]
    Character {
        /// From 1.
        number: usize,
        /// The segment at fault.
        segment: String,
        /// The character at fault.
        character: char,
    },
    /// `*` or `>` in a topic.
    #[error("segment {number} is {wildcard:?}, which only a subscription's pattern may hold")]
    Wildcard {
        /// From 1.
        number: usize,
        /// `*` or `>`.
        wildcard: char,
    },
    /// `>` before the end of a pattern.
    #[error("segment {number} is \">\", which may only be the last one")]
    TailNotLast {
        /// From 1.
        number: usize,
    },
}

/// Whether a topic or pattern stands below [`INBOX`]: what comes there are replies, which need no credit.
pub fn is_inbox(pattern: &str) -> bool {
    pattern
        .strip_prefix(INBOX)
        .is_some_and(|below| below.starts_with('.'))
}

/// Checks a topic to publish on.
///
/// # Errors
/// Names the segment at fault.
pub fn validate_topic(topic: &str) -> Result<(), InvalidTopic> {
    validate(topic, |number, segment| match segment {
        "*" | ">" => Err(InvalidTopic::Wildcard {
            number,
            wildcard: if segment == "*" { '*' } else { '>' },
        }),
        _ => Ok(false),
    })
}

/// Checks a pattern to subscribe to.
///
/// # Errors
/// Names the segment at fault.
pub fn validate_pattern(pattern: &str) -> Result<(), InvalidTopic> {
    let last = pattern.split('.').count();
    validate(pattern, |number, segment| match segment {
        "*" => Ok(true),
        ">" if number == last => Ok(true),
        ">" => Err(InvalidTopic::TailNotLast { number }),
        _ => Ok(false),
    })
}

/// Whether there is a topic that two valid patterns both want.
pub fn overlap(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (Some(">"), Some(_)) | (Some(_), Some(">")) | (None, None) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            _ => return false,
        }
    }
}

/// Whether a valid pattern wants a valid topic.
pub fn matches(pattern: &str, topic: &str) -> bool {
    let mut topic = topic.split('.');
    let mut pattern = pattern.split('.');
    loop {
        match (pattern.next(), topic.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
}

/// Whether `id` may name an agent: `[A-Za-z0-9_.-]+`, at most [`AGENT_ID_MAX_LEN`] bytes.
pub fn is_valid_agent_id(id: &str) -> bool {
    is_name(id, AGENT_ID_MAX_LEN)
}

/// Whether `name` may name a capability: `[A-Za-z0-9_.-]+`, at most [`CAPABILITY_MAX_LEN`] bytes.
pub fn is_valid_capability(name: &str) -> bool {
    is_name(name, CAPABILITY_MAX_LEN)
}

fn is_name(name: &str, max: usize) -> bool {
    !name.is_empty() && name.len() <= max && name.bytes().all(|b| is_segment_byte(b) || b == b'.')
}

fn is_segment_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// `special` says whether a segment is fine although its characters are not.
fn validate(
    text: &str,
    special: impl Fn(usize, &str) -> Result<bool, InvalidTopic>,
) -> Result<(), InvalidTopic> {
    if text.is_empty() {
        return Err(InvalidTopic::Empty);
    }
    if text.len() > TOPIC_MAX_LEN {
        return Err(InvalidTopic::TooLong(text.len()));
    }
    for (at, segment) in text.split('.').enumerate() {
        let number = at + 1;
        if segment.is_empty() {
            return Err(InvalidTopic::EmptySegment { number });
        }
        if segment.bytes().all(is_segment_byte) || special(number, segment)? {
            continue;
        }
        let character = segment
            .chars()
            .find(|c| !(c.is_ascii() && is_segment_byte(*c as u8)));
        return Err(InvalidTopic::Character {
            number,
            segment: segment.to_owned(),
            character: character.unwrap_or_default(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_topics_and_patterns() {
        for topic in ["a", "sensor.data", "_inbox.01-ab.x", "A.b-c.D_9"] {
            assert_eq!(validate_topic(topic), Ok(()), "{topic}");
            assert_eq!(validate_pattern(topic), Ok(()), "{topic}");
        }
        for pattern in ["*", ">", "sensor.*", "sensor.>", "*.data.>", "*.*"] {
            assert_eq!(validate_pattern(pattern), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn an_inbox_is_below_its_first_segment() {
        for pattern in ["_inbox.a", "_inbox.>", "_inbox.*.b"] {
            assert!(is_inbox(pattern), "{pattern}");
        }
        for pattern in ["_inbox", "_inboxes.a", "a._inbox.b", ">", "*.a", ""] {
            assert!(!is_inbox(pattern), "{pattern}");
        }
    }

    #[test]
    fn the_segment_at_fault_is_named() {
        assert_eq!(validate_topic(""), Err(InvalidTopic::Empty));
        assert_eq!(
            validate_topic(&"a".repeat(256)),
            Err(InvalidTopic::TooLong(256))
        );
        assert_eq!(
            validate_topic("a..b"),
            Err(InvalidTopic::EmptySegment { number: 2 })
        );
        assert_eq!(
            validate_topic("a."),
            Err(InvalidTopic::EmptySegment { number: 2 })
        );
        assert_eq!(
            validate_topic("a.*"),
            Err(InvalidTopic::Wildcard {
                number: 2,
                wildcard: '*'
            })
        );
        assert_eq!(
            validate_pattern("a.>.b"),
            Err(InvalidTopic::TailNotLast { number: 2 })
        );
        for (text, character) in [("a.b c", ' '), ("a.*x", '*'), ("a.é", 'é'), ("a.x>", '>')] {
            for result in [validate_topic(text), validate_pattern(text)] {
                let Err(InvalidTopic::Character {
                    number: 2,
                    character: found,
                    ..
                }) = result
                else {
                    panic!("{text}: {result:?}");
                };
                assert_eq!(found, character);
            }
        }
    }

    #[test]
    fn patterns_overlap_where_a_topic_matches_both() {
        let words = |alphabet: &[&str], longest: usize| -> Vec<String> {
            let mut all: Vec<String> = Vec::new();
            let mut last = vec![String::new()];
            for _ in 0..longest {
                last = last
                    .iter()
                    .flat_map(|start| alphabet.iter().map(move |word| (start, word)))
                    .map(|(start, word)| format!("{start}.{word}").trim_matches('.').to_owned())
                    .collect();
                all.extend(last.iter().cloned());
            }
            all
        };
        let topics = words(&["a", "b"], 4);
        let mut patterns = words(&["a", "b", "*", ">"], 3);
        patterns.retain(|pattern| validate_pattern(pattern).is_ok());
        for one in &patterns {
            for other in &patterns {
                let mut both = topics.iter();
                let expected = both.any(|topic| matches(one, topic) && matches(other, topic));
                assert_eq!(overlap(one, other), expected, "{one} {other}");
            }
        }
    }

    #[test]
    fn patterns_match_as_in_nats() {
        for (pattern, topic, wanted) in [
            ("a.b", "a.b", true),
            ("a.b", "a.c", false),
            ("a.b", "a.b.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("*.b", "a.b", true),
            ("a.>", "a.b", true),
            ("a.>", "a.b.c.d", true),
            ("a.>", "a", false),
            (">", "a", true),
            (">", "a.b", true),
            ("*.*.>", "a.b", false),
            ("*.*.>", "a.b.c", true),
        ] {
            assert_eq!(matches(pattern, topic), wanted, "{pattern} {topic}");
        }
    }

    #[test]
    fn names_of_agents() {
        assert!(is_valid_agent_id("sensor-agent"));
        assert!(is_valid_agent_id("a.b_c-9"));
        assert!(!is_valid_agent_id(""));
        assert!(!is_valid_agent_id("a b"));
        assert!(!is_valid_agent_id(&"a".repeat(129)));
    }
}
