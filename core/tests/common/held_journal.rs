//! A journal whose commits the test makes. It stands in for the crate `journal`, which has tests of its own.

#![allow(dead_code, reason = "each test crate uses a part of it")]

use std::collections::BTreeMap;
use std::sync::Arc;

use loom_core::{Cursor, Event, Journal, JournalError, JournalProgress, JournalRead, Ticket};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Keeps events in memory; commits when it is told to.
#[derive(Debug)]
pub(crate) struct HeldJournal {
    state: Mutex<State>,
    progress: watch::Sender<JournalProgress>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    /// How many of them may wait for a commit.
    room: usize,
    failed_epochs: u32,
    cursors: BTreeMap<String, Cursor>,
}

impl HeldJournal {
    pub(crate) fn new(room: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                room,
                ..State::default()
            }),
            progress: watch::Sender::default(),
        })
    }

    /// What another one has committed, without its cursors.
    pub(crate) fn copy_of(other: &Self) -> Arc<Self> {
        let state = other.state.lock();
        let copy = Self::new(state.room);
        copy.state.lock().events.clone_from(&state.events);
        copy.commit();
        copy
    }

    /// What another one has committed and saved: the disk after a kill.
    pub(crate) fn left_by(other: &Self) -> Arc<Self> {
        let copy = Self::copy_of(other);
        let cursors = other.state.lock().cursors.clone();
        copy.state.lock().cursors = cursors;
        copy
    }

    pub(crate) fn commit(&self) {
        let committed = self.state.lock().events.len() as u64;
        self.progress
            .send_modify(|progress| progress.committed = committed);
    }

    /// Events that wait for a commit.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().events.len() - self.end() as usize
    }

    /// The commit of what waits fails.
    pub(crate) fn fail(&self) {
        let mut state = self.state.lock();
        state.events.truncate(self.end() as usize);
        state.failed_epochs += 1;
        drop(state);
        self.progress.send_modify(|progress| progress.epoch += 1);
    }
}

impl Journal for HeldJournal {
    fn append(&self, event: &Event) -> Result<Ticket, JournalError> {
        let mut state = self.state.lock();
        if state.events.len() - self.end() as usize >= state.room {
            return Err(JournalError::Full);
        }
        state.events.push(event.clone());
        Ok(Ticket {
            epoch: state.failed_epochs,
            offset: state.events.len() as u64 - 1,
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

    fn read(&self, from: u64, _max_bytes: usize) -> Result<JournalRead, JournalError> {
        let state = self.state.lock();
        let committed = state.events[..self.end() as usize].iter().cloned();
        Ok(JournalRead {
            events: (0..).zip(committed).skip(from as usize).collect(),
            next: self.end(),
            ..JournalRead::default()
        })
    }

    fn offset_at(&self, unix_nano: u64) -> Result<u64, JournalError> {
        let state = self.state.lock();
        Ok(state
            .events
            .partition_point(|event| event.published_unix_nano() < unix_nano) as u64)
    }

    fn load_cursor(&self, group: &str) -> Result<Option<Cursor>, JournalError> {
        Ok(self.state.lock().cursors.get(group).cloned())
    }

    fn cursors(&self) -> Result<Vec<String>, JournalError> {
        Ok(self.state.lock().cursors.keys().cloned().collect())
    }

    fn save_cursor(&self, group: &str, cursor: &Cursor) -> Result<(), JournalError> {
        let mut state = self.state.lock();
        state.cursors.insert(group.to_owned(), cursor.clone());
        Ok(())
    }

    fn begin(&self) -> u64 {
        0
    }

    fn end(&self) -> u64 {
        self.progress.borrow().committed
    }
}
