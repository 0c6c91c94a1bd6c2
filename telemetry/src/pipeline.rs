//! The thread between recorders and sinks.
//!
//! One thread, `loom-spans`, takes the spans out of every recorder at an interval, or sooner when a buffer is half
//! full, encodes them once for each resource and hands the same bytes to every sink. The books balance: for each sink,
//! `recorded = exported + dropped + queued` at every moment at which nothing moves ([`PipelineStats`]).
//!
//! # Fork
//! A thread does not survive `fork`. The child builds a pipeline and recorders of its own and never touches those that
//! it inherited, not even by recording a span: a lock may have been held when the process was copied. Only letting go
//! of an inherited handle is safe: in another process than that of its making it does nothing. The child also calls
//! [`ids::reseed`](crate::ids::reseed).

mod registry;
mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::drainer::Drainer;
use crate::record::Value;
use crate::recorder::{Recorder, RecorderConfig};
use crate::sink::{Account, DropCounts, SinkStats, SpanSink};
use registry::{Registry, Stage};
use worker::Worker;

/// How spans are taken and packed.
#[derive(Clone, Copy, Debug)]
pub struct PipelineConfig {
    /// Longest time that a span waits in its recorder, and shortest time between two drains that nobody asked for.
    pub interval: Duration,
    /// Most spans of one request.
    pub batch_spans: usize,
    /// Most bytes of one request; the default keeps below the 4 MiB that gRPC servers take. A single span that is
    /// larger still makes a request of its own.
    pub batch_bytes: usize,
    /// Buffers of each recorder.
    pub recorder: RecorderConfig,
}

/// The pipeline could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operating system gave no thread.
    #[error(
        "cannot start the thread that exports spans: {0}; raise the limit of processes and threads"
    )]
    Thread(#[from] std::io::Error),
}

/// A handle; clones share the thread. When the last one is dropped the thread hands on what is recorded and ends, and
/// nobody waits for it: [`shutdown`](Pipeline::shutdown) waits.
#[derive(Clone, Debug)]
pub struct Pipeline {
    owner: Arc<Owner>,
}

#[derive(Debug)]
struct Owner {
    registry: Arc<Registry>,
    /// The process that has the thread.
    process: u32,
}

/// Counters of a pipeline. `recorded = waiting + exported + dropped + queued` for each sink, when nothing moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineStats {
    /// Spans that the recorders took.
    pub recorded: u64,
    /// Spans that the recorders refused: `buffer_full`, or `shutdown` for those that came after it.
    pub refused: DropCounts,
    /// Spans that no sink has been given yet.
    pub waiting: u64,
    /// Spans that were not recorded because their trace is not sampled.
    pub sampled_out: u64,
    /// What became of the others, sink by sink.
    pub sinks: Vec<SinkStats>,
}

/// What a flush or a shutdown achieved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushReport {
    /// True when everything recorded before the call was settled in time: exported, or dropped and counted.
    pub is_complete: bool,
    /// The counters afterwards.
    pub stats: PipelineStats,
}

/// How long a shutdown goes on beyond its deadline for sinks to let go of what they hold.
const CLOSE_GRACE: Duration = Duration::from_millis(250);

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            // Short, so that a drain is small: what encodes and stores spans runs on the cores that carry events.
            interval: Duration::from_millis(50),
            batch_spans: 2048,
            batch_bytes: 3 << 20,
            recorder: RecorderConfig::default(),
        }
    }
}

// ---- Pipeline ----

