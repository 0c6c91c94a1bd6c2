//! How far a group has come, as a file. Little-endian.
//!
//! | bytes | |
//! | --- | --- |
//! | 8 | `LOOMCUR1` |
//! | 4 | CRC-32C of the bytes behind |
//! | 8 | where the group began |
//! | 8 | floor: every offset before it is settled |
//! | 16 each | begin and end of what is settled beyond |

use loom_core::Cursor;

const MAGIC: [u8; 8] = *b"LOOMCUR1";
const HEADER: usize = 12;

/// Name of the file. Names of groups are letters, digits, `_`, `.` and `-`.
pub(crate) fn name(group: &str) -> String {
    format!("{group}.cursor")
}

pub(crate) fn encode(cursor: &Cursor) -> Vec<u8> {
    let mut body = cursor.began.to_le_bytes().to_vec();
    body.extend_from_slice(&cursor.floor.to_le_bytes());
    for range in &cursor.settled {
        body.extend_from_slice(&range.start.to_le_bytes());
        body.extend_from_slice(&range.end.to_le_bytes());
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    bytes.append(&mut body);
    bytes
}

/// The cursor of these bytes; `None` where they are damaged.
pub(crate) fn decode(bytes: &[u8]) -> Option<Cursor> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    let (magic, crc) = header.split_at(MAGIC.len());
    if magic != MAGIC || crc != crc32c::crc32c(body).to_le_bytes() {
        return None;
    }
    let mut numbers = body
        .chunks_exact(8)
        .map(|chunk| chunk.try_into().map(u64::from_le_bytes));
    let began = numbers.next()?.ok()?;
    let floor = numbers.next()?.ok()?;
    let rest: Vec<u64> = numbers.collect::<Result<_, _>>().ok()?;
    let settled = rest.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
    Some(Cursor {
        began,
        floor,
        settled,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_else(began: u64, floor: u64, settled in prop::collection::vec(any::<(u64, u64)>(), 0..9), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let settled = settled.into_iter().map(|(begin, end)| begin..end).collect();
            let cursor = Cursor { began, floor, settled };
            let mut bytes = encode(&cursor);
            prop_assert_eq!(decode(&bytes), Some(cursor));
            let at = at.index(bytes.len());
            prop_assert_eq!(decode(&bytes[..at]), None);
            bytes[at] ^= flip;
            prop_assert_eq!(decode(&bytes), None);
        }
    }
}
