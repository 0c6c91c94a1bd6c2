//! The dead letters of all groups, and which of them are open: not yet redriven, and not dropped.
//!
//! They are the events of the stream that keeps `dlq.>`. What is closed stands beside that stream, in the form in which a group
//! keeps how far it has come: its size goes with the number of gaps, and it is replaced as a whole. Nothing here publishes.

use std::sync::Arc;

use loom_proto::topic::{self, overlap};
use loom_proto::trace_context::{SpanId, TraceContext, TraceId};
use loom_proto::{EventId, v1};
use parking_lot::Mutex;
use prost::Message;

use super::dead_letter::{DEAD_LETTERS, TriedAttempt, header};
use super::offsets::Offsets;
use crate::event::Event;
use crate::journal::JournalError;
use crate::stream::Stream;

/// Under this name it is kept which letters are closed. No group can have it.
const CLOSED: &str = "~closed";
/// Offsets that are looked at in one go, from the newest back.
const STRIDE: u64 = 256;
/// Offsets that one page looks at, however few of them match.
const LOOKED_AT: u64 = 16_384;
/// Bytes of letters on one page, or one letter more.
const PAGE_BYTES: usize = 1024 * 1024;
const READ_BYTES: usize = 1024 * 1024;
/// Header of an event that was redriven: the id of its dead letter.
pub const REDRIVEN_FROM: &str = "loom-redriven-from";

/// See the module.
#[derive(Debug)]
pub struct DeadLetters {
    stream: Arc<Stream>,
    /// Read from the disk when it is first needed.
    closed: Mutex<Option<Offsets>>,
}

/// Which letters are meant; what is empty does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Ids of letters, or of the events that are dead.
    pub ids: Vec<EventId>,
    /// Pattern of the topic that the event had.
    pub topic: String,
    /// Its trace.
    pub trace: Option<TraceId>,
    /// The group that could not handle it.
    pub group: String,
}

/// A dead letter that is open.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its place in the stream of dead letters.
    pub offset: u64,
    /// When it was written, in nanoseconds since the Unix epoch.
    pub unix_nano: u64,
    /// Context of the span `EventBus.publish` that tells of it.
    pub trace: Option<TraceContext>,
    /// The letter; without its payload where that was not asked for.
    pub event: v1::Event,
    /// Size of the payload in bytes.
    pub payload_len: usize,
}

/// Some of the letters.
#[derive(Clone, Debug, Default)]
pub struct LetterPage {
    /// In the order that was asked for.
    pub letters: Vec<Letter>,
    /// Where to go on; `None` at the end.
    pub next: Option<u64>,
    /// Letters that are open, whatever the filter.
    pub open: u64,
}

/// A letter does not say where its event came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not say where its event came from: no group has written it")]
pub struct NoOrigin;

impl DeadLetters {
    /// The letters that one of these streams keeps; `None` where none does.
    pub fn among(streams: &[Arc<Stream>]) -> Option<Self> {
        let all = format!("{DEAD_LETTERS}.>");
        let keeps = |stream: &&Arc<Stream>| stream.topics().iter().any(|t| overlap(t, &all));
        let stream = streams.iter().find(keeps)?;
        Some(Self {
            stream: Arc::clone(stream),
            closed: Mutex::default(),
        })
    }

    /// Open letters before offset `before`, the newest first; `None` begins with the last one. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The disk failed.
    pub fn newest(
        &self,
        filter: &LetterFilter,
        before: Option<u64>,
        limit: usize,
        with_payload: bool,
    ) -> Result<LetterPage, JournalError> {
        let closed = self.closed()?;
        let begin = closed.cursor().floor;
        let end = self.stream.journal().end();
        let mut page = LetterPage {
            open: closed.missing(end),
            ..LetterPage::default()
        };
        let mut before = before.unwrap_or(end).min(end);
        let least = before.saturating_sub(LOOKED_AT).max(begin);
        let mut room = Room::new(limit);
        while before > least && room.is_left() {
            let from = before.saturating_sub(STRIDE).max(least);
            // All of the stride is read before the newest is known, so payloads come in a second reading.
            let found = self.read(from..before, &closed, filter, Room::endless(), false)?;
            before = from;
            for letter in found.letters.into_iter().rev() {
                let letter = if with_payload {
                    self.with_payload(letter)?
                } else {
                    letter
                };
                let offset = letter.offset;
                room.take(&letter);
                page.letters.push(letter);
                if !room.is_left() {
                    before = offset;
                    break;
                }
            }
        }
        page.next = (before > begin).then_some(before);
        Ok(page)
    }

