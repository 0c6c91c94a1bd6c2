//! What handles and thread share: the recorders, the stage, and who waits for whom.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::{PipelineConfig, PipelineStats};
use crate::drainer::Drainer;
use crate::record::Value;
use crate::recorder::{Recorder, RecorderStats};
use crate::sink::{Account, DropCounts, DropReason};

/// Stages are passed in this order and never backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Running,
    /// No new spans; what is recorded is handed on.
    Stopping,
    /// The thread hands on what is left and lets the sinks go.
    Closing,
    /// The thread is gone.
    Ended,
}

#[derive(Debug)]
pub(super) struct Registry {
    pub(super) config: PipelineConfig,
    accounts: Vec<Arc<Account>>,
    state: Mutex<State>,
    changed: Condvar,
    /// Set before any other thread can hold a handle.
    drainer: OnceLock<Arc<Drainer>>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    recorders: Vec<Recorder>,
    /// Counters of the recorders that are gone.
    gone: RecorderStats,
    /// Spans that the thread has drained and not yet handed to the sinks.
    in_hand: u64,
    /// Drains that somebody asked for, and those that are done.
    drains_asked: u64,
    drains_done: u64,
}

/// What the thread has to do now.
pub(super) struct Errand {
    pub(super) stage: Stage,
    /// Each with whether this is its last drain.
    pub(super) recorders: Vec<(Recorder, bool)>,
    /// To be given back when it is done.
    pub(super) asked: u64,
    pub(super) is_awaited: bool,
}

impl Registry {
    pub(super) fn new(config: PipelineConfig, accounts: Vec<Arc<Account>>) -> Self {
        Self {
            config,
            accounts,
            state: Mutex::new(State {
                stage: Stage::Running,
                recorders: Vec::new(),
                gone: RecorderStats::default(),
                in_hand: 0,
                drains_asked: 0,
                drains_done: 0,
            }),
            changed: Condvar::new(),
            drainer: OnceLock::new(),
        }
    }

    pub(super) fn set_drainer(&self, drainer: Drainer) {
        self.drainer
            .set(Arc::new(drainer))
            .expect("a pipeline sets its thread once, when it starts");
    }

    fn hurry(&self) {
        if let Some(drainer) = self.drainer.get() {
            drainer.hurry();
        }
    }

    // ---- for handles ----

    pub(super) fn register(&self, resource: Vec<(Value, Value)>) -> Recorder {
        let recorder = Recorder::new(resource, self.config.recorder);
        if let Some(drainer) = self.drainer.get() {
            recorder.set_drainer(Arc::clone(drainer));
        }
        let mut state = self.state.lock();
        if state.stage > Stage::Running {
            recorder.close();
        }
        state.recorders.push(recorder.clone());
        recorder
    }

    /// Enters a stage, unless it or a later one has been reached.
    pub(super) fn advance(&self, to: Stage) {
        let mut state = self.state.lock();
        if state.stage >= to {
            return;
        }
        state.stage = to;
        for recorder in &state.recorders {
            recorder.close();
        }
        drop(state);
        self.hurry();
        self.changed.notify_all();
    }

    /// Has all recorders drained into the sinks; false when that did not happen before the deadline.
    pub(super) fn drain(&self, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        state.drains_asked += 1;
        let mine = state.drains_asked;
        self.hurry();
        self.wait(&mut state, deadline, |state| {
            state.drains_done >= mine || state.stage == Stage::Ended
        }) && state.in_hand == 0
    }

    pub(super) fn wait_settled(&self, deadline: Instant) -> bool {
        // Each gets its chance, even when the one before it has used the time up.
        let unsettled = self
            .accounts
            .iter()
            .filter(|account| !account.wait(deadline));
        unsettled.count() == 0
    }

    pub(super) fn wait_ended(&self, deadline: Instant) {
        let mut state = self.state.lock();
        // What is lost when this takes too long, the counters say.
        let _is_ended = self.wait(&mut state, deadline, |state| state.stage == Stage::Ended);
    }

    fn wait(
        &self,
        state: &mut parking_lot::MutexGuard<'_, State>,
        deadline: Instant,
        is_reached: impl Fn(&State) -> bool,
    ) -> bool {
        while !is_reached(state) {
            if self.changed.wait_until(state, deadline).timed_out() {
                return is_reached(state);
            }
        }
        true
    }

    pub(super) fn stats(&self) -> PipelineStats {
        let state = self.state.lock();
        let mut sum = state.gone;
        for recorder in &state.recorders {
            add(&mut sum, recorder.stats());
        }
        let waiting = sum.waiting + state.in_hand;
        drop(state);
        let mut refused = DropCounts::default();
        refused.add(DropReason::BufferFull, sum.buffer_full);
        refused.add(DropReason::Shutdown, sum.closed);
        PipelineStats {
            recorded: sum.recorded,
            refused,
            waiting,
            sampled_out: sum.sampled_out,
            sinks: self
                .accounts
                .iter()
                .map(|account| account.stats())
                .collect(),
        }
    }

    // ---- for the thread ----

    /// Waits until the next drain is due.
    pub(super) fn rest(&self) {
        let is_something = || {
            self.state
                .lock()
                .recorders
                .iter()
                .any(Recorder::needs_drain)
        };
        // The handle that started this thread may not have said yet who drains.
        self.drainer.wait().rest(self.config.interval, is_something);
    }

    pub(super) fn errand(&self) -> Errand {
        let state = self.state.lock();
        Errand {
            stage: state.stage,
            recorders: state
                .recorders
                .iter()
                .map(|recorder| (recorder.is_abandoned(), recorder))
                .map(|(is_abandoned, recorder)| (recorder.clone(), is_abandoned))
                .collect(),
            asked: state.drains_asked,
            is_awaited: state.drains_asked > state.drains_done,
        }
    }

    /// Takes the spans out of a recorder; the counters never miss one meanwhile.
    pub(super) fn take(&self, recorder: &Recorder, into: &mut Vec<crate::SpanRecord>) {
        let mut state = self.state.lock();
        state.in_hand += recorder.drain(into) as u64;
    }

    pub(super) fn handed_over(&self, spans: usize) {
        self.state.lock().in_hand -= spans as u64;
    }

    pub(super) fn forget(&self, recorder: &Recorder) {
        let mut state = self.state.lock();
        state.recorders.retain(|other| !other.is_same(recorder));
        add(&mut state.gone, recorder.stats());
    }

    pub(super) fn drained(&self, asked: u64) {
        self.state.lock().drains_done = asked;
        self.changed.notify_all();
    }

    pub(super) fn ended(&self) {
        // Also after a panic in a sink: then nobody will ever drain the recorders again.
        self.advance(Stage::Ended);
    }
}

fn add(sum: &mut RecorderStats, stats: RecorderStats) {
    sum.recorded += stats.recorded;
    sum.buffer_full += stats.buffer_full;
    sum.closed += stats.closed;
    sum.waiting += stats.waiting;
    sum.sampled_out += stats.sampled_out;
}
