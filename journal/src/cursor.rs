//! How far a group has come, as a file. Little-endian.
//!
//! | bytes | |
//! | --- | --- |
//! | 8 | `LOOMCUR2` |
//! | 4 | CRC-32C of these 8 bytes and of those behind |
//! | 8 | where the group began |
//! | 8 | floor: every offset before it is settled |
//! | 4 | number of ranges |
//! | 16 each | begin and end of what is settled beyond |
//! | | events that were tried, to the end of the file |
//!
//! An event that was tried:
//!
//! | bytes | |
//! | --- | --- |
//! | 8 | its offset |
//! | 4 | attempts begun |
//! | 8 | span id of the last of them; zero for none |
//! | 1 | 0: to be tried again; 1: in hand; 2: given up |
//! | 8 | to be tried again not before this time, in nanoseconds since the Unix epoch; else zero |
//! | 2 | number of failed attempts |
//!
//! and behind it each failed attempt:
//!
//! | bytes | |
//! | --- | --- |
//! | 4 | its number |
//! | 8 | its span id; zero for none |
//! | 8 | when it was over, in nanoseconds since the Unix epoch |
//! | 2 | length of what it said |
//! | | what it said, in UTF-8 |
//!
//! `LOOMCUR1`, which former versions wrote, is read too: there the checksum is of the bytes behind alone, the ranges have no number,
//! and go to the end of the file.

use std::ops::Range;

use loom_core::{Cursor, FailedAttempt, Stage, Tried};
use loom_proto::trace_context::SpanId;

const FORMER_MAGIC: [u8; 8] = *b"LOOMCUR1";
const MAGIC: [u8; 8] = *b"LOOMCUR2";
const HEADER: usize = 12;

/// Name of the file. Names of groups are letters, digits, `_`, `.` and `-`.
pub(crate) fn name(group: &str) -> String {
    format!("{group}.cursor")
}

/// The group whose file has this name; `None` for other files.
pub(crate) fn group(file: &str) -> Option<&str> {
    file.strip_suffix(".cursor")
}

pub(crate) fn encode(cursor: &Cursor) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[0; HEADER - MAGIC.len()]);
    bytes.extend_from_slice(&cursor.began.to_le_bytes());
    bytes.extend_from_slice(&cursor.floor.to_le_bytes());
    // A group remembers 65,536 offsets.
    bytes.extend_from_slice(&(cursor.settled.len() as u32).to_le_bytes());
    for range in &cursor.settled {
        bytes.extend_from_slice(&range.start.to_le_bytes());
        bytes.extend_from_slice(&range.end.to_le_bytes());
    }
    for tried in &cursor.tried {
        encode_tried(tried, &mut bytes);
    }
    let crc = checksum(MAGIC, &bytes[HEADER..]);
    bytes[MAGIC.len()..HEADER].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn encode_tried(tried: &Tried, into: &mut Vec<u8>) {
    let (stage, not_before) = match tried.stage {
        Stage::Again { not_before } => (0, not_before),
        Stage::InHand => (1, 0),
        Stage::GivenUp => (2, 0),
    };
    into.extend_from_slice(&tried.offset.to_le_bytes());
    into.extend_from_slice(&tried.attempts.to_le_bytes());
    into.extend_from_slice(&tried.span.0);
    into.push(stage);
    into.extend_from_slice(&not_before.to_le_bytes());
    // Of an event 16 attempts are remembered, each with up to 1024 bytes.
    into.extend_from_slice(&(tried.failed.len() as u16).to_le_bytes());
    for attempt in &tried.failed {
        into.extend_from_slice(&attempt.number.to_le_bytes());
        into.extend_from_slice(&attempt.span.0);
        into.extend_from_slice(&attempt.unix_nano.to_le_bytes());
        into.extend_from_slice(&(attempt.error.len() as u16).to_le_bytes());
        into.extend_from_slice(attempt.error.as_bytes());
    }
}

/// The cursor of these bytes; `None` where they are damaged.
pub(crate) fn decode(bytes: &[u8]) -> Option<Cursor> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    let (magic, crc) = header.split_at(MAGIC.len());
    let (magic, crc) = (magic.try_into().ok()?, crc.try_into().ok()?);
    if checksum(magic, body) != u32::from_le_bytes(crc) {
        return None;
    }
    let mut rest = Bytes(body);
    let mut cursor = Cursor {
        began: rest.u64()?,
        floor: rest.u64()?,
        ..Cursor::default()
    };
    if magic == FORMER_MAGIC {
        while !rest.0.is_empty() {
            cursor.settled.push(rest.range()?);
        }
    } else if magic == MAGIC {
        for _ in 0..rest.u32()? {
            cursor.settled.push(rest.range()?);
        }
        while !rest.0.is_empty() {
            cursor.tried.push(rest.tried()?);
        }
    } else {
        return None;
    }
    Some(cursor)
}

