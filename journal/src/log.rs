//! The handle on a journal: append, wait for the commit, read, retain.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use loom_core::{JournalProgress as Progress, Ticket};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::blocks::Step;
use crate::config::LogConfig;
use crate::disk::{Directory, Disk};
use crate::error::{AppendError, OpenError, ReadError};
use crate::format::{Entries, Entry};
use crate::queue::Queue;
use crate::recovery::{self, Recovery};
use crate::segment::Segment;
use crate::writer::Writer;

/// A handle on a journal; clones are the same journal. The last one that goes closes it, and waits until all that was appended
/// is written.
#[derive(Clone, Debug)]
pub struct Log {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What handles and the writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) config: LogConfig,
    pub(crate) queue: Queue,
    /// Oldest first. The last one grows.
    pub(crate) segments: RwLock<VecDeque<Arc<Segment>>>,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place; each record has the next one.
    pub offset: u64,
    /// The time that it was appended with.
    pub unix_nano: u64,
    /// What was appended.
    pub body: Bytes,
}

/// What stands in the journal from some offset. Each offset from there to `next` is a record, damaged or released.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// In the order of their offsets.
    pub records: Vec<Record>,
    /// Offsets whose records cannot be read any more.
    pub damaged: Vec<Range<u64>>,
    /// Offsets before this were released by retention.
    pub released: u64,
    /// Where the next read goes on.
    pub next: u64,
}

impl Log {
    /// Opens the journal of a directory, or makes a new one, and starts its writer.
    ///
    /// # Errors
    /// Another process has it open, a file is none of a journal's, or the disk failed.
    pub fn open(path: &Path, config: LogConfig) -> Result<(Self, Recovery), OpenError> {
        Self::open_on(Arc::new(Directory::lock(path)?), config)
    }

    /// Opens a journal on any [`Disk`].
    ///
    /// # Errors
    /// A file is none of a journal's, or the disk failed.
    pub fn open_on(disk: Arc<dyn Disk>, config: LogConfig) -> Result<(Self, Recovery), OpenError> {
        let (segments, recovery) = recovery::open(&*disk, &config)?;
        let active = segments.last().cloned();
        let shared = Arc::new(Shared {
            disk,
            queue: Queue::new(config.queue_bytes, recovery.next),
            segments: RwLock::new(segments.into()),
            config,
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            active,
            is_sealed: false,
            next: recovery.next,
        };
        let writer = std::thread::Builder::new()
            .name("loom-journal".to_owned())
            .spawn(|| writer.run())
            .map_err(OpenError::io("start the writer's thread"))?;
        let inner = Inner {
            shared,
            writer: Mutex::new(Some(writer)),
        };
        let journal = Self {
            inner: Arc::new(inner),
        };
        Ok((journal, recovery))
    }

    /// Appends a record whose body is `parts`, one behind the other. Never waits: the record is in memory, and committed with
    /// all others that are there when the writer comes to it.
    ///
    /// # Errors
    /// It was not appended.
    pub fn append(&self, unix_nano: u64, parts: &[&[u8]]) -> Result<Ticket, AppendError> {
        self.shared().queue.append(unix_nano, parts)
    }

    /// What became of a record; `None` while that is open.
    pub fn outcome(&self, ticket: Ticket) -> Option<Result<(), AppendError>> {
        self.shared().queue.outcome(ticket)
    }

    /// Waits until a record is committed.
    ///
    /// # Errors
    /// It never will be.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn committed(&self, ticket: Ticket) -> Result<(), AppendError> {
        let mut progress = self.progress();
        loop {
            progress.borrow_and_update();
            if let Some(outcome) = self.outcome(ticket) {
                return outcome;
            }
            if progress.changed().await.is_err() {
                return Err(AppendError::Closed);
            }
        }
    }

