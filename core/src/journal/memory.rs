//! A journal in memory: nobody waits for it, and what it keeps ends with the process.
//!
//! It stands in core and not beside the durable log in the crate `journal`: it needs no disk, no thread and no format of
//! its own, and the tests of streams and groups here run over it.
//!
//! An event is kept as the bus has it: its bytes are shared with whoever else has it, never copied. Events stand in chunks
//! of a fixed size, so that the journal grows without moving what it has, and a reader holds the lock for one chunk at most.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Cursor, Journal, JournalError, JournalProgress, JournalRead, Storage, Ticket};
use crate::event::Event;

/// Events of a chunk.
const CHUNK: usize = 256;
/// What an event takes beside its bytes and its topic: itself, and the books of two allocations and their owners.
const EVENT_BYTES: u64 = (size_of::<Event>() + 96) as u64;

/// What a [`MemoryJournal`] keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryConfig {
    /// Beyond so much memory the oldest events are released; the newest one always stays. Each counts with its encoded
    /// bytes, its topic, and about 230 bytes more.
    pub max_bytes: u64,
    /// Events older than this are released.
    pub max_age: Option<Duration>,
}

/// See the module.
#[derive(Debug)]
pub struct MemoryJournal {
    config: MemoryConfig,
    state: Mutex<State>,
    cursors: Mutex<BTreeMap<String, Cursor>>,
    progress: watch::Sender<JournalProgress>,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first, and none of them empty.
    chunks: VecDeque<Chunk>,
    end: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Chunk {
    /// Offset of its oldest event.
    base: u64,
    events: VecDeque<Event>,
    /// The latest time of an event in this chunk or before. Publishers race, so the times themselves are not in order.
    newest_unix_nano: u64,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            max_bytes: 256 * 1024 * 1024,
            max_age: None,
        }
    }
}

impl MemoryJournal {
    /// An empty one.
    pub fn new(config: MemoryConfig) -> Self {
        Self {
            config,
            state: Mutex::default(),
            cursors: Mutex::default(),
            progress: watch::Sender::default(),
        }
    }

    /// Memory that its events take, as [`MemoryConfig::max_bytes`] counts it.
    pub fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }
}

impl Journal for MemoryJournal {
    fn append(&self, event: &Event) -> Result<Ticket, JournalError> {
        let offset = {
            let mut state = self.state.lock();
            let offset = state.push(event.clone());
            state.release(&self.config, event.published_unix_nano());
            offset
        };
        // Two publishers may come here in either order.
        self.progress
            .send_modify(|progress| progress.committed = progress.committed.max(offset + 1));
        Ok(Ticket { epoch: 0, offset })
    }

    fn outcome(&self, _ticket: Ticket) -> Option<Result<(), JournalError>> {
        // Whoever has a ticket has it from an append, and that was all.
        Some(Ok(()))
    }

    fn progress(&self) -> watch::Receiver<JournalProgress> {
        self.progress.subscribe()
    }

    fn read(&self, from: u64, max_bytes: usize) -> Result<JournalRead, JournalError> {
        let mut read = JournalRead {
            next: from,
            ..JournalRead::default()
        };
        let mut room = max_bytes.max(1);
        while room > 0 {
            let state = self.state.lock();
            // What is released after the first events were read is the next reading's to tell.
            if read.events.is_empty() {
                read.released = state.begin();
                read.next = read.next.max(read.released);
            }
            if !state.copy_chunk(&mut read, &mut room) {
                break;
            }
        }
        Ok(read)
    }

    fn offset_at(&self, unix_nano: u64) -> Result<u64, JournalError> {
        Ok(self.state.lock().offset_at(unix_nano))
    }

    fn load_cursor(&self, group: &str) -> Result<Option<Cursor>, JournalError> {
        Ok(self.cursors.lock().get(group).cloned())
    }

    fn cursors(&self) -> Result<Vec<String>, JournalError> {
        Ok(self.cursors.lock().keys().cloned().collect())
    }

    fn save_cursor(&self, group: &str, cursor: &Cursor) -> Result<(), JournalError> {
        self.cursors.lock().insert(group.to_owned(), cursor.clone());
        Ok(())
    }

    fn retain(&self, now_unix_nano: u64) {
        self.state.lock().release(&self.config, now_unix_nano);
    }

    fn begin(&self) -> u64 {
        self.state.lock().begin()
    }

    fn end(&self) -> u64 {
        self.progress.borrow().committed
    }

    fn storage(&self) -> Storage {
        Storage::Memory
    }
}

impl State {
    fn begin(&self) -> u64 {
        self.chunks.front().map_or(self.end, |chunk| chunk.base)
    }