fn checksum(magic: [u8; 8], body: &[u8]) -> u32 {
    // The former one did not have its name in it, and one version must not be taken for the other.
    let name = if magic == FORMER_MAGIC {
        &[][..]
    } else {
        &magic
    };
    crc32c::crc32c_append(crc32c::crc32c(name), body)
}

/// What is left to be decoded.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (slice, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(slice)
    }

    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        self.slice(LENGTH)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    fn range(&mut self) -> Option<Range<u64>> {
        Some(self.u64()?..self.u64()?)
    }

    fn tried(&mut self) -> Option<Tried> {
        let (offset, attempts) = (self.u64()?, self.u32()?);
        let span = SpanId(self.array()?);
        let [stage] = self.array()?;
        let not_before = self.u64()?;
        let stage = match stage {
            0 => Stage::Again { not_before },
            1 if not_before == 0 => Stage::InHand,
            2 if not_before == 0 => Stage::GivenUp,
            _ => return None,
        };
        let failed = (0..self.u16()?).map(|_| self.failed());
        Some(Tried {
            offset,
            attempts,
            span,
            stage,
            failed: failed.collect::<Option<_>>()?,
        })
    }

    fn failed(&mut self) -> Option<FailedAttempt> {
        let number = self.u32()?;
        let span = SpanId(self.array()?);
        let unix_nano = self.u64()?;
        let length = self.u16()?;
        let error = std::str::from_utf8(self.slice(length.into())?).ok()?;
        Some(FailedAttempt {
            number,
            error: error.to_owned(),
            span,
            unix_nano,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn failed() -> impl Strategy<Value = FailedAttempt> {
        let parts = (any::<u32>(), "\\PC{0,40}", any::<[u8; 8]>(), any::<u64>());
        parts.prop_map(|(number, error, span, unix_nano)| FailedAttempt {
            number,
            error,
            span: SpanId(span),
            unix_nano,
        })
    }

    fn tried() -> impl Strategy<Value = Tried> {
        let stage = prop_oneof![
            any::<u64>().prop_map(|not_before| Stage::Again { not_before }),
            Just(Stage::InHand),
            Just(Stage::GivenUp),
        ];
        let parts = (
            any::<u64>(),
            any::<u32>(),
            any::<[u8; 8]>(),
            stage,
            vec(failed(), 0..4),
        );
        parts.prop_map(|(offset, attempts, span, stage, failed)| Tried {
            offset,
            attempts,
            span: SpanId(span),
            stage,
            failed,
        })
    }

    fn cursor() -> impl Strategy<Value = Cursor> {
        let settled = vec(
            any::<(u64, u64)>().prop_map(|(begin, end)| begin..end),
            0..9,
        );
        let parts = (any::<u64>(), any::<u64>(), settled, vec(tried(), 0..4));
        parts.prop_map(|(began, floor, settled, tried)| Cursor {
            began,
            floor,
            settled,
            tried,
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_else(cursor in cursor(), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let mut bytes = encode(&cursor);
            prop_assert_eq!(decode(&bytes), Some(cursor));
            let at = at.index(bytes.len());
            prop_assert_eq!(decode(&bytes[..at]), None);
            bytes[at] ^= flip;
            prop_assert_eq!(decode(&bytes), None);
        }

        /// The checksum is right and the rest is not: another version wrote it.
        #[test]
        fn what_is_no_cursor_is_refused_without_a_panic(
            cursor in cursor(),
            wrong in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            length in any::<prop::sample::Index>(),
        ) {
            let mut bytes = encode(&cursor);
            for (at, byte) in wrong {
                let at = HEADER + at.index(bytes.len() - HEADER);
                bytes[at] = byte;
            }
            bytes.truncate(HEADER + length.index(bytes.len() - HEADER + 1));
            let crc = checksum(MAGIC, &bytes[HEADER..]).to_le_bytes();
            bytes[MAGIC.len()..HEADER].copy_from_slice(&crc);
            if let Some(cursor) = decode(&bytes) {
                prop_assert_eq!(encode(&cursor), bytes);
            }
        }

        #[test]
        fn one_version_is_not_taken_for_the_other(cursor in cursor()) {
            let mut bytes = encode(&cursor);
            bytes[..MAGIC.len()].copy_from_slice(&FORMER_MAGIC);
            prop_assert_eq!(decode(&bytes), None);
        }
    }

    #[test]
    fn what_a_former_version_wrote_is_read() {
        let body = [3_u64, 5, 7, 9, 11, 12].map(u64::to_le_bytes).concat();
        let crc = crc32c::crc32c(&body).to_le_bytes();
        let mut bytes = [&FORMER_MAGIC[..], &crc, &body].concat();
        let expected = Cursor {
            began: 3,
            floor: 5,
            settled: vec![7..9, 11..12],
            tried: Vec::new(),
        };
        assert_eq!(decode(&bytes), Some(expected));
        bytes[..8].copy_from_slice(&MAGIC);
        assert_eq!(decode(&bytes), None);
    }
}