impl Pipeline {
    /// Starts the thread, which owns the sinks from now on. Without any sink spans are taken and forgotten.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(
        sinks: Vec<Box<dyn SpanSink>>,
        config: PipelineConfig,
    ) -> Result<Self, StartError> {
        let accounts: Vec<_> = sinks.iter().map(|sink| Account::new(sink.name())).collect();
        let registry = Arc::new(Registry::new(config, accounts.clone()));
        let sinks = sinks.into_iter().zip(accounts).collect();
        let worker = Worker::new(Arc::clone(&registry), sinks);
        let thread = std::thread::Builder::new()
            .name("loom-spans".to_owned())
            .spawn(move || worker.run())?;
        registry.set_drainer(Drainer::new(thread.thread().clone()));
        Ok(Self {
            owner: Arc::new(Owner {
                registry,
                process: std::process::id(),
            }),
        })
    }

    /// A recorder whose spans belong to `resource`. It is drained as long as the pipeline lives; when its last handle
    /// is dropped it is drained once more and forgotten. After the shutdown it refuses all spans.
    pub fn recorder(&self, resource: Vec<(Value, Value)>) -> Recorder {
        self.owner.registry.register(resource)
    }

    /// Hands on what is recorded; true when all sinks have been given it. What they make of it, [`flush`](Self::flush)
    /// waits for.
    ///
    /// # Cancel safety
    /// Blocks the calling thread until then or until `deadline`: async code calls it in `spawn_blocking`.
    pub fn drain(&self, deadline: Instant) -> bool {
        self.owner.registry.drain(deadline)
    }

    /// Hands on what is recorded and waits until all sinks have settled it.
    ///
    /// # Cancel safety
    /// Blocks the calling thread until then or until `deadline`: async code calls it in `spawn_blocking`.
    pub fn flush(&self, deadline: Instant) -> FlushReport {
        let registry = &self.owner.registry;
        let is_drained = registry.drain(deadline);
        self.report(is_drained && registry.wait_settled(deadline))
    }

    /// Stops the intake, hands on what is recorded, waits until all sinks have settled it and closes them. What they
    /// have not settled by `deadline` they drop and count. Later calls report the same again.
    ///
    /// # Cancel safety
    /// Blocks the calling thread until then, a quarter of a second beyond `deadline` at the most: async code calls it in
    /// `spawn_blocking`.
    pub fn shutdown(&self, deadline: Instant) -> FlushReport {
        let registry = &self.owner.registry;
        registry.advance(Stage::Stopping);
        let is_drained = registry.drain(deadline);
        let is_settled = is_drained && registry.wait_settled(deadline);
        registry.advance(Stage::Closing);
        registry.wait_ended(deadline.max(Instant::now()) + CLOSE_GRACE);
        self.report(is_settled)
    }

    /// The counters.
    pub fn stats(&self) -> PipelineStats {
        self.owner.registry.stats()
    }

    fn report(&self, is_complete: bool) -> FlushReport {
        FlushReport {
            is_complete,
            stats: self.stats(),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if std::process::id() == self.process {
            self.registry.advance(Stage::Closing);
        }
    }
}

impl PipelineStats {
    /// Spans lost before any sink, or in the sink of this name.
    pub fn dropped(&self, sink: &str) -> DropCounts {
        let mut dropped = self.refused;
        for sink in self.sinks.iter().filter(|stats| stats.name == sink) {
            for (reason, spans) in sink.dropped.iter() {
                dropped.add(reason, spans);
            }
        }
        dropped
    }

    /// Whether `recorded = waiting + exported + dropped + queued` holds for every sink.
    pub fn is_balanced(&self) -> bool {
        self.sinks.iter().all(|sink| {
            self.recorded == self.waiting + sink.exported + sink.dropped.total() + sink.queued
        })
    }
}

impl std::fmt::Display for FlushReport {
    /// One line for logs: `spans: 120 recorded; otlp: 100 exported, 20 dropped (expired 20)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "spans: {} recorded", self.stats.recorded)?;
        write_drops(f, "refused", &self.stats.refused)?;
        write_count(f, "waiting", self.stats.waiting)?;
        for sink in &self.stats.sinks {
            write!(f, "; {}: {} exported", sink.name, sink.exported)?;
            write_drops(f, "dropped", &sink.dropped)?;
            write_count(f, "queued", sink.queued)?;
        }
        Ok(())
    }
}

fn write_count(f: &mut std::fmt::Formatter<'_>, what: &str, count: u64) -> std::fmt::Result {
    if count == 0 {
        return Ok(());
    }
    write!(f, ", {count} {what}")
}

fn write_drops(
    f: &mut std::fmt::Formatter<'_>,
    what: &str,
    drops: &DropCounts,
) -> std::fmt::Result {
    write_count(f, what, drops.total())?;
    for (position, (reason, count)) in drops.iter().enumerate() {
        let before = if position == 0 { " (" } else { ", " };
        write!(f, "{before}{reason} {count}")?;
    }
    if drops.total() > 0 {
        f.write_str(")")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
