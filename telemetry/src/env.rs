//! How OpenTelemetry's environment variables are written.

/// A list of pairs that is not one. A whole variable is dropped for one fault, as the specification asks: half of
/// somebody's intention is worse than none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidList {
    /// A member has no `=` or no key.
    #[error("member {0} is not key=value; write key1=value1,key2=value2")]
    Pair(usize),
    /// A `%` is not followed by two hex digits, or what they spell is not UTF-8.
    #[error("member {0} is badly percent-encoded; write a percent sign as %25")]
    Encoding(usize),
}

/// The variable's value; an empty one counts as not set.
pub(crate) fn variable(get: impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    let value = get(name)?;
    let trimmed = value.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// A boolean: only `true`, in any case, is true.
#[cfg(feature = "export")]
pub(crate) fn is_true(get: impl Fn(&str) -> Option<String>, name: &str) -> bool {
    variable(get, name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// `key1=value1,key2=value2` with percent-encoded keys and values, in the form of W3C Baggage without properties.
/// Faults name the position of the member, never its text, which may be a secret.
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, String)>, InvalidList> {
    text.split(',')
        .map(str::trim)
        .enumerate()
        .filter(|(_, member)| !member.is_empty())
        .map(|(at, member)| {
            let (key, value) = member.split_once('=').ok_or(InvalidList::Pair(at + 1))?;
            let decoded = |text: &str| decode(text.trim()).ok_or(InvalidList::Encoding(at + 1));
            match decoded(key)? {
                key if key.is_empty() => Err(InvalidList::Pair(at + 1)),
                key => Ok((key, decoded(value)?)),
            }
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_is_read_as_the_specification_writes_it() {
        assert_eq!(
            pairs("api-key=a%20b%3D, tenant = x ,,last=1=2"),
            Ok(vec![
                ("api-key".to_owned(), "a b=".to_owned()),
                ("tenant".to_owned(), "x".to_owned()),
                ("last".to_owned(), "1=2".to_owned()),
            ])
        );
        assert_eq!(pairs(""), Ok(Vec::new()));
    }

    #[test]
    fn a_fault_is_found_and_its_text_is_not_told() {
        assert_eq!(pairs("a=1,secret"), Err(InvalidList::Pair(2)));
        assert_eq!(pairs("=1"), Err(InvalidList::Pair(1)));
        for bad in ["a=%", "a=%4", "a=%+1", "a=%zz", "a=%ff"] {
            assert_eq!(pairs(bad), Err(InvalidList::Encoding(1)), "{bad}");
        }
    }

    fn encoded(text: &str) -> String {
        let bytes: Vec<_> = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        bytes.concat()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(list in prop::collection::vec(("\\PC+", "\\PC*"), 0..5)) {
            let members = list.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value)));
            let text = members.collect::<Vec<_>>().join(",");
            prop_assert_eq!(pairs(&text), Ok(list));
        }

        #[test]
        fn nothing_panics(text in any::<String>()) {
            let _read = pairs(&text);
        }
    }
}
