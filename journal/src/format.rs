//! The bytes of a segment. Little-endian.
//!
//! A segment is a header and blocks. A block is what one commit wrote; behind the last block a segment is zeros.
//!
//! | segment header | |
//! | --- | --- |
//! | 8 | `LOOMJNL1` |
//! | 8 | offset of the first record |
//! | 8 | when it was made, in nanoseconds since the Unix epoch |
//! | 4 | CRC-32C of the bytes before |
//!
//! | block header | |
//! | --- | --- |
//! | 4 | `LMBK` |
//! | 4 | CRC-32C of the bytes behind |
//! | 8 | offset of the first record |
//! | 4 | bytes of its records |
//! | 4 | number of its records; 0 in the seal of a segment that is complete |
//!
//! | record | |
//! | --- | --- |
//! | 4 | bytes of the body |
//! | 4 | CRC-32C of offset, time, length and body |
//! | 8 | time, in nanoseconds since the Unix epoch |
//! | | body |
//!
//! The checksum of a record covers its offset, which is not written: a record that stands at a wrong place is damaged, not
//! another event. A flipped bit costs one record where the length of the others can still be trusted.

use std::ops::Range;

pub(crate) const SEGMENT_HEADER: usize = 28;
pub(crate) const BLOCK_HEADER: usize = 24;
pub(crate) const RECORD_HEADER: usize = 16;

const SEGMENT_MAGIC: [u8; 8] = *b"LOOMJNL1";
pub(crate) const BLOCK_MAGIC: [u8; 4] = *b"LMBK";

/// What precedes the blocks of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) base: u64,
    pub(crate) created_unix_nano: u64,
}

/// What precedes the records of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub(crate) base: u64,
    pub(crate) bytes: u32,
    pub(crate) count: u32,
}

/// What stands at the place of one record, or of some.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Record {
        offset: u64,
        unix_nano: u64,
        /// Where its body stands among the bytes of the block's records.
        body: Range<usize>,
    },
    Damaged(Range<u64>),
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

impl SegmentHeader {
    pub(crate) fn encode(self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..16].copy_from_slice(&self.base.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.created_unix_nano.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..24]);
        bytes[24..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let header = Self {
            base: u64_at(bytes, 8)?,
            created_unix_nano: u64_at(bytes, 16)?,
        };
        (header.encode() == bytes.get(..SEGMENT_HEADER)?).then_some(header)
    }
}

impl BlockHeader {
    pub(crate) fn encode(self) -> [u8; BLOCK_HEADER] {
        let mut bytes = [0; BLOCK_HEADER];
        bytes[..4].copy_from_slice(&BLOCK_MAGIC);
        bytes[8..16].copy_from_slice(&self.base.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[20..].copy_from_slice(&self.count.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let header = Self {
            base: u64_at(bytes, 8)?,
            bytes: u32_at(bytes, 16)?,
            count: u32_at(bytes, 20)?,
        };
        let is_possible = header.base.checked_add(u64::from(header.count)).is_some();
        (is_possible && header.encode() == bytes.get(..BLOCK_HEADER)?).then_some(header)
    }

    /// One past the offset of the last record.
    pub(crate) fn end(&self) -> u64 {
        self.base + u64::from(self.count)
    }
}

fn checksum(offset: u64, unix_nano: u64, body: &[u8]) -> u32 {
    let mut head = [0; 20];
    head[..8].copy_from_slice(&offset.to_le_bytes());
    head[8..16].copy_from_slice(&unix_nano.to_le_bytes());
    head[16..].copy_from_slice(&(body.len() as u32).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&head), body)
}

/// Appends a record whose body is `parts`, one behind the other.
pub(crate) fn put_record(to: &mut Vec<u8>, offset: u64, unix_nano: u64, parts: &[&[u8]]) {
    let at = to.len();
    to.extend_from_slice(&[0; RECORD_HEADER]);
    for part in parts {
        to.extend_from_slice(part);
    }
    let body = at + RECORD_HEADER;
    let crc = checksum(offset, unix_nano, &to[body..]);
    let len = (to.len() - body) as u32;
    to[at..at + 4].copy_from_slice(&len.to_le_bytes());
    to[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
    to[at + 8..body].copy_from_slice(&unix_nano.to_le_bytes());
}

/// The entries of a block. Together they cover each of its offsets once.
#[derive(Debug)]
pub(crate) struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    offset: u64,
    end: u64,
}

impl<'a> Entries<'a> {
    pub(crate) fn of(header: &BlockHeader, bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            offset: header.base,
            end: header.end(),
        }
    }