    /// Changes with each commit, and with each that fails.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.shared().queue.progress()
    }

    /// One past the offset of the last committed record.
    pub fn end(&self) -> u64 {
        self.shared().queue.present().committed
    }

    /// Offset of the oldest record that is still there.
    pub fn begin(&self) -> u64 {
        let segments = self.shared().segments.read();
        segments
            .front()
            .map_or_else(|| self.end(), |segment| segment.header.base)
    }

    /// Reads committed records from offset `from` on: at least one if there is one, and no further one when there are
    /// `max_bytes` of them.
    ///
    /// # Errors
    /// The disk failed. Damage is no error: it is told beside the records.
    pub fn read(&self, from: u64, max_bytes: usize) -> Result<Read, ReadError> {
        let end = self.end();
        let begin = self.begin();
        let mut read = Read {
            released: begin,
            next: from.max(begin),
            ..Read::default()
        };
        let mut room = max_bytes.max(1);
        for segment in self.segments_from(read.next) {
            if room == 0 || read.next >= end {
                break;
            }
            if segment.header.base > read.next {
                read.damaged.push(read.next..segment.header.base);
                read.next = segment.header.base;
            }
            read_segment(&segment, end, &mut read, &mut room).map_err(|source| ReadError {
                segment: segment.name(),
                source,
            })?;
        }
        if room > 0 && read.next < end {
            read.damaged.push(read.next..end);
            read.next = end;
        }
        Ok(read)
    }

    /// Offset of the first record that is not older than this time; the end where all are.
    ///
    /// # Errors
    /// The disk failed.
    pub fn offset_at(&self, unix_nano: u64) -> Result<u64, ReadError> {
        const STEP: usize = 1024 * 1024;
        let mut next = {
            let segments = self.shared().segments.read();
            // The one before a segment that begins with this very time may end with it.
            let behind =
                segments.partition_point(|segment| segment.header.created_unix_nano < unix_nano);
            segments
                .get(behind.saturating_sub(1))
                .map_or(0, |segment| segment.header.base)
        };
        loop {
            let read = self.read(next, STEP)?;
            let found = read
                .records
                .iter()
                .find(|record| record.unix_nano >= unix_nano);
            if let Some(record) = found {
                return Ok(record.offset);
            }
            if read.next >= self.end() {
                return Ok(read.next);
            }
            next = read.next;
        }
    }

    /// Releases what the configuration does not keep at this time. Returns the offset of the oldest record that is left.
    pub fn retain(&self, now_unix_nano: u64) -> u64 {
        self.shared().retain(now_unix_nano);
        self.begin()
    }

    /// Where it is.
    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.shared().disk
    }

    /// Bytes on the disk.
    pub fn bytes(&self) -> u64 {
        let segments = self.shared().segments.read();
        segments.iter().map(|segment| segment.end()).sum()
    }

    fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// The segment that holds an offset, and those behind it.
    fn segments_from(&self, offset: u64) -> Vec<Arc<Segment>> {
        let segments = self.shared().segments.read();
        let behind = segments.partition_point(|segment| segment.header.base <= offset);
        segments
            .range(behind.saturating_sub(1)..)
            .cloned()
            .collect()
    }
}

/// Adds what a segment holds from `read.next` to `end`.
fn read_segment(
    segment: &Segment,
    end: u64,
    read: &mut Read,
    room: &mut usize,
) -> std::io::Result<()> {
    let mut blocks = segment.blocks_from(read.next)?;
    while let Some(step) = blocks.next()? {
        let Step::Block {
            header, records, ..
        } = step
        else {
            continue;
        };
        // Committed a moment after `end` was asked for.
        if header.base >= end {
            return Ok(());
        }
        if header.base > read.next {
            read.damaged.push(read.next..header.base);
            read.next = header.base;
        }
        for entry in Entries::of(&header, &records) {
            match entry {
                Entry::Damaged(offsets) if offsets.end > read.next => {
                    let damaged = offsets.start.max(read.next)..offsets.end.min(end);
                    read.next = damaged.end;
                    read.damaged.push(damaged);
                }
                Entry::Record {
                    offset,
                    unix_nano,
                    body,
                } if offset >= read.next && offset < end => {
                    *room = room.saturating_sub(body.len().max(1));
                    read.next = offset + 1;
                    read.records.push(Record {
                        offset,
                        unix_nano,
                        body: records.slice(body),
                    });
                }
                _ => {}
            }
            if *room == 0 || read.next >= end {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Shared {
    /// Removes whole segments, oldest first, as the configuration says. What cannot be removed stays, and is tried again.
    pub(crate) fn retain(&self, now_unix_nano: u64) {
        let LogConfig {
            max_age, max_bytes, ..
        } = &self.config;
        let mut segments = self.segments.write();
        let mut bytes: u64 = segments.iter().map(|segment| segment.end()).sum();
        while let (Some(oldest), Some(following)) = (segments.front(), segments.get(1)) {
            let age = now_unix_nano.saturating_sub(following.header.created_unix_nano);
            let is_old = max_age.is_some_and(|max| u128::from(age) > max.as_nanos());
            let is_much = max_bytes.is_some_and(|max| bytes > max);
            if !is_old && !is_much {
                return;
            }
            let name = oldest.name();
            if let Err(error) = self.disk.remove(&name) {
                tracing::warn!(%error, name, "a segment that is not kept any longer cannot be removed");
                return;
            }
            bytes -= oldest.end();
            segments.pop_front();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = self.writer.lock().take()
            && writer.join().is_err()
        {
            tracing::error!("the journal's writer has panicked");
        }
    }
}
