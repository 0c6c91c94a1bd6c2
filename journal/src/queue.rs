//! What was appended and is not written yet, and what became of it.
//!
//! One lock, held for the copy of a record or the swap of a buffer, never during a write.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use loom_core::{JournalProgress as Progress, Ticket};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::error::AppendError;
use crate::format::{BLOCK_HEADER, BlockHeader, RECORD_HEADER, put_record};

/// Ends of epochs that are remembered, for tickets that nobody has asked about yet.
const REMEMBERED_ENDS: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    limit: usize,
    state: Mutex<State>,
    /// There is something to write, or the journal closes.
    work: Condvar,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct State {
    open: Batch,
    /// The buffer that the writer gave back.
    spare: Vec<u8>,
    next: u64,
    epoch: u32,
    ends: VecDeque<EpochEnd>,
    halted: Option<Arc<io::Error>>,
    is_closing: bool,
}

/// Records that will be one block. The header's place is kept free.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    base: u64,
    count: u32,
    first_unix_nano: u64,
}

/// How an epoch ended: what was not committed by then never was.
#[derive(Debug)]
struct EpochEnd {
    epoch: u32,
    committed: u64,
    error: AppendError,
}

impl Queue {
    /// An empty queue whose first record gets the offset `next`.
    pub(crate) fn new(limit: usize, next: u64) -> Self {
        Self {
            limit,
            state: Mutex::new(State {
                next,
                ..State::default()
            }),
            work: Condvar::new(),
            progress: watch::Sender::new(Progress {
                epoch: 0,
                committed: next,
            }),
        }
    }

    /// Copies a record into the open batch.
    pub(crate) fn append(&self, unix_nano: u64, parts: &[&[u8]]) -> Result<Ticket, AppendError> {
        let bytes = RECORD_HEADER + parts.iter().map(|part| part.len()).sum::<usize>();
        let limit = self.limit;
        if bytes > limit {
            return Err(AppendError::TooLarge { bytes, limit });
        }
        let mut state = self.state.lock();
        if state.is_closing {
            return Err(AppendError::Closed);
        }
        if let Some(error) = &state.halted {
            return Err(AppendError::Halted(Arc::clone(error)));
        }
        let waiting = state.open.record_bytes();
        if waiting + bytes > limit {
            return Err(AppendError::Full { waiting });
        }
        let offset = state.next;
        state.next += 1;
        state.open.push(offset, unix_nano, parts);
        let is_first = state.open.count == 1;
        let ticket = Ticket {
            epoch: state.epoch,
            offset,
        };
        drop(state);
        if is_first {
            self.work.notify_one();
        }
        Ok(ticket)
    }

    /// Waits for records, and takes all that there are; `None` when the journal is closed and nothing waits.
    pub(crate) fn take(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        while state.open.count == 0 {
            if state.is_closing {
                return None;
            }
            self.work.wait(&mut state);
        }
        let empty = Batch {
            bytes: std::mem::take(&mut state.spare),
            ..Batch::default()
        };
        Some(std::mem::replace(&mut state.open, empty))
    }

    /// A batch is committed; its buffer is used again.
    pub(crate) fn committed(&self, batch: Batch) {
        let committed = batch.end();
        self.reuse(batch);
        self.progress
            .send_modify(|progress| progress.committed = committed);
    }

    /// A batch did not reach the disk, and nothing that was appended since will: offsets begin anew behind the last commit.
    pub(crate) fn refused(&self, batch: Batch, error: AppendError) {
        let committed = self.progress.borrow().committed;
        let epoch = {
            let mut state = self.state.lock();
            if let AppendError::Halted(error) = &error {
                state.halted = Some(Arc::clone(error));
            }
            let epoch = state.epoch;
            state.ends.push_back(EpochEnd {
                epoch,
                committed,
                error,
            });
            if state.ends.len() > REMEMBERED_ENDS {
                state.ends.pop_front();
            }
            state.open.clear();
            state.next = committed;
            state.epoch += 1;
            state.epoch
        };
        self.reuse(batch);
        self.progress.send_modify(|progress| progress.epoch = epoch);
    }

    fn reuse(&self, mut batch: Batch) {
        batch.clear();
        let mut state = self.state.lock();
        if state.spare.capacity() == 0 {
            state.spare = batch.bytes;
        }
    }

    /// What became of a record; `None` while that is open.
    pub(crate) fn outcome(&self, ticket: Ticket) -> Option<Result<(), AppendError>> {
        let progress = *self.progress.borrow();
        if ticket.epoch == progress.epoch {
            return (ticket.offset < progress.committed).then_some(Ok(()));
        }
        let state = self.state.lock();
        let end = state.ends.iter().find(|end| end.epoch == ticket.epoch);
        Some(match end {
            Some(end) if ticket.offset < end.committed => Ok(()),
            Some(end) => Err(end.error.clone()),
            None => Err(AppendError::Refused(Arc::new(io::Error::other(
                "asked for too late to tell",
            )))),
        })
    }

    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(crate) fn present(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Takes nothing more; the writer ends when it has written what waits.
    pub(crate) fn close(&self) {
        self.state.lock().is_closing = true;
        self.work.notify_one();
    }
}

impl Batch {
    fn push(&mut self, offset: u64, unix_nano: u64, parts: &[&[u8]]) {
        if self.count == 0 {
            self.bytes.resize(BLOCK_HEADER, 0);
            self.base = offset;
            self.first_unix_nano = unix_nano;
        }
        put_record(&mut self.bytes, offset, unix_nano, parts);
        self.count += 1;
    }

    fn record_bytes(&self) -> usize {
        self.bytes.len().saturating_sub(BLOCK_HEADER)
    }

    /// Offset of the first record.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// One past the offset of the last record.
    pub(crate) fn end(&self) -> u64 {
        self.base + u64::from(self.count)
    }

    /// Time of the first record.
    pub(crate) fn first_unix_nano(&self) -> u64 {
        self.first_unix_nano
    }

    /// The whole block.
    pub(crate) fn seal(&mut self) -> &[u8] {
        let header = BlockHeader {
            base: self.base,
            bytes: self.record_bytes() as u32,
            count: self.count,
        };
        self.bytes[..BLOCK_HEADER].copy_from_slice(&header.encode());
        &self.bytes
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }
}
