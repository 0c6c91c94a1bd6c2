//! The attempts of a group from one server to the next.

use std::sync::Arc;

use loom_telemetry::ids::now_unix_nano;
use tokio::time::Instant;

use super::State;
use super::window::Settled;
use crate::event::Event;
use crate::journal::{Stage, Tried};

/// Bytes that a group saves at most of what its attempts have said: all of it is written with each save, and most of it when
/// everything fails.
const LONGEST_ERRORS: usize = 256 * 1024;
/// What an attempt says that was in hand when its server was killed.
const SERVER_LOST: &str = "the server was lost";

impl State {
    /// The events that were tried and are not settled, with their attempts. What older attempts have said is left out where it is
    /// too much.
    pub(super) fn tried(&self) -> Vec<Tried> {
        // What lies beyond the window was not read again yet.
        let next = self.window.next();
        let later = self.tried_before.iter();
        let later: Vec<_> = later.filter(|tried| tried.offset >= next).collect();
        let errors = later.iter().flat_map(|tried| &tried.failed);
        let taken: usize = errors.map(|attempt| attempt.error.len()).sum();
        let room = LONGEST_ERRORS.saturating_sub(taken);
        let mut tried = self.window.tried(Instant::now(), now_unix_nano(), room);
        tried.extend(later.into_iter().cloned());
        tried
    }

    /// What had become of an event before the group was loaded. Events are asked for in their order.
    pub(super) fn tried_before(&mut self, offset: u64) -> Option<Tried> {
        loop {
            let first = self.tried_before.front()?;
            if first.offset > offset {
                return None;
            }
            let tried = self.tried_before.pop_front();
            if tried.as_ref().is_some_and(|tried| tried.offset == offset) {
                return tried;
            }
        }
    }

    /// Takes in an event that was tried before the group was loaded. The last server did not see how an attempt ended that was
    /// in hand then: it counts as one that failed.
    pub(super) fn push_tried(&mut self, event: Arc<Event>, thread: u64, tried: Tried) {
        let Tried { offset, stage, .. } = tried;
        let settled = self
            .window
            .push_tried(event, thread, tried, Instant::now(), now_unix_nano());
        match (stage, settled) {
            (Stage::InHand, settled) => self.book(offset, settled, || SERVER_LOST.to_owned()),
            (_, Settled::Dead) => self.dead.push_back(offset),
            _ => {}
        }
    }
}