    /// Open letters in these offsets, the oldest first, with their payloads. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The disk failed.
    pub fn oldest(
        &self,
        filter: &LetterFilter,
        offsets: std::ops::Range<u64>,
        limit: usize,
    ) -> Result<LetterPage, JournalError> {
        let closed = self.closed()?;
        let from = offsets.start.max(closed.cursor().floor);
        let end = offsets.end.min(self.stream.journal().end());
        let most = end.min(from.saturating_add(LOOKED_AT));
        let found = self.read(from..most, &closed, filter, Room::new(limit), true)?;
        Ok(LetterPage {
            letters: found.letters,
            next: (found.next < end).then_some(found.next),
            open: closed.missing(self.stream.journal().end()),
        })
    }

    /// One past the last letter.
    pub fn end(&self) -> u64 {
        self.stream.journal().end()
    }

    /// Closes letters; after it they stay so. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// The disk failed; they are open as before.
    pub fn close(&self, offsets: &[u64]) -> Result<(), JournalError> {
        // Held while the disk is written: of two at once the later would undo the earlier.
        let mut closed = self.closed.lock();
        let closed = self.loaded(&mut closed)?;
        let mut changed = closed.clone();
        for offset in offsets {
            changed.insert(*offset);
        }
        if changed != *closed {
            let journal = self.stream.journal();
            journal.save_cursor(CLOSED, changed.cursor())?;
            *closed = changed;
        }
        Ok(())
    }

    fn closed(&self) -> Result<Offsets, JournalError> {
        let mut closed = self.closed.lock();
        Ok(self.loaded(&mut closed)?.clone())
    }

    /// What is closed now; also what retention has released.
    fn loaded<'a>(&self, closed: &'a mut Option<Offsets>) -> Result<&'a mut Offsets, JournalError> {
        let journal = self.stream.journal();
        let closed = match closed {
            Some(closed) => closed,
            None => closed.insert(journal.load_cursor(CLOSED)?.unwrap_or_default().into()),
        };
        closed.raise(journal.begin());
        Ok(closed)
    }

    fn read(
        &self,
        offsets: std::ops::Range<u64>,
        closed: &Offsets,
        filter: &LetterFilter,
        mut room: Room,
        with_payload: bool,
    ) -> Result<Found, JournalError> {
        let mut found = Found {
            letters: Vec::new(),
            next: offsets.start,
        };
        while found.next < offsets.end {
            let read = self.stream.journal().read(found.next, READ_BYTES)?;
            for (offset, event) in &read.events {
                if *offset >= offsets.end {
                    break;
                }
                if closed.contains(*offset) {
                    continue;
                }
                let Some(letter) = Letter::read(*offset, event, with_payload) else {
                    continue;
                };
                if filter.wants(&letter) {
                    room.take(&letter);
                    found.letters.push(letter);
                    if !room.is_left() {
                        found.next = offset + 1;
                        return Ok(found);
                    }
                }
            }
            if read.next <= found.next {
                break;
            }
            found.next = read.next.min(offsets.end);
        }
        Ok(found)
    }

    fn with_payload(&self, letter: Letter) -> Result<Letter, JournalError> {
        let read = self.stream.journal().read(letter.offset, 1)?;
        let event = read.events.into_iter().find(|(at, _)| *at == letter.offset);
        let whole = event.and_then(|(offset, event)| Letter::read(offset, &event, true));
        Ok(whole.unwrap_or(letter))
    }
}

