//! Where finished spans wait: sharded, bounded, of fixed cost.
//!
//! Each thread pushes into a shard of its own, so that a push is one uncontended lock and one move. The drain swaps
//! whole shards. A full shard drops the *new* span and counts it: the spans before it may already have children.
//! Whoever can wait asks for [room](Recorder::room) before it does more, and then nothing is dropped.
//! A closed recorder drops every new span and counts it; what it holds can still be drained.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use parking_lot::Mutex;

use crate::drainer::Drainer;
use crate::pressure::Pressure;
use crate::record::{SpanRecord, Value};

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct RecorderConfig {
    /// How many threads can push without meeting each other.
    pub shards: usize,
    /// Spans that one shard holds.
    pub shard_capacity: usize,
}

/// A buffer keeps room for twice as many spans even when nothing happens: about 80 KiB.
const MIN_ROOM: usize = 256;

impl Default for RecorderConfig {
    fn default() -> Self {
        Self {
            shards: 4,
            shard_capacity: 32_768,
        }
    }
}

/// The counters of a recorder. `recorded` counts what was taken; what was not is in the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderStats {
    /// Spans taken.
    pub recorded: u64,
    /// Spans refused because their shard was full.
    pub buffer_full: u64,
    /// Spans refused because they came after the pipeline's shutdown.
    pub closed: u64,
    /// Spans that wait to be drained.
    pub waiting: u64,
    /// Spans that were not taken because their trace is not sampled.
    pub sampled_out: u64,
}

/// A handle; clones share the buffers. One recorder has one resource: a process with two agents has two.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    resource: Vec<(Value, Value)>,
    shards: Box<[Shard]>,
    capacity: usize,
    drained: AtomicU64,
    refused_full: AtomicU64,
    refused_closed: AtomicU64,
    /// Whom to wake when a shard is no longer empty, and when it is half full.
    drainer: Mutex<Option<Arc<Drainer>>>,
    pressure: Pressure,
}

/// A cache line of its own, twice over: the prefetcher fetches pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    waiting: Mutex<Waiting>,
    sampled_out: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    spans: Vec<SpanRecord>,
    /// All spans that this shard ever took.
    recorded: u64,
    is_closed: bool,
}

impl Recorder {
    /// A recorder whose spans belong to `resource` (`service.name` and the like).
    pub fn new(resource: Vec<(Value, Value)>, config: RecorderConfig) -> Self {
        let shards = (0..config.shards.max(1))
            .map(|_| Shard::default())
            .collect();
        Self {
            shared: Arc::new(Shared {
                resource,
                shards,
                capacity: config.shard_capacity.max(1),
                drained: AtomicU64::new(0),
                refused_full: AtomicU64::new(0),
                refused_closed: AtomicU64::new(0),
                drainer: Mutex::new(None),
                pressure: Pressure::default(),
            }),
        }
    }

    /// Takes a finished span. Never waits for anything but another push into the same shard.
    pub fn record(&self, span: SpanRecord) {
        let shared = &*self.shared;
        let mut waiting = self.shard().waiting.lock();
        if waiting.is_closed || waiting.spans.len() >= shared.capacity {
            let refused = if waiting.is_closed {
                &shared.refused_closed
            } else {
                &shared.refused_full
            };
            drop(waiting);
            refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.spans.push(span);
        waiting.recorded += 1;
        let fill = waiting.spans.len();
        drop(waiting);
        // Once between two drains each.
        if fill == 1 {
            self.with_drainer(Drainer::wake);
        } else if fill == shared.capacity.div_ceil(2) {
            self.with_drainer(Drainer::hurry);
        }
        // The last quarter is for those who cannot wait.
        if fill >= shared.capacity.div_ceil(4) * 3 {
            shared.pressure.raise();
        }
    }

    /// Counts a span that is not recorded because its trace is not sampled.
    pub fn sampled_out(&self) {
        self.shard().sampled_out.fetch_add(1, Ordering::Relaxed);
    }

    fn shard(&self) -> &Shard {
        let shards = &self.shared.shards;
        &shards[shard_of_this_thread() % shards.len()]
    }

    /// False while a buffer is nearly full: who can wait does so, by [`Recorder::room`], before it does what makes spans.
    pub fn has_room(&self) -> bool {
        self.shared.pressure.has_room()
    }

    /// Waits until the pipeline has drained a buffer that is nearly full; ready at once where there is room. It waits for
    /// one second at the most: then spans are dropped and counted until the next drain, and the work goes on.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn room(&self) {
        self.shared.pressure.room().await;
    }

