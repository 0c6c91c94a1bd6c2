//! Which groups there are, and how an agent becomes a member of one.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use loom_proto::EventId;
use loom_proto::topic::{is_valid_agent_id, overlap, validate_pattern};
use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::EventBus;
use crate::error::SubscribeError;
use crate::group::{Acknowledged, Group, GroupMember, dead_letter};
use crate::stream::Stream;

/// What has become of an event with a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It waits, or is being handled.
    Open,
    /// Somebody has handled it.
    Handled,
    /// Nobody could: there is a dead letter of it.
    Dead,
}

/// The groups by stream and name. Once open they stay, and their number is bounded.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<ByName>);

type ByName = FxHashMap<(String, String), Arc<Group>>;

impl Groups {
    /// While it is held nobody joins a group.
    pub(super) fn lock(&self) -> MutexGuard<'_, ByName> {
        self.0.lock()
    }

    /// One that is open.
    pub(super) fn get(&self, stream: &str, name: &str) -> Option<Arc<Group>> {
        let key = (stream.to_owned(), name.to_owned());
        self.lock().get(&key).cloned()
    }
}

impl EventBus {
    /// Makes its caller a member of a group, which is opened where it was not open yet. `bell` rings when there may be
    /// something to take.
    ///
    /// Must be called on a runtime: the group's task runs there.
    ///
    /// # Errors
    /// No stream keeps such events, or more than one does, or the group wants others.
    pub fn join(
        &self,
        pattern: &str,
        wanted: &Acknowledged,
        bell: &Arc<Notify>,
    ) -> Result<GroupMember, SubscribeError> {
        validate_pattern(pattern).map_err(|source| SubscribeError::Pattern {
            pattern: pattern.to_owned(),
            source,
        })?;
        // Agents give groups of their own their own id.
        if !is_valid_agent_id(&wanted.group) {
            return Err(SubscribeError::GroupName(wanted.group.clone()));
        }
        let stream = self.one_stream_for(pattern)?;
        let key = (stream.name().to_owned(), wanted.group.clone());
        let config = &self.shared.config.groups;
        let mut groups = self.shared.groups.0.lock();
        let count = groups.len();
        let group = match groups.entry(key) {
            Entry::Occupied(open) => Arc::clone(open.get()),
            Entry::Vacant(_) if count >= config.max_groups => {
                return Err(SubscribeError::TooManyGroups(count));
            }
            Entry::Vacant(new) => {
                let opened = Group::open(pattern, stream, wanted, config, &self.shared.ledger);
                let group = opened.map_err(|source| SubscribeError::Cursor {
                    group: wanted.group.clone(),
                    stream: stream.name().to_owned(),
                    source,
                })?;
                Arc::clone(new.insert(Arc::new(group)))
            }
        };
        if group.pattern() != pattern {
            return Err(SubscribeError::OtherPattern {
                group: wanted.group.clone(),
                stream: stream.name().to_owned(),
                theirs: group.pattern().to_owned(),
                pattern: pattern.to_owned(),
            });
        }
        let member = group.join(self, bell, wanted.max_in_flight);
        // Held until here, so that the group is not moved under a member.
        drop(groups);
        Ok(member)
    }

    /// The groups that have been open since the start.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        self.shared.groups.0.lock().values().cloned().collect()
    }

    /// What has become of an event with a group. `None` where no stream keeps the topic or remembers the event's id. May ask the
    /// disk for a group that nobody has joined yet.
    pub fn fate(&self, topic: &str, event: EventId, group: &str) -> Option<Fate> {
        let stream = self.stream_of(topic)?;
        let offset = stream.offset_of(event)?;
        let groups = self.groups();
        let mut open = groups
            .iter()
            .filter(|other| Arc::ptr_eq(other.stream(), stream) && other.name() == group);
        let cursor = match open.next() {
            Some(group) => Some(group.progress()),
            None => stream.journal().load_cursor(group).ok()?,
        };
        if !cursor.is_some_and(|cursor| cursor.has_settled(offset)) {
            return Some(Fate::Open);
        }
        let letters = self.stream_of(&dead_letter::topic(stream.name(), group));
        let letter = dead_letter::id(event, stream.name(), group, offset);
        let is_dead = letters.is_some_and(|letters| letters.offset_of(letter).is_some());
        Some(if is_dead { Fate::Dead } else { Fate::Handled })
    }

    /// Saves how far each group has come. Blocks for as long as the disk takes.
    pub fn save_groups(&self) {
        for group in self.groups() {
            if let Err(error) = group.save() {
                tracing::error!(%error, group = group.name(), "how far a group has come cannot be saved");
            }
        }
    }

    fn one_stream_for(&self, pattern: &str) -> Result<&Arc<Stream>, SubscribeError> {
        let mut streams = self.streams().iter().filter(|stream| {
            let mut topics = stream.topics().iter();
            topics.any(|topic| overlap(topic, pattern))
        });
        let pattern = || pattern.to_owned();
        match (streams.next(), streams.next()) {
            (Some(stream), None) => Ok(stream),
            (None, _) => Err(SubscribeError::NoStream { pattern: pattern() }),
            (Some(one), Some(other)) => Err(SubscribeError::SeveralStreams {
                pattern: pattern(),
                one: one.name().to_owned(),
                other: other.name().to_owned(),
            }),
        }
    }
}
