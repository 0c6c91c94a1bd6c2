//! A span in a list: when it began, and which it is.

use super::Entry;
use super::bytes::Reader;

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

    fn put(&self, _: &mut Vec<u8>) {}

    fn read(_: &mut Reader<'_>, (start_ns, id): (i64, i64)) -> Option<Self> {
        Some(Self { start_ns, id })
    }
}
