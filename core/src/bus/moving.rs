//! Looking at groups from outside, and moving one to another place of its stream.

use std::sync::Arc;

use loom_proto::Code;
use loom_proto::topic::is_valid_agent_id;

use super::EventBus;
use crate::group::{Group, GroupBooks, GroupStart};
use crate::journal::{Cursor, JournalError};
use crate::stream::Stream;

/// A group, whether it has members or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Its stream.
    pub stream: String,
    /// Its name.
    pub name: String,
    /// Every event before this offset is settled.
    pub floor: u64,
    /// One past the last event of the stream.
    pub end: u64,
    /// What it has done since the server's start; `None` if nobody has joined it since then.
    pub active: Option<ActiveGroup>,
}

/// A group that agents have joined since the server's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveGroup {
    /// Topics of the events that it wants.
    pub pattern: String,
    /// Agents that share it now.
    pub members: usize,
    /// What it has done.
    pub books: GroupBooks,
}

/// A group stays where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResetError {
    /// Fix the name.
    #[error("no stream is called {0:?}")]
    UnknownStream(String),
    /// Fix the name.
    #[error("the stream {stream} has no group {group:?}")]
    UnknownGroup {
        /// Where it was looked for.
        stream: String,
        /// As it came.
        group: String,
    },
    /// Stop its agents first: what they have in hand would be handled twice or not at all.
    #[error("the group {group} has members ({members}): stop its agents, then move it")]
    InUse {
        /// Its name.
        group: String,
        /// How many agents share it.
        members: usize,
    },
    /// The disk failed.
    #[error("how far the group {group} has come cannot be read or saved: {source}")]
    Cursor {
        /// Its name.
        group: String,
        /// Why.
        source: JournalError,
    },
}

impl ResetError {
    /// The face on the wire.
    pub fn code(&self) -> Code {
        match self {
            Self::UnknownStream(_) | Self::UnknownGroup { .. } => Code::NotFound,
            Self::InUse { .. } => Code::GroupInUse,
            Self::Cursor { .. } => Code::Internal,
        }
    }
}

impl EventBus {
    /// Every group that was ever saved or is open, by stream and name. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The disk failed.
    pub fn group_views(&self) -> Result<Vec<GroupView>, JournalError> {
        let mut views = Vec::new();
        for stream in self.streams() {
            let mut names = stream.journal().cursors()?;
            let open = self.groups().into_iter();
            let open = open.filter(|group| Arc::ptr_eq(group.stream(), stream));
            names.extend(open.map(|group| group.name().to_owned()));
            // Other things are kept in the way of groups, under names that none can have.
            names.retain(|name| is_valid_agent_id(name));
            names.sort_unstable();
            names.dedup();
            for name in names {
                views.extend(self.group_view(stream, name)?);
            }
        }
        Ok(views)
    }

    fn group_view(&self, stream: &Stream, name: String) -> Result<Option<GroupView>, JournalError> {
        let open = self.shared.groups.get(stream.name(), &name);
        let floor = if let Some(group) = &open {
            Some(group.floor())
        } else {
            let cursor = stream.journal().load_cursor(&name)?;
            cursor.map(|cursor| cursor.floor)
        };
        Ok(floor.map(|floor| GroupView {
            stream: stream.name().to_owned(),
            name,
            floor: floor.max(stream.journal().begin()),
            end: stream.journal().end(),
            active: open.map(|group| ActiveGroup {
                pattern: group.pattern().to_owned(),
                members: group.members(),
                books: group.books(),
            }),
        }))
    }

    /// Lets a group without members go on elsewhere: what it had settled beyond is forgotten. Returns the offset.
    ///
    /// Must be called on a runtime.
    ///
    /// # Errors
    /// There is no such group, it has members, or the disk failed.
    pub async fn reset_group(
        &self,
        stream: &str,
        group: &str,
        to: GroupStart,
    ) -> Result<u64, ResetError> {
        if let Some(open) = self.shared.groups.get(stream, group) {
            in_use(&open, open.ended().await)?;
        }
        let failed = |source| ResetError::Cursor {
            group: group.to_owned(),
            source,
        };
        let (bus, stream, name) = (self.clone(), stream.to_owned(), group.to_owned());
        let moved = tokio::task::spawn_blocking(move || bus.move_group(&stream, &name, to)).await;
        moved.unwrap_or_else(|error| Err(failed(JournalError::Refused(error.to_string()))))
    }

    fn move_group(&self, stream: &str, name: &str, to: GroupStart) -> Result<u64, ResetError> {
        let mut streams = self.streams().iter();
        let Some(stream) = streams.find(|one| one.name() == stream) else {
            return Err(ResetError::UnknownStream(stream.to_owned()));
        };
        let journal = stream.journal();
        let failed = |source| ResetError::Cursor {
            group: name.to_owned(),
            source,
        };
        let floor = to.offset(&**journal).map_err(failed)?;
        // Held while the disk is written, so that nobody joins meanwhile.
        let groups = self.shared.groups.lock();
        if let Some(open) = groups.get(&(stream.name().to_owned(), name.to_owned())) {
            in_use(open, open.move_to(floor))?;
            open.save().map_err(failed)?;
            return Ok(floor);
        }
        if journal.load_cursor(name).map_err(failed)?.is_none() {
            return Err(ResetError::UnknownGroup {
                stream: stream.name().to_owned(),
                group: name.to_owned(),
            });
        }
        let moved = journal.save_cursor(name, &Cursor::at(floor));
        moved.map_err(failed)?;
        Ok(floor)
    }
}

fn in_use(group: &Group, ended: Result<(), usize>) -> Result<(), ResetError> {
    ended.map_err(|members| ResetError::InUse {
        group: group.name().to_owned(),
        members,
    })
}
