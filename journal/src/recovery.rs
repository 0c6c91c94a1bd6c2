//! From the files of a directory to a journal that goes on where it ended.
//!
//! Only the newest segment is read; of the others, the headers. What a commit left that did not come to its end is cut off:
//! nobody was told that it was there.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::blocks::{Blocks, Step};
use crate::config::LogConfig;
use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::format::{BLOCK_HEADER, Entries, Entry, SEGMENT_HEADER, SegmentHeader};
use crate::segment::{Segment, base_of, name};

/// What was found when a journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments found.
    pub segments: usize,
    /// Offset of the next record.
    pub next: u64,
    /// Bytes of a commit that did not come to its end, cut off.
    pub torn_bytes: u64,
    /// Offsets in the newest segment that cannot be read. Damage in older ones shows when they are read.
    pub damaged: Vec<Range<u64>>,
}

/// The segments, oldest first, and what was found.
pub(crate) fn open(
    disk: &dyn Disk,
    config: &LogConfig,
) -> Result<(Vec<Arc<Segment>>, Recovery), OpenError> {
    let names = disk
        .list()
        .map_err(OpenError::io("list the journal's directory"))?;
    let mut bases: Vec<u64> = names.iter().filter_map(|name| base_of(name)).collect();
    bases.sort_unstable();

    let mut segments = Vec::with_capacity(bases.len());
    let mut recovery = Recovery::default();
    for (index, base) in bases.iter().copied().enumerate() {
        let name = name(base);
        let is_newest = index + 1 == bases.len();
        let file = disk
            .open(&name)
            .map_err(OpenError::io(format!("open {name}")))?;
        let size = file.size().map_err(OpenError::io(format!("read {name}")))?;
        let Some(header) = header(&*file, &name, base)? else {
            if !is_newest {
                let reason = "its header is missing";
                return Err(OpenError::NotASegment { name, reason });
            }
            // The power went between making the file and writing its header: it has no record.
            disk.remove(&name)
                .map_err(OpenError::io(format!("remove {name}")))?;
            recovery.torn_bytes += size;
            break;
        };
        segments.push(Arc::new(Segment::new(header, file, size)));
    }
    if let Some(newest) = segments.last() {
        let failed = OpenError::io(format!("recover {}", newest.name()));
        recover(newest, config, &mut recovery).map_err(failed)?;
    }
    recovery.segments = segments.len();
    Ok((segments, recovery))
}

/// The header of a segment; `None` where none was written.
fn header(file: &dyn DiskFile, name: &str, base: u64) -> Result<Option<SegmentHeader>, OpenError> {
    let mut bytes = [0; SEGMENT_HEADER];
    let read = file
        .read_at(&mut bytes, 0)
        .map_err(OpenError::io(format!("read {name}")))?;
    match SegmentHeader::decode(&bytes[..read]) {
        Some(header) if header.base == base => Ok(Some(header)),
        Some(_) => Err(OpenError::NotASegment {
            name: name.to_owned(),
            reason: "its name is that of another one",
        }),
        None if bytes.iter().all(|byte| *byte == 0) => Ok(None),
        None => Err(OpenError::NotASegment {
            name: name.to_owned(),
            reason: "its header is damaged",
        }),
    }
}

/// Checks every record of the newest segment, and cuts off what is not whole.
fn recover(segment: &Segment, config: &LogConfig, recovery: &mut Recovery) -> io::Result<()> {
    let (file, size) = (&*segment.file, segment.end());
    let base = segment.header.base;
    let mut blocks = Blocks::new(file, SEGMENT_HEADER as u64, size, base);
    let (mut end, mut next) = (SEGMENT_HEADER as u64, base);
    // The last block with damage, while nothing is known to stand behind it.
    let mut suspect: Option<(u64, u64, Vec<Range<u64>>)> = None;
    while let Some(step) = blocks.next()? {
        match step {
            Step::Hole => {}
            Step::Tail { bytes } => recovery.torn_bytes += bytes,
            Step::Block {
                header,
                at,
                records,
            } => {
                if let Some((_, _, damaged)) = suspect.take() {
                    recovery.damaged.extend(damaged);
                }
                if header.base > next {
                    recovery.damaged.push(next..header.base);
                }
                let damaged: Vec<_> = Entries::of(&header, &records)
                    .filter_map(|entry| match entry {
                        Entry::Damaged(offsets) => Some(offsets),
                        Entry::Record { .. } => None,
                    })
                    .collect();
                if !damaged.is_empty() {
                    suspect = Some((at, next.max(header.base), damaged));
                }
                end = at + (BLOCK_HEADER + records.len()) as u64;
                next = header.end();
            }
        }
    }
    // Nothing stands behind it, not even a seal: a commit that did not come to its end.
    if let Some((at, before, _)) = suspect {
        recovery.torn_bytes += end - at;
        (end, next) = (at, before);
    }
    recovery.next = next;
    file.resize(end)?;
    file.sync()?;
    // Room on the disk is taken beforehand where there is some; the first append will tell where there is none.
    if file.allocate(config.segment_bytes.max(end)).is_err() {
        file.resize(end)?;
    }
    segment.cut(end);
    Ok(())
}
