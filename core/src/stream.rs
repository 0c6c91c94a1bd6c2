//! A stream: topics whose events are kept. A publish on one of them counts when the disk has it.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loom_proto::EventId;
use loom_proto::topic::{self, InvalidTopic};
use loom_telemetry::ids::now_unix_nano;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::error::PublishError;
use crate::event::Event;
use crate::journal::{Journal, JournalError, Ticket};

/// What a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// Its name in configuration, logs and metrics.
    pub name: String,
    /// Topics and patterns of the events that it keeps. No two streams may want the same topic.
    pub topics: Vec<String>,
    /// For how long the id of an event is remembered: who publishes it again meanwhile is told that it is stored.
    pub duplicate_window: Duration,
    /// How many ids are remembered at most; each takes about 60 bytes of memory.
    pub duplicate_ids: usize,
}

/// A stream cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Fix the pattern.
    #[error("streams.{stream}.topics: {pattern:?} is not valid: {source}")]
    Pattern {
        /// Its name.
        stream: String,
        /// As it came.
        pattern: String,
        /// What is wrong with it.
        source: InvalidTopic,
    },
    /// One of them must want less.
    #[error(
        "streams.{stream}.topics: {pattern:?} and {other_pattern:?} of streams.{other} want the same topics: an event is kept once"
    )]
    Overlap {
        /// Its name.
        stream: String,
        /// Its pattern.
        pattern: String,
        /// The other stream's name.
        other: String,
        /// The other stream's pattern.
        other_pattern: String,
    },
    /// Its journal cannot be read.
    #[error("streams.{stream}: {source}")]
    Journal {
        /// Its name.
        stream: String,
        /// Why.
        source: JournalError,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Stream {
    config: StreamConfig,
    journal: Arc<dyn Journal>,
    recent: Mutex<RecentIds>,
    duplicates: AtomicU64,
}

/// An event that a stream has taken.
#[derive(Clone, Debug)]
pub struct Stored {
    stream: Arc<Stream>,
    ticket: Ticket,
    /// It was there already: this publish was a retry.
    pub is_duplicate: bool,
}

impl StreamConfig {
    /// A stream with the default limits.
    pub fn new(name: &str, topics: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
            duplicate_window: Duration::from_secs(120),
            duplicate_ids: 262_144,
        }
    }
}

