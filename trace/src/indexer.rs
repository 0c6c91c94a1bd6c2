//! The indexer: one OS thread that moves spans from the spool into the database and lets old ones go.

mod pace;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::counters::Counters;
use crate::error::{DecodeError, SpoolError, StoreError};
use crate::model::Span;
use crate::otlp::decode_each;
use crate::packing::{UnpackError, unpack};
use crate::spool::{Damage, Item, Position, Reader, Spool};
use crate::store::retention::STEP_DELETES;
use crate::store::writer::Batch;
use crate::store::{Retention, Writer};
use pace::Pace;

/// A transaction ends after this many bytes of OTLP: large enough to pay for the commit, small enough that the time to stop
/// stays small.
const BATCH_BYTES: usize = 8 << 20;
/// Of these so many are decoded at a time, which is some megabytes of spans: they are stored before the processor's cache has
/// forgotten them.
const DECODED_BYTES: usize = 1 << 20;
/// With more than this waiting there is no point in waiting for more.
const LINGER_BYTES: u64 = 1 << 20;
/// Retention is looked at this often when no spans come.
const IDLE_TICK: Duration = Duration::from_secs(5);
/// First and longest pause after a failed transaction.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Wakes, hurries and stops the indexer.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Something was appended since the indexer last looked.
    work: bool,
    /// Somebody waits for the spans to arrive: do not linger.
    hurry: bool,
    stop: bool,
}

impl Signal {
    /// Something was appended.
    pub(crate) fn work(&self) {
        let mut state = self.state.lock();
        if !state.work {
            state.work = true;
            self.changed.notify_one();
        }
    }

    /// Index what there is at once.
    pub(crate) fn hurry(&self) {
        let mut state = self.state.lock();
        state.work = true;
        state.hurry = true;
        self.changed.notify_one();
    }

    /// End after the transaction that is running.
    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_one();
    }

    /// Waits for `until` to hold, at most for `time`. Returns false when the indexer shall stop.
    fn wait(&self, time: Duration, until: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + time;
        let mut state = self.state.lock();
        while !state.stop && !until(&state) {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        !state.stop
    }

    fn is_hurried(&self) -> bool {
        self.state.lock().hurry
    }

    /// What comes from now on is for the next round; a hurry is over when all of this one is indexed.
    fn take_work(&self) {
        let mut state = self.state.lock();
        state.work = false;
        state.hurry = false;
    }
}

/// Everything the thread owns.
#[derive(Debug)]
pub(crate) struct Indexer {
    pub(crate) spool: Spool,
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) counters: Arc<Counters>,
    pub(crate) signal: Arc<Signal>,
    /// Everything before it is in the database.
    pub(crate) indexed: watch::Sender<Position>,
    pub(crate) linger: Duration,
    pub(crate) retention: Retention,
}

#[derive(Debug, thiserror::Error)]
enum IndexError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// What one transaction took from the spool.
#[derive(Debug, Default)]
struct Taken {
    /// Spans by the headers of the records: what the lag counts.
    spans: u64,
    /// Of OTLP.
    bytes: usize,
    damages: Vec<Damage>,
    /// The reader came to the end.
    all: bool,
}

impl Indexer {
    /// Runs until [`Signal::stop`].
    pub(crate) fn run(mut self) {
        lower_priority();
        let mut backoff = BACKOFF.0;
        while self.signal.wait(IDLE_TICK, |state| state.work) {
            if self.backlog_bytes() < LINGER_BYTES
                && !self.signal.wait(self.linger, |state| state.hurry)
            {
                break;
            }
            let is_hurried = self.signal.is_hurried();
            self.signal.take_work();
            match self.drain(is_hurried) {
                Ok(()) => backoff = BACKOFF.0,
                Err(error) => {
                    Counters::add(&self.counters.store_errors, 1);
                    tracing::error!(%error, retry_in = ?backoff, "spans cannot be indexed; they wait in the spool");
                    // Nothing but the end of the process may shorten the pause.
                    self.signal.wait(backoff, |_| false);
                    backoff = (backoff * 2).min(BACKOFF.1);
                    self.signal.work();
                }
            }
        }
        if let Err(error) = self.writer.checkpoint() {
            tracing::warn!(%error, "the database's log was not folded in; the next start does it");
        }
    }

    /// Indexes up to the tail, and lets old spans go at least as fast as new ones come.
    fn drain(&mut self, is_hurried: bool) -> Result<(), IndexError> {
        loop {
            let before = self.reader.position();
            let is_hurried = is_hurried || self.backlog_bytes() >= LINGER_BYTES;
            let stored = self
                .batch(is_hurried)
                .inspect_err(|_| self.reader.seek(before))?;
            self.expire(stored)?;
            let at = self.reader.position();
            if at == before || !self.signal.wait(Duration::ZERO, |_| true) {
                return Ok(());
            }
        }
    }