    /// Returns the event's offset.
    fn push(&mut self, event: Event) -> u64 {
        let offset = self.end;
        let last = self.chunks.back();
        let newest = last.map_or(0, |chunk| chunk.newest_unix_nano);
        let newest = newest.max(event.published_unix_nano());
        if last.is_none_or(|chunk| chunk.events.len() == CHUNK) {
            self.chunks.push_back(Chunk {
                base: offset,
                events: VecDeque::with_capacity(CHUNK),
                newest_unix_nano: newest,
            });
        }
        self.end += 1;
        self.bytes += memory_of(&event);
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.newest_unix_nano = newest;
            chunk.events.push_back(event);
        }
        offset
    }

    /// Forgets the oldest events, as the configuration says.
    fn release(&mut self, config: &MemoryConfig, now_unix_nano: u64) {
        while let Some(chunk) = self.chunks.front_mut() {
            let Some(oldest) = chunk.events.front() else {
                self.chunks.pop_front();
                continue;
            };
            let age = now_unix_nano.saturating_sub(oldest.published_unix_nano());
            let is_old = config
                .max_age
                .is_some_and(|max| u128::from(age) > max.as_nanos());
            let is_much = self.bytes > config.max_bytes && chunk.base + 1 < self.end;
            if !is_old && !is_much {
                return;
            }
            self.bytes -= memory_of(oldest);
            chunk.base += 1;
            chunk.events.pop_front();
        }
    }

    /// Adds what the chunk of `read.next` holds from there on. `false` where there is none.
    fn copy_chunk(&self, read: &mut JournalRead, room: &mut usize) -> bool {
        let behind = self.chunks.partition_point(|chunk| chunk.base <= read.next);
        let Some(chunk) = behind.checked_sub(1).map(|at| &self.chunks[at]) else {
            return false;
        };
        let skipped = (read.next - chunk.base) as usize;
        let found = read.events.len();
        for event in chunk.events.iter().skip(skipped) {
            read.events.push((read.next, event.clone()));
            read.next += 1;
            *room = room.saturating_sub(event.wire().len().max(1));
            if *room == 0 {
                break;
            }
        }
        read.events.len() > found
    }

    fn offset_at(&self, unix_nano: u64) -> u64 {
        let before = self
            .chunks
            .partition_point(|chunk| chunk.newest_unix_nano < unix_nano);
        let rest = self.chunks.range(before..);
        let mut events = rest.flat_map(|chunk| (chunk.base..).zip(&chunk.events));
        let found = events.find(|(_, event)| event.published_unix_nano() >= unix_nano);
        found.map_or(self.end, |(offset, _)| offset)
    }
}

fn memory_of(event: &Event) -> u64 {
    (event.wire().len() + event.topic().len()) as u64 + EVENT_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(max_bytes: u64, max_age: Option<Duration>) -> MemoryJournal {
        MemoryJournal::new(MemoryConfig { max_bytes, max_age })
    }

    fn event(payload: usize, unix_nano: u64) -> Event {
        let mut event = Event::on("a", vec![7; payload]).expect("valid");
        event.set_published_at(unix_nano);
        event
    }

    fn kept(journal: &MemoryJournal) -> std::ops::Range<u64> {
        journal.begin()..journal.end()
    }

    #[test]
    fn its_bytes_are_the_events_own() {
        let journal = journal(u64::MAX, None);
        let event = event(1000, 1);
        let ticket = journal.append(&event).expect("taken");
        assert_eq!(journal.outcome(ticket), Some(Ok(())));
        let read = journal.read(0, usize::MAX).expect("no disk");
        assert_eq!(read.events[0].1.wire().as_ptr(), event.wire().as_ptr());
    }

    #[test]
    fn the_oldest_make_room_and_the_newest_stays() {
        let one = memory_of(&event(1000, 1));
        let journal = journal(10 * one, None);
        for _ in 0..2000 {
            journal.append(&event(1000, 1)).expect("taken");
            assert!(journal.bytes() <= 10 * one);
        }
        assert_eq!(kept(&journal), 1990..2000);
        let read = journal.read(7, usize::MAX).expect("no disk");
        assert_eq!(
            (read.released, read.next, read.events.len()),
            (1990, 2000, 10)
        );

        journal.append(&event(100_000, 1)).expect("taken");
        assert_eq!(
            kept(&journal),
            2000..2001,
            "larger than all that is allowed"
        );
        journal.append(&event(0, 1)).expect("taken");
        assert_eq!(kept(&journal), 2001..2002);
        assert_eq!(journal.bytes(), memory_of(&event(0, 1)));
    }

    #[test]
    fn age_releases_all_that_is_too_old() {
        let journal = journal(u64::MAX, Some(Duration::from_nanos(100)));
        for time in 0..1000 {
            journal.append(&event(0, 1 + time)).expect("taken");
        }
        assert_eq!(kept(&journal), 899..1000, "a publish releases too");
        journal.retain(1050);
        assert_eq!(kept(&journal), 949..1000);
        journal.retain(5000);
        assert_eq!((kept(&journal), journal.bytes()), (1000..1000, 0));
        let ticket = journal.append(&event(0, 5000)).expect("taken");
        assert_eq!(ticket.offset, 1000, "offsets go on");
    }

    #[test]
    fn a_time_is_found_though_publishers_race() {
        let journal = journal(u64::MAX, None);
        let times: Vec<u64> = (0..2000_u64)
            .map(|at| 1 + (at / 8) * 10 + at * 7 % 8)
            .collect();
        for time in &times {
            journal.append(&event(0, *time)).expect("taken");
        }
        for wanted in 0..2600 {
            let expected = times.iter().position(|time| *time >= wanted);
            let expected = expected.map_or(2000, |at| at as u64);
            assert_eq!(journal.offset_at(wanted), Ok(expected), "{wanted}");
        }
    }

    #[test]
    fn a_chunk_never_grows() {
        let journal = journal(300 * memory_of(&event(0, 1)), None);
        for _ in 0..5000 {
            journal.append(&event(0, 1)).expect("taken");
        }
        let state = journal.state.lock();
        let room: usize = state
            .chunks
            .iter()
            .map(|chunk| chunk.events.capacity())
            .sum();
        assert!(room <= 300 + 2 * CHUNK, "{room}");
    }

    #[test]
    fn a_group_is_known_by_its_cursor() {
        let journal = MemoryJournal::new(MemoryConfig::default());
        assert_eq!(journal.load_cursor("workers"), Ok(None));
        journal
            .save_cursor("workers", &Cursor::at(7))
            .expect("kept");
        journal
            .save_cursor("workers", &Cursor::at(8))
            .expect("kept");
        assert_eq!(journal.load_cursor("workers"), Ok(Some(Cursor::at(8))));
        assert_eq!(journal.cursors(), Ok(vec!["workers".to_owned()]));
    }
}