    /// Moves all that waits to the end of `into`; returns how many spans that were.
    pub fn drain(&self, into: &mut Vec<SpanRecord>) -> usize {
        let before = into.len();
        for shard in &self.shared.shards {
            let spans = &mut shard.waiting.lock().spans;
            let used = spans.len();
            if into.is_empty() {
                // The shard gets the drained vector's room back: no allocation in the steady state.
                std::mem::swap(spans, into);
            } else {
                into.append(spans);
            }
            give_back(spans, used);
        }
        let drained = into.len() - before;
        self.shared
            .drained
            .fetch_add(drained as u64, Ordering::Release);
        self.shared.pressure.relieve();
        drained
    }

    /// Whom to hurry when a shard is half full, so that a burst does not wait for the drain's interval. From now on there
    /// is somebody to wait for.
    pub fn set_drainer(&self, drainer: Arc<Drainer>) {
        *self.shared.drainer.lock() = Some(drainer);
        self.shared.pressure.enable();
    }

    fn with_drainer(&self, call: impl FnOnce(&Drainer)) {
        if let Some(drainer) = &*self.shared.drainer.lock() {
            call(drainer);
        }
    }

    /// True when spans wait, or when nobody else holds a handle.
    pub(crate) fn needs_drain(&self) -> bool {
        self.is_abandoned()
            || self
                .shared
                .shards
                .iter()
                .any(|shard| !shard.waiting.lock().spans.is_empty())
    }

    /// What all spans of this recorder have in common.
    pub fn resource(&self) -> &[(Value, Value)] {
        &self.shared.resource
    }

    /// The counters; each is exact, together they are of nearly one moment.
    pub fn stats(&self) -> RecorderStats {
        // Before the shards, which only ever hold more: the difference is never negative.
        let drained = self.shared.drained.load(Ordering::Acquire);
        let shards = self.shared.shards.iter();
        let recorded: u64 = shards.map(|shard| shard.waiting.lock().recorded).sum();
        RecorderStats {
            recorded,
            buffer_full: self.shared.refused_full.load(Ordering::Relaxed),
            closed: self.shared.refused_closed.load(Ordering::Relaxed),
            waiting: recorded - drained,
            sampled_out: self
                .shared
                .shards
                .iter()
                .map(|shard| shard.sampled_out.load(Ordering::Relaxed))
                .sum(),
        }
    }

    /// Refuses every span from now on. No push that began before is still under way when this returns.
    pub(crate) fn close(&self) {
        for shard in &self.shared.shards {
            shard.waiting.lock().is_closed = true;
        }
        self.shared.pressure.disable();
    }

    /// True when nobody else holds a handle, so that no further span can come.
    pub(crate) fn is_abandoned(&self) -> bool {
        let is_abandoned = Arc::strong_count(&self.shared) == 1;
        // Pairs with the release of the last handle: what it pushed is seen by the drain that follows.
        fence(Ordering::Acquire);
        is_abandoned
    }

    /// True when both handles are of one recorder.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

/// A burst makes buffers grow to megabytes: when it is over, the room of an empty buffer follows what was `used` of it.
fn give_back(empty: &mut Vec<SpanRecord>, used: usize) {
    let room = 2 * used.max(MIN_ROOM);
    if empty.capacity() > 2 * room {
        empty.shrink_to(room);
    }
}

/// Threads are numbered in the order of their first span.
fn shard_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    SHARD.with(Cell::get)
}