impl Stream {
    /// A stream over its journal. The ids of the youngest events are read back, so that a retry is recognised after a crash.
    ///
    /// # Errors
    /// A pattern is not valid, or the journal cannot be read.
    pub fn open(config: StreamConfig, journal: Arc<dyn Journal>) -> Result<Self, StreamError> {
        for pattern in &config.topics {
            topic::validate_pattern(pattern).map_err(|source| StreamError::Pattern {
                stream: config.name.clone(),
                pattern: pattern.clone(),
                source,
            })?;
        }
        let recent =
            RecentIds::read(&*journal, &config).map_err(|source| StreamError::Journal {
                stream: config.name.clone(),
                source,
            })?;
        Ok(Self {
            config,
            journal,
            recent: Mutex::new(recent),
            duplicates: AtomicU64::new(0),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Topics and patterns of the events that it keeps.
    pub fn topics(&self) -> &[String] {
        &self.config.topics
    }

    /// Where its events are.
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    /// Publishes that were retries of events which are stored.
    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// Place of one of the youngest events, as far as ids are remembered.
    pub(crate) fn offset_of(&self, id: EventId) -> Option<u64> {
        self.recent.lock().find(id).map(|ticket| ticket.offset)
    }

    /// Whether it keeps the events of this topic.
    pub(crate) fn wants(&self, topic: &str) -> bool {
        let mut patterns = self.config.topics.iter();
        patterns.any(|pattern| topic::matches(pattern, topic))
    }

    /// Names the first pattern that another stream has too.
    pub(crate) fn check_apart_from(&self, other: &Self) -> Result<(), StreamError> {
        for pattern in &self.config.topics {
            let mut patterns = other.config.topics.iter();
            if let Some(common) = patterns.find(|theirs| topic::overlap(pattern, theirs)) {
                return Err(StreamError::Overlap {
                    stream: self.config.name.clone(),
                    pattern: pattern.clone(),
                    other: other.config.name.clone(),
                    other_pattern: common.clone(),
                });
            }
        }
        Ok(())
    }

    /// Hands an event to the journal, unless it has it already. `None` while too much waits for the disk.
    pub(crate) fn append(
        self: &Arc<Self>,
        event: &mut Event,
    ) -> Result<Option<Stored>, PublishError> {
        let now = now_unix_nano();
        event.set_published_at(now);
        let mut recent = self.recent.lock();
        if let Some(ticket) = recent.find(event.id())
            && !matches!(self.journal.outcome(ticket), Some(Err(_)))
        {
            self.duplicates.fetch_add(1, Ordering::Relaxed);
            return Ok(Some(self.stored(ticket, true)));
        }
        match self.journal.append(event) {
            Ok(ticket) => {
                recent.remember(event.id(), ticket, now);
                Ok(Some(self.stored(ticket, false)))
            }
            Err(JournalError::Full) => Ok(None),
            Err(error) => Err(self.not_stored(error)),
        }
    }

    fn stored(self: &Arc<Self>, ticket: Ticket, is_duplicate: bool) -> Stored {
        Stored {
            stream: Arc::clone(self),
            ticket,
            is_duplicate,
        }
    }

    fn not_stored(&self, source: JournalError) -> PublishError {
        PublishError::NotStored {
            stream: self.config.name.clone(),
            source,
        }
    }
}

impl Stored {
    /// The stream that keeps it.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Its place in the stream, if it is committed.
    pub fn offset(&self) -> u64 {
        self.ticket.offset
    }

    /// Whether the disk has it; `None` while that is open.
    pub fn outcome(&self) -> Option<Result<(), PublishError>> {
        let outcome = self.stream.journal.outcome(self.ticket)?;
        Some(outcome.map_err(|error| self.stream.not_stored(error)))
    }

    /// Waits until the disk has it.
    ///
    /// # Errors
    /// It never will.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn committed(&self) -> Result<(), PublishError> {
        let mut progress = self.stream.journal.progress();
        loop {
            progress.borrow_and_update();
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
            if progress.changed().await.is_err() {
                let closed = JournalError::Halted("its journal is closed".to_owned());
                return Err(self.stream.not_stored(closed));
            }
        }
    }
}

/// The ids of the youngest events, oldest first.
#[derive(Debug)]
struct RecentIds {
    tickets: FxHashMap<EventId, Ticket>,
    order: VecDeque<(u64, EventId)>,
    window_nano: u64,
    limit: usize,
}

impl RecentIds {
    fn new(config: &StreamConfig) -> Self {
        Self {
            tickets: FxHashMap::default(),
            order: VecDeque::new(),
            window_nano: u64::try_from(config.duplicate_window.as_nanos()).unwrap_or(u64::MAX),
            limit: config.duplicate_ids,
        }
    }

    fn read(journal: &dyn Journal, config: &StreamConfig) -> Result<Self, JournalError> {
        const STEP: usize = 1024 * 1024;
        let mut recent = Self::new(config);
        let epoch = journal.progress().borrow().epoch;
        let now = now_unix_nano();
        let oldest = journal.offset_at(now.saturating_sub(recent.window_nano))?;
        let most = u64::try_from(recent.limit).unwrap_or(u64::MAX);
        let mut next = oldest.max(journal.end().saturating_sub(most));
        while next < journal.end() {
            let read = journal.read(next, STEP)?;
            for (offset, event) in read.events {
                let ticket = Ticket { epoch, offset };
                recent.remember(event.id(), ticket, event.published_unix_nano());
            }
            next = read.next;
        }
        Ok(recent)
    }

    fn find(&self, id: EventId) -> Option<Ticket> {
        self.tickets.get(&id).copied()
    }

    fn remember(&mut self, id: EventId, ticket: Ticket, now: u64) {
        if self.limit == 0 {
            return;
        }
        let is_new = match self.tickets.entry(id) {
            // Its commit failed, or it stands in the journal twice; the younger one counts.
            Entry::Occupied(mut known) => {
                known.insert(ticket);
                false
            }
            Entry::Vacant(free) => {
                free.insert(ticket);
                true
            }
        };
        if is_new {
            self.order.push_back((now, id));
        }
        while let Some((since, oldest)) = self.order.front().copied() {
            let is_old = now.saturating_sub(since) > self.window_nano;
            if !is_old && self.order.len() <= self.limit {
                return;
            }
            self.order.pop_front();
            self.tickets.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(window: Duration, limit: usize) -> RecentIds {
        RecentIds::new(&StreamConfig {
            duplicate_window: window,
            duplicate_ids: limit,
            ..StreamConfig::new("s", &["a"])
        })
    }

    fn ticket(offset: u64) -> Ticket {
        Ticket { epoch: 0, offset }
    }

    #[test]
    fn ids_are_forgotten_by_age_and_by_number() {
        let mut recent = ids(Duration::from_nanos(10), 3);
        let given: Vec<_> = (0..4).map(|_| EventId::now()).collect();
        for (id, time) in given.iter().zip(0..) {
            recent.remember(*id, ticket(time), time);
        }
        assert_eq!(recent.find(given[0]), None, "only three are remembered");
        assert_eq!(recent.find(given[3]), Some(ticket(3)));
        let late = EventId::now();
        recent.remember(late, ticket(9), 12);
        assert_eq!(recent.find(given[1]), None, "too old");
        assert_eq!(recent.find(given[2]), Some(ticket(2)));
        assert_eq!(recent.tickets.len(), recent.order.len());
    }

    #[test]
    fn an_id_that_comes_again_is_remembered_once_and_by_its_last_place() {
        let mut recent = ids(Duration::from_secs(1), 10);
        let id = EventId::now();
        recent.remember(id, ticket(1), 0);
        recent.remember(id, ticket(2), 1);
        assert_eq!(recent.find(id), Some(ticket(2)));
        assert_eq!(recent.order.len(), 1);
    }
}
