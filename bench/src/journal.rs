//! Publishes that the disk must have, one at a time, beside what the disk itself takes; and journals to be opened by others.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use loom_core::{BusConfig, Event, EventBus, Journal, JournalError, Stream, StreamConfig, Tracer};
use loom_journal::{EventLog, LogConfig, SyncPolicy};
use tokio::runtime::Runtime;

use crate::figure::Finding;

const TOPIC: &str = "bench.durable";
/// Of an event whose publish is timed, as everywhere in these benches.
const PAYLOAD: [u8; 256] = [b'x'; 256];
/// Of an event in a journal that shall be long.
const LONG_PAYLOAD: [u8; 1024] = [b'x'; 1024];
/// Bytes of a block with one such event: what a publish writes.
const BLOCK: [u8; 400] = [b'x'; 400];

/// One run on the disk below a directory.
#[derive(Clone)]
pub(crate) struct Durable {
    pub(crate) directory: PathBuf,
    pub(crate) publishes: u32,
}

impl Durable {
    /// Microseconds, at the median, of one write and one sync of its data: what the machine itself takes.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn sync_alone(&self) -> anyhow::Result<Finding> {
        let directory = self.temporary()?;
        let file = File::create_new(directory.path().join("block"))?;
        file.set_len(LogConfig::default().segment_bytes)?;
        file.sync_all()?;
        let mut at = 0;
        self.median(|| {
            file.write_all_at(&BLOCK, at)?;
            at += BLOCK.len() as u64;
            Ok(file.sync_data()?)
        })
    }

    /// Microseconds, at the median, of a publish to a stream until it counts.
    ///
    /// # Errors
    /// The disk failed, or the event was not kept.
    pub(crate) fn publish(&self, runtime: &Runtime) -> anyhow::Result<Finding> {
        let directory = self.temporary()?;
        let (log, _) = EventLog::open(directory.path(), LogConfig::default())?;
        let stream = Stream::open(StreamConfig::new("bench", &[TOPIC]), Arc::new(log))?;
        let bus = EventBus::with_streams(BusConfig::default(), Tracer::off(), vec![stream])?;
        // From a task, as in the server.
        let task = |bus: EventBus| async move {
            let event = Event::on(TOPIC, &PAYLOAD[..])?;
            let begin = Instant::now();
            let published = bus.publish_and_commit(event).await?;
            ensure!(published.stored.is_some(), "the stream did not keep it");
            Ok(begin.elapsed())
        };
        self.median_of(|| runtime.block_on(runtime.spawn(task(bus.clone())))?)
    }

    fn temporary(&self) -> anyhow::Result<tempfile::TempDir> {
        tempfile::Builder::new()
            .prefix("loom-bench-")
            .tempdir_in(&self.directory)
            .with_context(|| format!("no directory in {}", self.directory.display()))
    }

    fn median(&self, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Finding> {
        self.median_of(|| {
            let begin = Instant::now();
            work()?;
            Ok(begin.elapsed())
        })
    }

    fn median_of(
        &self,
        mut time: impl FnMut() -> anyhow::Result<Duration>,
    ) -> anyhow::Result<Finding> {
        let times = (0..self.publishes).map(|_| time());
        let mut times = times.collect::<anyhow::Result<Vec<_>>>()?;
        times.sort();
        Ok(Finding {
            value: times[times.len() / 2].as_secs_f64() * 1e6,
            note: None,
        })
    }
}

/// Writes a journal of at least so many bytes, for others to open.
///
/// # Errors
/// The disk failed.
pub(crate) fn fill(directory: &Path, bytes: u64) -> anyhow::Result<()> {
    let config = LogConfig {
        sync: SyncPolicy::Never,
        ..LogConfig::default()
    };
    let (log, _) = EventLog::open(directory, config)?;
    while log.log().bytes() < bytes {
        let event = Event::on(TOPIC, &LONG_PAYLOAD[..])?;
        match log.append(&event) {
            Ok(_) => {}
            // The writer has enough to do.
            Err(JournalError::Full) => std::thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