#[cfg(test)]
mod tests {
    use loom_proto::SpanId;

    use super::*;
    use crate::ids;
    use crate::record::{FreeDetail, SpanDetail, SpanKind, SpanStatus};

    fn span() -> SpanRecord {
        SpanRecord {
            context: ids::new_root(true),
            parent_span_id: SpanId::default(),
            parent_is_remote: false,
            kind: SpanKind::Internal,
            status: SpanStatus::Unset,
            start_unix_nano: 1,
            end_unix_nano: 2,
            detail: SpanDetail::Free(Arc::new(FreeDetail {
                name: "work".into(),
                ..FreeDetail::default()
            })),
        }
    }

    #[test]
    fn what_is_recorded_is_drained_once() {
        let recorder = Recorder::new(Vec::new(), RecorderConfig::default());
        for _ in 0..10 {
            recorder.record(span());
        }
        let mut spans = Vec::new();
        assert_eq!(recorder.drain(&mut spans), 10);
        assert_eq!(recorder.drain(&mut spans), 0);
        assert_eq!(
            recorder.stats(),
            RecorderStats {
                recorded: 10,
                buffer_full: 0,
                ..RecorderStats::default()
            }
        );
    }

    #[test]
    fn a_full_shard_refuses_and_counts() {
        let recorder = Recorder::new(
            Vec::new(),
            RecorderConfig {
                shards: 1,
                shard_capacity: 3,
            },
        );
        for _ in 0..5 {
            recorder.record(span());
        }
        assert_eq!(
            recorder.stats(),
            RecorderStats {
                recorded: 3,
                buffer_full: 2,
                waiting: 3,
                ..RecorderStats::default()
            }
        );
        let mut spans = Vec::new();
        recorder.drain(&mut spans);
        recorder.record(span());
        assert_eq!(
            recorder.stats(),
            RecorderStats {
                recorded: 4,
                buffer_full: 2,
                waiting: 1,
                ..RecorderStats::default()
            }
        );
    }

    #[test]
    fn the_room_of_a_burst_is_given_back() {
        let config = RecorderConfig {
            shards: 1,
            shard_capacity: 10_000,
        };
        let recorder = Recorder::new(Vec::new(), config);
        let room = || recorder.shared.shards[0].waiting.lock().spans.capacity();
        let mut spans = Vec::new();
        for _ in 0..3 {
            (0..10_000).for_each(|_| recorder.record(span()));
            recorder.drain(&mut spans);
            spans.clear();
        }
        assert!(room() >= 10_000, "no allocation in the steady state");
        for _ in 0..3 {
            recorder.record(span());
            recorder.drain(&mut spans);
            spans.clear();
            assert!(room() <= 4 * MIN_ROOM, "{}", room());
        }
    }

    #[test]
    fn a_closed_recorder_refuses_and_keeps_what_it_has() {
        let recorder = Recorder::new(Vec::new(), RecorderConfig::default());
        recorder.record(span());
        recorder.close();
        recorder.record(span());
        assert_eq!(
            recorder.stats(),
            RecorderStats {
                recorded: 1,
                buffer_full: 0,
                closed: 1,
                waiting: 1,
                ..RecorderStats::default()
            }
        );
        assert_eq!(recorder.drain(&mut Vec::new()), 1);
    }

    #[test]
    fn nothing_is_lost_between_pushes_and_drains_of_several_threads() {
        let recorder = Recorder::new(
            Vec::new(),
            RecorderConfig {
                shards: 2,
                shard_capacity: 1000,
            },
        );
        let mut spans = Vec::new();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..20_000).for_each(|_| recorder.record(span())));
            }
            for _ in 0..200 {
                recorder.drain(&mut spans);
            }
        });
        recorder.drain(&mut spans);
        let stats = recorder.stats();
        assert_eq!(stats.recorded, spans.len() as u64);
        assert_eq!(stats.recorded + stats.buffer_full, 60_000);
    }
}
