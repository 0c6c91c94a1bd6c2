//! The log of a stream, as the bus sees it: durable in the crate `journal`, or [in memory](MemoryJournal). What is said here
//! about the disk means whatever keeps the events.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::event::Event;

mod memory;
mod tried;

pub use memory::{MemoryConfig, MemoryJournal};
pub use tried::{FailedAttempt, Stage, Tried};

/// Keeps the events of one stream.
pub trait Journal: fmt::Debug + Send + Sync {
    /// Appends an event with its present trace context. Never waits: [`outcome`](Self::outcome) tells when the disk has it.
    ///
    /// # Errors
    /// It was not appended.
    fn append(&self, event: &Event) -> Result<Ticket, JournalError>;

    /// What became of an event; `None` while that is open.
    fn outcome(&self, ticket: Ticket) -> Option<Result<(), JournalError>>;

    /// Changes with each commit, and with each that fails.
    fn progress(&self) -> watch::Receiver<JournalProgress>;

    /// Reads committed events from offset `from` on: at least one if there is one, and no further one when there are
    /// `max_bytes` of them. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The disk failed. Damage is no error: it is told beside the events.
    fn read(&self, from: u64, max_bytes: usize) -> Result<JournalRead, JournalError>;

    /// Offset of the first event that is not older than this time. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The disk failed.
    fn offset_at(&self, unix_nano: u64) -> Result<u64, JournalError>;

    /// How far a group had come when it was last saved; `None` for a group that was not there before. Blocks for as long as
    /// the disk takes.
    ///
    /// # Errors
    /// The disk failed, or what it holds is damaged.
    fn load_cursor(&self, group: &str) -> Result<Option<Cursor>, JournalError>;

    /// The names under which something is kept by [`save_cursor`](Self::save_cursor). Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The disk failed.
    fn cursors(&self) -> Result<Vec<String>, JournalError>;

    /// Keeps how far a group has come, in place of what was kept before. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The disk failed; what was kept before still is.
    fn save_cursor(&self, group: &str, cursor: &Cursor) -> Result<(), JournalError>;

    /// Releases the oldest events, as far as they are not kept any longer at this time. Blocks for as long as the disk takes.
    fn retain(&self, now_unix_nano: u64);

    /// Offset of the oldest event that is still there.
    fn begin(&self) -> u64;

    /// One past the offset of the last committed event.
    fn end(&self) -> u64;

    /// Where its events are.
    fn storage(&self) -> Storage;
}

/// Where events are kept, and so what they survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// In files: they survive the end of the server.
    #[default]
    Disk,
    /// In the server's memory: they end with it, and so does how far groups have come.
    Memory,
}

/// An event that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Changes when a commit fails: offsets are given anew then.
    pub epoch: u32,
    /// The event's place in the journal, if it is committed.
    pub offset: u64,
}

/// How far a journal has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalProgress {
    /// See [`Ticket::epoch`].
    pub epoch: u32,
    /// One past the offset of the last committed event.
    pub committed: u64,
}

/// What stands in a journal from some offset. Each offset from there to `next` is an event, damaged or released.
#[derive(Debug, Default)]
pub struct JournalRead {
    /// In the order of their offsets.
    pub events: Vec<(u64, Event)>,
    /// Offsets whose events cannot be read any more.
    pub damaged: Vec<Range<u64>>,
    /// Offsets before this were released by retention.
    pub released: u64,
    /// Where the next read goes on.
    pub next: u64,
}

/// How far a group has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Where the group began: what is before was never its own.
    pub began: u64,
    /// Every event before this offset is settled.
    pub floor: u64,
    /// What is settled beyond, in order and apart from each other.
    pub settled: Vec<Range<u64>>,
    /// Events that were tried and are not settled, in order.
    pub tried: Vec<Tried>,
}

impl Cursor {
    /// Of a group that begins at this offset, or is moved there: what is before is not its own.
    pub fn at(offset: u64) -> Self {
        Self {
            began: offset,
            floor: offset,
            settled: Vec::new(),
            tried: Vec::new(),
        }
    }

    /// Whether the group has settled the event at this offset.
    pub fn has_settled(&self, offset: u64) -> bool {
        let is_beyond = || self.settled.iter().any(|range| range.contains(&offset));
        offset >= self.began && (offset < self.floor || is_beyond())
    }
}

/// An event was not kept, or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// As much waits for the disk as may: try again after the next [`JournalProgress`].
    #[error("too much waits for the disk already")]
    Full,
    /// The disk refused it, and nothing of it remains; a later one may be kept.
    #[error("{0}")]
    Refused(String),
    /// Nothing is kept any more until the server is started anew.
    #[error("{0}")]
    Halted(String),
}