struct Found {
    letters: Vec<Letter>,
    next: u64,
}

/// What a page may still take.
struct Room {
    letters: usize,
    bytes: usize,
}

impl Room {
    fn new(letters: usize) -> Self {
        Self {
            letters,
            bytes: PAGE_BYTES,
        }
    }

    fn endless() -> Self {
        Self {
            letters: usize::MAX,
            bytes: usize::MAX,
        }
    }

    fn is_left(&self) -> bool {
        self.letters > 0 && self.bytes > 0
    }

    fn take(&mut self, letter: &Letter) {
        self.letters = self.letters.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(letter.event.encoded_len());
    }
}

impl LetterFilter {
    fn wants(&self, letter: &Letter) -> bool {
        let says = |key: &str| letter.header(key);
        let is_one_of = |ids: &[EventId]| {
            let dead: Option<EventId> = says(header::EVENT_ID).parse().ok();
            ids.iter().any(|id| *id == letter.id() || Some(*id) == dead)
        };
        (self.ids.is_empty() || is_one_of(&self.ids))
            && (self.topic.is_empty() || topic::matches(&self.topic, says(header::TOPIC)))
            && (self.group.is_empty() || self.group == says(header::GROUP))
            && (self.trace.is_none() || self.trace == letter.trace.map(|trace| trace.trace_id))
    }
}

impl Letter {
    fn read(offset: u64, event: &Event, with_payload: bool) -> Option<Self> {
        let mut message = v1::Event::decode(event.wire().clone()).ok()?;
        let payload_len = message.payload.len();
        if !with_payload {
            message.payload.clear();
        }
        // The bytes of a letter must not keep all that was read with it in memory.
        message.id = bytes::Bytes::copy_from_slice(&message.id);
        message.payload = bytes::Bytes::copy_from_slice(&message.payload);
        Some(Self {
            offset,
            unix_nano: event.published_unix_nano(),
            trace: event.trace(),
            event: message,
            payload_len,
        })
    }

    /// Its id.
    pub fn id(&self) -> EventId {
        EventId::from_slice(&self.event.id).unwrap_or_default()
    }

    /// What one of the headers of [`header`] says; empty where it is not there.
    pub fn header(&self, key: &str) -> &str {
        self.event.metadata.get(key).map_or("", String::as_str)
    }

    /// The attempts that it tells of.
    pub fn attempts(&self) -> Vec<TriedAttempt> {
        serde_json::from_str(self.header(header::ATTEMPTS)).unwrap_or_default()
    }

    /// Where the story of its event ends: the last attempt that was recorded, else the letter itself.
    pub fn last_context(&self) -> Option<TraceContext> {
        let trace = self.trace?;
        let spans = self.attempts().into_iter().rev();
        let mut spans = spans.filter_map(|attempt| SpanId::from_hex(&attempt.span_id).ok());
        let span_id = spans.next().unwrap_or(trace.span_id);
        Some(TraceContext { span_id, ..trace })
    }

    /// Its event as it was, to be published once more: under an id that is made of the letter's, so that it is stored once if this is
    /// done twice, and without a trace of its own.
    ///
    /// # Errors
    /// It does not say on which topic.
    pub fn redriven(&self) -> Result<v1::Event, NoOrigin> {
        let topic = self.header(header::TOPIC);
        if topic.is_empty() {
            return Err(NoOrigin);
        }
        let mut event = self.event.clone();
        let id = self.id();
        topic.clone_into(&mut event.topic);
        event.id = bytes::Bytes::copy_from_slice(&id.derived("redriven").0);
        let is_own = |key: &str| !key.starts_with(header::PREFIX);
        event.metadata.retain(|key, _| is_own(key));
        let from = (REDRIVEN_FROM.to_owned(), id.to_string());
        event.metadata.extend([from]);
        if let Some(envelope) = &mut event.envelope {
            envelope.traceparent.clear();
            envelope.tracestate.clear();
        }
        Ok(event)
    }
}