    /// The record at the present place; `None` where its length leads out of the block.
    fn read(&self) -> Option<(u64, Range<usize>, bool)> {
        let len = u32_at(self.bytes, self.at)? as usize;
        let crc = u32_at(self.bytes, self.at + 4)?;
        let unix_nano = u64_at(self.bytes, self.at + 8)?;
        let begin = self.at + RECORD_HEADER;
        let body = begin..begin.checked_add(len)?;
        let is_whole = checksum(self.offset, unix_nano, self.bytes.get(body.clone())?) == crc;
        Some((unix_nano, body, is_whole))
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.offset >= self.end {
            return None;
        }
        let offset = self.offset;
        let Some((unix_nano, body, is_whole)) = self.read() else {
            self.offset = self.end;
            return Some(Entry::Damaged(offset..self.end));
        };
        self.offset += 1;
        self.at = body.end;
        Some(if is_whole {
            Entry::Record {
                offset,
                unix_nano,
                body,
            }
        } else {
            Entry::Damaged(offset..offset + 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(base: u64, bodies: &[Vec<u8>]) -> (BlockHeader, Vec<u8>) {
        let mut bytes = Vec::new();
        for (body, offset) in bodies.iter().zip(base..) {
            put_record(&mut bytes, offset, offset * 10, &[body]);
        }
        let header = BlockHeader {
            base,
            bytes: bytes.len() as u32,
            count: bodies.len() as u32,
        };
        (header, bytes)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(base in 0_u64..1 << 60, bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let (header, bytes) = block(base, &bodies);
            prop_assert_eq!(BlockHeader::decode(&header.encode()), Some(header));
            let mut read = Vec::new();
            for entry in Entries::of(&header, &bytes) {
                let Entry::Record { offset, unix_nano, body } = entry else {
                    panic!("nothing is damaged");
                };
                prop_assert_eq!(unix_nano, offset * 10);
                prop_assert_eq!(offset, base + read.len() as u64);
                read.push(bytes[body].to_vec());
            }
            prop_assert_eq!(read, bodies);
        }

        #[test]
        fn a_flipped_bit_is_never_read_as_another_record(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..20),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let (header, mut bytes) = block(7, &bodies);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let mut covered = 7;
            let mut damaged = 0;
            for entry in Entries::of(&header, &bytes) {
                match entry {
                    Entry::Record { offset, body, .. } => {
                        prop_assert_eq!(offset, covered);
                        prop_assert_eq!(&bytes[body], &bodies[(offset - 7) as usize][..]);
                        covered += 1;
                    }
                    Entry::Damaged(offsets) => {
                        prop_assert_eq!(offsets.start, covered);
                        damaged += offsets.end - offsets.start;
                        covered = offsets.end;
                    }
                }
            }
            prop_assert_eq!(covered, header.end());
            prop_assert!(damaged >= 1);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0..50_u32) {
            BlockHeader::decode(&bytes);
            SegmentHeader::decode(&bytes);
            let header = BlockHeader { base: 0, bytes: bytes.len() as u32, count };
            prop_assert!(Entries::of(&header, &bytes).count() <= count as usize);
        }
    }

    #[test]
    fn a_header_with_a_flipped_bit_is_none() {
        let header = SegmentHeader {
            base: 5,
            created_unix_nano: 6,
        };
        assert_eq!(SegmentHeader::decode(&header.encode()), Some(header));
        for bit in 0..SEGMENT_HEADER * 8 {
            let mut bytes = header.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bytes), None);
        }
        let header = BlockHeader {
            base: 5,
            bytes: 6,
            count: 7,
        };
        for bit in 0..BLOCK_HEADER * 8 {
            let mut bytes = header.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BlockHeader::decode(&bytes), None);
        }
    }
}
