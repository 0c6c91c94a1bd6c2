//! A journal whose commits the test makes. It stands in for the crate `journal`, which has tests of its own.

#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::sync::Arc;

use loom_core::{
    Cursor, Event, Journal, JournalError, JournalProgress, JournalRead, MemoryConfig,
    MemoryJournal, Storage, Ticket,
};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Hands on to a journal in memory what the test commits.
#[derive(Debug)]
pub(crate) struct HeldJournal {
    committed: MemoryJournal,
    waiting: Mutex<Waiting>,
    progress: watch::Sender<JournalProgress>,
}

#[derive(Debug)]
struct Waiting {
    events: Vec<Event>,
    /// How many there may be.
    room: usize,
    failed_epochs: u32,
}

impl HeldJournal {
    pub(crate) fn new(room: usize) -> Arc<Self> {
        Arc::new(Self {
            committed: MemoryJournal::new(MemoryConfig::default()),
            waiting: Mutex::new(Waiting {
                events: Vec::new(),
                room,
                failed_epochs: 0,
            }),
            progress: watch::Sender::default(),
        })
    }

    /// What another one has committed, without its cursors.
    pub(crate) fn copy_of(other: &Self) -> Arc<Self> {
        let copy = Self::new(other.waiting.lock().room);
        let read = other.committed.read(0, usize::MAX).expect("in memory");
        let events = read.events.into_iter().map(|(_, event)| event);
        copy.waiting.lock().events.extend(events);
        copy.commit();
        copy
    }

    /// What another one has committed and saved: the disk after a kill.
    pub(crate) fn left_by(other: &Self) -> Arc<Self> {
        let copy = Self::copy_of(other);
        for group in other.committed.cursors().expect("in memory") {
            let cursor = other.committed.load_cursor(&group).expect("in memory");
            let cursor = cursor.expect("it is named");
            copy.committed
                .save_cursor(&group, &cursor)
                .expect("in memory");
        }
        copy
    }

    pub(crate) fn commit(&self) {
        for event in self.waiting.lock().events.drain(..) {
            self.committed.append(&event).expect("in memory");
        }
        let committed = self.committed.end();
        self.progress
            .send_modify(|progress| progress.committed = committed);
    }

    /// Events that wait for a commit.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.lock().events.len()
    }

    /// The commit of what waits fails.
    pub(crate) fn fail(&self) {
        let mut waiting = self.waiting.lock();
        waiting.events.clear();
        waiting.failed_epochs += 1;
        drop(waiting);
        self.progress.send_modify(|progress| progress.epoch += 1);
    }
}

impl Journal for HeldJournal {
    fn append(&self, event: &Event) -> Result<Ticket, JournalError> {
        let mut waiting = self.waiting.lock();
        if waiting.events.len() >= waiting.room {
            return Err(JournalError::Full);
        }
        waiting.events.push(event.clone());
        Ok(Ticket {
            epoch: waiting.failed_epochs,
            offset: self.committed.end() + waiting.events.len() as u64 - 1,
        })
    }

    fn outcome(&self, ticket: Ticket) -> Option<Result<(), JournalError>> {
        let progress = *self.progress.borrow();
        if ticket.epoch < progress.epoch {
            return Some(Err(JournalError::Refused("the disk is full".to_owned())));
        }
        (ticket.offset < progress.committed).then_some(Ok(()))
    }

    fn progress(&self) -> watch::Receiver<JournalProgress> {
        self.progress.subscribe()
    }

    fn read(&self, from: u64, max_bytes: usize) -> Result<JournalRead, JournalError> {
        self.committed.read(from, max_bytes)
    }

    fn offset_at(&self, unix_nano: u64) -> Result<u64, JournalError> {
        self.committed.offset_at(unix_nano)
    }

    fn load_cursor(&self, group: &str) -> Result<Option<Cursor>, JournalError> {
        self.committed.load_cursor(group)
    }

    fn cursors(&self) -> Result<Vec<String>, JournalError> {
        self.committed.cursors()
    }

    fn save_cursor(&self, group: &str, cursor: &Cursor) -> Result<(), JournalError> {
        self.committed.save_cursor(group, cursor)
    }

    fn retain(&self, now_unix_nano: u64) {
        self.committed.retain(now_unix_nano);
    }

    fn begin(&self) -> u64 {
        self.committed.begin()
    }

    fn end(&self) -> u64 {
        self.progress.borrow().committed
    }

    fn storage(&self) -> Storage {
        Storage::Disk
    }
}
