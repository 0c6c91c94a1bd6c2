//! One file of the journal: which offsets it holds, and where they stand.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::blocks::{Blocks, Step};
use crate::disk::DiskFile;
use crate::format::{SEGMENT_HEADER, SegmentHeader};

const SUFFIX: &str = ".segment";
/// Distance of the marks of an index: what is read in vain at most, beside one block.
const MARK_BYTES: u64 = 64 * 1024;

/// A file of blocks.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Box<dyn DiskFile>,
    /// One past its last committed byte.
    end: AtomicU64,
    index: Mutex<Index>,
}

/// Where some of the blocks stand.
#[derive(Debug, Default)]
struct Index {
    marks: Vec<Mark>,
    /// All blocks were seen, or will be as they are written.
    is_complete: bool,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    offset: u64,
    at: u64,
}

/// The name of the segment that begins with this offset; names sort as their offsets do.
pub(crate) fn name(base: u64) -> String {
    format!("{base:020}{SUFFIX}")
}

/// The offset in the name of a segment; `None` for other files.
pub(crate) fn base_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    if digits.len() != 20 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

impl Segment {
    /// A segment whose blocks end at `end`. A new one is indexed as it grows; an old one when it is first read.
    pub(crate) fn new(header: SegmentHeader, file: Box<dyn DiskFile>, end: u64) -> Self {
        let is_complete = end == SEGMENT_HEADER as u64;
        Self {
            header,
            file,
            end: AtomicU64::new(end),
            index: Mutex::new(Index {
                marks: Vec::new(),
                is_complete,
            }),
        }
    }

    pub(crate) fn name(&self) -> String {
        name(self.header.base)
    }

    /// One past its last committed byte.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// A block was committed behind the others.
    pub(crate) fn grown(&self, offset: u64, to: u64) {
        let at = self.end.load(Ordering::Acquire);
        let mut index = self.index.lock();
        if index.is_complete {
            index.mark(offset, at);
        }
        drop(index);
        self.end.store(to, Ordering::Release);
    }

    /// What stands behind `end` is no block.
    pub(crate) fn cut(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Walks the blocks from the last mark that is not behind `offset`.
    pub(crate) fn blocks_from(&self, offset: u64) -> io::Result<Blocks<'_>> {
        let mut index = self.index.lock();
        if !index.is_complete {
            self.complete(&mut index)?;
        }
        let begin = Mark {
            offset: self.header.base,
            at: SEGMENT_HEADER as u64,
        };
        let behind = index.marks.partition_point(|mark| mark.offset <= offset);
        let mark = behind.checked_sub(1).map_or(begin, |at| index.marks[at]);
        drop(index);
        Ok(Blocks::new(
            &*self.file,
            mark.at,
            self.end(),
            mark.offset.min(offset),
        ))
    }

    fn complete(&self, index: &mut Index) -> io::Result<()> {
        index.marks.clear();
        let mut blocks = Blocks::new(
            &*self.file,
            SEGMENT_HEADER as u64,
            self.end(),
            self.header.base,
        );
        while let Some(step) = blocks.next()? {
            if let Step::Block { header, at, .. } = step {
                index.mark(header.base, at);
            }
        }
        index.is_complete = true;
        Ok(())
    }
}

impl Index {
    fn mark(&mut self, offset: u64, at: u64) {
        let is_far = self
            .marks
            .last()
            .is_none_or(|last| at - last.at >= MARK_BYTES);
        if is_far {
            self.marks.push(Mark { offset, at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_offset() {
        assert_eq!(base_of(&name(42)), Some(42));
        assert_eq!(base_of(&name(u64::MAX)), Some(u64::MAX));
        for other in [
            "lock",
            "42.segment",
            "0000000000000000004x.segment",
            "99999999999999999999.segment",
        ] {
            assert_eq!(base_of(other), None, "{other}");
        }
    }
}
