//! Where a group stands in its stream, and how it gets elsewhere.

use super::Group;
use super::window::Window;
use crate::journal::{Journal, JournalError};

/// Where a group begins, or goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupStart {
    /// With the oldest event of the stream.
    #[default]
    Oldest,
    /// With the next event that is published.
    Next,
    /// With the event at this offset; the oldest or the next where the stream does not reach so far.
    Offset(u64),
    /// With the first event that is not older than this time, in nanoseconds since the Unix epoch.
    Time(u64),
}

impl GroupStart {
    /// The offset that is meant. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The disk failed.
    pub fn offset(self, journal: &dyn Journal) -> Result<u64, JournalError> {
        let (begin, end) = (journal.begin(), journal.end());
        let offset = match self {
            Self::Oldest => begin,
            Self::Next => end,
            Self::Offset(offset) => offset,
            Self::Time(unix_nano) => journal.offset_at(unix_nano)?,
        };
        Ok(offset.clamp(begin, end))
    }
}

impl Group {
    /// Agents that share it now.
    pub fn members(&self) -> usize {
        self.state.lock().members.len()
    }

    /// Every event before this offset is settled.
    pub(crate) fn floor(&self) -> u64 {
        self.state.lock().window.floor()
    }

    /// Waits until its feeder has ended; at once an error with their number while it has members.
    pub(crate) async fn ended(&self) -> Result<(), usize> {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Before it is looked at, so that an end in between is not missed.
            ended.as_mut().enable();
            {
                let state = self.state.lock();
                if !state.members.is_empty() {
                    return Err(state.members.len());
                }
                if !state.is_fed {
                    return Ok(());
                }
            }
            ended.await;
        }
    }

    /// Goes on at this offset, and forgets what it had in memory. Only while nobody has anything in hand and nothing is read.
    pub(crate) fn move_to(&self, floor: u64) -> Result<(), usize> {
        let mut state = self.state.lock();
        if state.is_fed || !state.members.is_empty() {
            return Err(state.members.len().max(1));
        }
        // What it had read and not settled is read again, here or never.
        let (_, open) = state.window.size();
        state.books.read -= open as u64;
        state.window = Window::new(floor, state.window.patience());
        state.began = floor;
        state.settled_before.clear();
        state.tried_before.clear();
        state.dead.clear();
        state.has_changed = true;
        Ok(())
    }
}
