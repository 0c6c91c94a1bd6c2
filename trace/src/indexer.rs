//! The indexer: one OS thread that moves spans from the spool into the database and lets old ones go.

mod pace;

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::counters::Counters;
use crate::error::{DecodeError, SpoolError, StoreError};
use crate::otlp::{decode_each, identify_each};
use crate::packing::unpack;
use crate::spool::record::Header;
use crate::spool::{Damage, Item, Position, Reader, Spool};
use crate::store::retention::STEP_DELETES;
use crate::store::writer::Batch;
use crate::store::{Retention, Writer};
use pace::Pace;

/// A transaction ends after this many bytes of OTLP: large enough to pay for the commit, small enough that the time to stop
/// stays small.
const BATCH_BYTES: usize = 8 << 20;
/// Of these so many are read at a time: what any of their spans says of a trace is known before the first is stored.
const READ_BYTES: usize = 1 << 20;
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
                let requests = take(reader, &mut taken)?;
                for request in &requests {
                    announce(request, batch, &mut pace)?;
                }
                for request in &requests {
                    taken.damages.extend(store(request, batch, &mut pace)?);
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

/// An accepted request.
struct Request {
    otlp: Vec<u8>,
    header: Header,
    /// Where the next one begins.
    end: Position,
}

impl Request {
    /// The door has checked its bytes, so that they cannot be read is a fault of ours. Better lose one request and say so than
    /// stop here for ever.
    fn damage(header: &Header, end: Position, error: &impl Error) -> Damage {
        tracing::error!(%error, "an accepted request cannot be decoded");
        Damage {
            at: end,
            bytes: header.len.into(),
            spans: Some(header.spans),
            reason: "an accepted request cannot be decoded",
        }
    }
}

/// Takes some more requests for one transaction from the spool.
fn take(reader: &mut Reader, taken: &mut Taken) -> Result<Vec<Request>, SpoolError> {
    let mut requests = Vec::new();
    let end = taken.bytes + READ_BYTES;
    while taken.bytes < end {
        let Some(item) = reader.next()? else {
            taken.all = true;
            break;
        };
        match item {
            Item::Record(header) => {
                taken.spans += u64::from(header.spans);
                let end = reader.position();
                match unpack(reader.payload()) {
                    Ok(otlp) => {
                        taken.bytes += otlp.len();
                        requests.push(Request { otlp, header, end });
                    }
                    Err(error) => taken.damages.push(Request::damage(&header, end, &error)),
                }
            }
            Item::Damaged(damage) => taken.damages.push(damage),
        }
    }
    Ok(requests)
}

/// Tells what the request's spans say of their traces. They are not decoded for that: so many at once would not fit the
/// processor's cache, and to store one costs less while it is there.
fn announce(
    request: &Request,
    batch: &mut Batch<'_>,
    pace: &mut Pace<'_>,
) -> Result<(), StoreError> {
    identify_each(&request.otlp, |trace, identity| {
        batch.announce(trace, identity)?;
        pace.step();
        Ok(())
    })
}

/// Stores a request's spans, each as soon as it is decoded; tells what of it could not be.
fn store(
    request: &Request,
    batch: &mut Batch<'_>,
    pace: &mut Pace<'_>,
) -> Result<Option<Damage>, StoreError> {
    let received_ms = request.header.received_ms;
    let stored = decode_each(&request.otlp, |span| {
        batch.insert(span, received_ms)?;
        pace.step();
        Ok(())
    });
    match stored {
        Ok(_) => Ok(None),
        Err(RequestError::Store(error)) => Err(error),
        Err(RequestError::Decode(error)) => {
            let Request { header, end, .. } = request;
            Ok(Some(Request::damage(header, *end, &error)))
        }
    }
}

/// Tells an error of the request's bytes from one of the database.
#[derive(Debug, thiserror::Error)]
enum RequestError {
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
