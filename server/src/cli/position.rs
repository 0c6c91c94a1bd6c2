//! A place in a stream, as it is written on the command line.

use std::time::UNIX_EPOCH;

use loom_proto::v1;
use loom_proto::v1::position::At;

/// Reads a place in a stream.
pub(super) fn position(text: &str) -> Result<v1::Position, String> {
    let at = match text {
        "oldest" => At::Oldest(true),
        "next" => At::Next(true),
        _ => match (text.parse(), humantime::parse_rfc3339_weak(text)) {
            (Ok(offset), _) => At::Offset(offset),
            (_, Ok(time)) => {
                let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
                At::TimeUnixNano(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
            }
            _ => {
                return Err(format!(
                    "`{text}` is no place in a stream: write oldest, next, an offset, or a time like 2026-11-01T00:00:00Z"
                ));
            }
        },
    };
    Ok(v1::Position { at: Some(at) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_said_in_four_ways() {
        let at = |text| position(text).ok().and_then(|position| position.at);
        assert_eq!(at("oldest"), Some(At::Oldest(true)));
        assert_eq!(at("next"), Some(At::Next(true)));
        assert_eq!(at("1042"), Some(At::Offset(1042)));
        let second = At::TimeUnixNano(1_793_491_201_000_000_000);
        assert_eq!(at("2026-11-01T00:00:01Z"), Some(second));
        assert_eq!((at("yesterday"), at("-1"), at("")), (None, None, None));
    }
}