    /// One transaction. Returns how many spans were stored.
    fn batch(&mut self, is_hurried: bool) -> Result<u64, IndexError> {
        let mut pace = Pace::new(&self.signal, is_hurried);
        let before = self.reader.position();
        let tail = self.spool.tail();
        let reader = &mut self.reader;
        let (written, taken) = self.writer.transaction::<_, IndexError>(|batch| {
            let mut taken = Taken::default();
            while !taken.all && taken.bytes < BATCH_BYTES {
                for (span, received_ms) in take(reader, batch, &mut taken, &mut pace)? {
                    batch.insert(&span, received_ms)?;
                    pace.step();
                }
            }
            Ok((reader.position(), taken))
        })?;
        let after = self.reader.position();
        self.counters.arrived(taken.spans);
        Counters::add(&self.counters.stored, written.stored);
        Counters::add(&self.counters.duplicates, written.duplicates);
        Counters::add(&self.counters.conflicts, written.conflicts);
        Counters::add(&self.counters.unpriced, written.unpriced);
        for damage in &taken.damages {
            self.report(damage);
        }
        if after.segment != before.segment {
            self.spool.release(after)?;
        }
        // The tail may lie in a segment that does not exist yet, where the reader cannot go.
        let reached = if taken.all { after.max(tail) } else { after };
        self.indexed.send_replace(reached);
        Ok(written.stored)
    }

    fn expire(&mut self, stored: u64) -> Result<(), IndexError> {
        let steps = 1 + 2 * stored / STEP_DELETES;
        for _ in 0..steps {
            let expired = self.writer.expire(&self.retention, now_ms())?;
            Counters::add(&self.counters.expired, expired);
            if expired == 0 {
                break;
            }
        }
        Ok(())
    }

    fn report(&self, damage: &Damage) {
        if damage.bytes == 0 {
            return;
        }
        let lost = damage.spans.map_or(0, u64::from);
        Counters::add(&self.counters.damaged_places, 1);
        Counters::add(&self.counters.damaged_bytes, damage.bytes);
        Counters::add(&self.counters.lost_spans, lost);
        tracing::warn!(
            segment = damage.at.segment,
            offset = damage.at.offset,
            bytes = damage.bytes,
            spans = lost,
            reason = damage.reason,
            "damaged place in the spool was skipped"
        );
    }

    fn backlog_bytes(&self) -> u64 {
        let (tail, at) = (self.spool.tail(), self.reader.position());
        if tail.segment == at.segment {
            tail.offset - at.offset
        } else {
            self.spool.used_bytes()
        }
    }
}

/// Takes some more spans for one transaction from the spool. All of these are decoded before the first is stored, so that it is
/// known by then what they say of their traces.
fn take(
    reader: &mut Reader,
    batch: &mut Batch<'_>,
    taken: &mut Taken,
    pace: &mut Pace<'_>,
) -> Result<Vec<(Span, u64)>, IndexError> {
    let mut spans = Vec::new();
    let end = taken.bytes + DECODED_BYTES;
    while taken.bytes < end {
        let Some(item) = reader.next()? else {
            taken.all = true;
            break;
        };
        match item {
            Item::Record(header) => {
                taken.spans += u64::from(header.spans);
                let request = unpack(reader.payload()).map_err(RecordError::from);
                taken.bytes += request.as_ref().map_or(0, Vec::len);
                let result = request.and_then(|request| {
                    decode_each(&request, |span| {
                        batch.announce(&span)?;
                        spans.push((span, header.received_ms));
                        pace.step();
                        Ok(())
                    })
                });
                match result {
                    Ok(_) => {}
                    Err(RecordError::Store(error)) => return Err(error.into()),
                    // The door has checked these bytes, so this is a fault of ours. Better lose one request and say so
                    // than stop here for ever.
                    Err(error) => {
                        tracing::error!(%error, "an accepted request cannot be decoded");
                        taken.damages.push(Damage {
                            at: reader.position(),
                            bytes: header.len.into(),
                            spans: Some(header.spans),
                            reason: "an accepted request cannot be decoded",
                        });
                    }
                }
            }
            Item::Damaged(damage) => taken.damages.push(damage),
        }
    }
    Ok(spans)
}

/// Tells an error of the request's bytes from one of the database.
#[derive(Debug, thiserror::Error)]
enum RecordError {
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_millis() as u64)
}

/// Indexing can wait, events cannot.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(10) {
        tracing::debug!(%error, "the indexer keeps the normal priority");
    }
}
