//! A span in a list: when it began, and which it is.

use loom_proto::wire::put_varint;

use super::bytes::{Reader, put_signed};
use super::{Entry, first};

/// A span in a list. Sorted as lists are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Posting {
    /// Its start, ns since the Unix epoch.
    pub(crate) start_ns: i64,
    /// `spans.id`
    pub(crate) id: i64,
}

impl Entry for Posting {
    const TABLE: &'static str = "postings";

    fn place(&self) -> (i64, i64) {
        (self.start_ns, self.id)
    }

    /// How many, and of each how much later it began than the one before it and how far its id is from that one's.
    fn pack(entries: &[Self], block: i64, body: &mut Vec<u8>) {
        put_varint(body, entries.len() as u64);
        let mut last = Self {
            start_ns: 0,
            id: first(block),
        };
        for entry in entries {
            put_signed(body, entry.start_ns.wrapping_sub(last.start_ns));
            put_signed(body, entry.id - last.id);
            last = *entry;
        }
    }

    fn unpack(body: &[u8], block: i64, entries: &mut Vec<Self>) -> Option<()> {
        let mut body = Reader(body);
        while !body.is_empty() {
            let mut last = Self {
                start_ns: 0,
                id: first(block),
            };
            for _ in 0..body.varint()? {
                last.start_ns = last.start_ns.wrapping_add(body.signed()?);
                last.id = last.id.checked_add(body.signed()?)?;
                entries.push(last);
            }
        }
        Some(())
    }
}
