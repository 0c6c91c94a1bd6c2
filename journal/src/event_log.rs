//! The journal of a stream: a [`Log`] whose records are events.
//!
//! | record | |
//! | --- | --- |
//! | 16 | trace id of `EventBus.publish`; zero where there is no trace |
//! | 8 | its span id |
//! | 1 | its flags |
//! | 8 | span id of its parent; zero for a root |
//! | 1 | 1 where that parent is `bridge.publish` |
//! | 8 | span id of the parent of `bridge.publish`; zero for a root |
//! | | the encoded `loom.v1.Event` |
//!
//! The context stands beside the event and not in it, as it does on the bus: whoever reads the event continues the trace
//! of its publish, also in another process, after a crash. And the spans before it can be told again.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use loom_core::{
    Came, Cursor, Event, Journal, JournalError, JournalProgress, JournalRead, Lineage, Storage,
    Ticket,
};
use loom_proto::trace_context::{SpanId, TraceContext, TraceFlags, TraceId};
use tokio::sync::watch;

use crate::config::LogConfig;
use crate::cursor;
use crate::disk::Disk;
use crate::error::{AppendError, OpenError, ReadError};
use crate::log::Log;
use crate::recovery::Recovery;

const HEAD: usize = 42;

/// See the module.
#[derive(Debug)]
pub struct EventLog {
    log: Log,
}

impl EventLog {
    /// Opens the journal of a directory, or makes a new one.
    ///
    /// # Errors
    /// Another process has it open, a file is none of a journal's, or the disk failed.
    pub fn open(path: &Path, config: LogConfig) -> Result<(Self, Recovery), OpenError> {
        let (log, recovery) = Log::open(path, config)?;
        Ok((Self { log }, recovery))
    }

    /// Opens a journal on any [`Disk`].
    ///
    /// # Errors
    /// A file is none of a journal's, or the disk failed.
    pub fn open_on(disk: Arc<dyn Disk>, config: LogConfig) -> Result<(Self, Recovery), OpenError> {
        let (log, recovery) = Log::open_on(disk, config)?;
        Ok((Self { log }, recovery))
    }

    /// The log beneath, to look at it and to release what is not kept any longer.
    pub fn log(&self) -> &Log {
        &self.log
    }
}

impl Journal for EventLog {
    fn append(&self, event: &Event) -> Result<Ticket, JournalError> {
        let head = encode(event.trace(), event.lineage());
        let unix_nano = event.published_unix_nano();
        Ok(self.log.append(unix_nano, &[&head, event.wire()])?)
    }

    fn outcome(&self, ticket: Ticket) -> Option<Result<(), JournalError>> {
        let outcome = self.log.outcome(ticket)?;
        Some(outcome.map_err(JournalError::from))
    }

    fn progress(&self) -> watch::Receiver<JournalProgress> {
        self.log.progress()
    }

    fn read(&self, from: u64, max_bytes: usize) -> Result<JournalRead, JournalError> {
        let read = self.log.read(from, max_bytes)?;
        let mut damaged = read.damaged;
        let mut events = Vec::with_capacity(read.records.len());
        for record in read.records {
            match decode(&record.body, record.unix_nano) {
                Some(event) => events.push((record.offset, event)),
                // Its checksum is right and it is no event: another version wrote it.
                None => damaged.push(record.offset..record.offset + 1),
            }
        }
        Ok(JournalRead {
            events,
            damaged,
            released: read.released,
            next: read.next,
        })
    }

    fn offset_at(&self, unix_nano: u64) -> Result<u64, JournalError> {
        Ok(self.log.offset_at(unix_nano)?)
    }

    fn load_cursor(&self, group: &str) -> Result<Option<Cursor>, JournalError> {
        let name = cursor::name(group);
        let failed = |error: std::io::Error| JournalError::Refused(format!("{name}: {error}"));
        let Some(bytes) = self.log.disk().read(&name).map_err(failed)? else {
            return Ok(None);
        };
        let damaged = || {
            JournalError::Refused(format!(
                "{name} is damaged; remove it to let the group begin anew"
            ))
        };
        cursor::decode(&bytes).ok_or_else(damaged).map(Some)
    }

    fn cursors(&self) -> Result<Vec<String>, JournalError> {
        let listed = self.log.disk().list();
        let files = listed.map_err(|error| JournalError::Refused(error.to_string()))?;
        let groups = files.iter().filter_map(|file| cursor::group(file));
        Ok(groups.map(str::to_owned).collect())
    }

    fn save_cursor(&self, group: &str, cursor: &Cursor) -> Result<(), JournalError> {
        let name = cursor::name(group);
        let failed = |error: std::io::Error| JournalError::Refused(format!("{name}: {error}"));
        let bytes = cursor::encode(cursor);
        self.log.disk().replace(&name, &bytes).map_err(failed)
    }

    fn retain(&self, now_unix_nano: u64) {
        self.log.retain(now_unix_nano);
    }

    fn begin(&self) -> u64 {
        self.log.begin()
    }

    fn end(&self) -> u64 {
        self.log.end()
    }

    fn storage(&self) -> Storage {
        Storage::Disk
    }
}

fn encode(context: Option<TraceContext>, lineage: Lineage) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    if let Some(context) = context {
        head[..16].copy_from_slice(&context.trace_id.0);
        head[16..24].copy_from_slice(&context.span_id.0);
        head[24] = context.flags.0;
    }
    head[25..33].copy_from_slice(&lineage.parent.0);
    if let Came::OverTheBridge { origin } = lineage.came {
        head[33] = 1;
        head[34..].copy_from_slice(&origin.0);
    }
    head
}

fn decode(body: &Bytes, unix_nano: u64) -> Option<Event> {
    let (head, _) = body.split_at_checked(HEAD)?;
    let span_id = |at: usize| Some(SpanId(head[at..at + 8].try_into().ok()?));
    let context = TraceContext {
        trace_id: TraceId(head[..16].try_into().ok()?),
        span_id: span_id(16)?,
        flags: TraceFlags(head[24]),
    };
    let trace = context.is_valid().then_some(context);
    let came = match head[33] {
        0 => Came::InProcess,
        _ => Came::OverTheBridge {
            origin: span_id(34)?,
        },
    };
    let lineage = Lineage {
        parent: span_id(25)?,
        came,
    };
    Event::restored(body.slice(HEAD..), trace, lineage, unix_nano).ok()
}

impl From<AppendError> for JournalError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full { .. } => Self::Full,
            AppendError::Refused(_) | AppendError::TooLarge { .. } => {
                Self::Refused(error.to_string())
            }
            AppendError::Halted(_) | AppendError::Closed => Self::Halted(error.to_string()),
        }
    }
}

impl From<ReadError> for JournalError {
    fn from(error: ReadError) -> Self {
        Self::Refused(error.to_string())
    }
}
