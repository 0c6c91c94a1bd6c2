//! Spans of publishes that a kill took with it, told again from the streams.
//!
//! A stream keeps with each event who its spans are. How far its spans have certainly left this process is marked once a
//! second; what was published after the mark of a server that was killed is told again by the next one. A span that had
//! left after all is told twice, with one id, and stored once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use loom_core::{Cursor, EventBus, Group, JournalError, Storage, Stream, Tracer, stand_in};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Parts;
use super::deliveries::{self, Untold};

/// The mark's name among the cursors of the groups. No group can have it.
const MARK: &str = "~spans";
/// How often the marks are set.
const INTERVAL: Duration = Duration::from_secs(1);
/// A pipeline that has not handed on its spans by then is tried again later.
const PATIENCE: Duration = Duration::from_secs(1);
/// Read from a journal at once.
const READ_BYTES: usize = 256 * 1024;

/// Tells again what the server before this one could not, and then marks how far this one has come, until `end`.
pub(super) async fn run(parts: Parts, end: CancellationToken) {
    let Parts {
        bus,
        tracer,
        pipeline,
        untold,
        ..
    } = parts;
    let Some(()) = end.run_until_cancelled(retell(&bus, &tracer)).await else {
        return;
    };
    let mut due = interval(INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut set = Marks::default();
    let mut before = Marks::now(&bus, &untold);
    while end.run_until_cancelled(due.tick()).await.is_some() {
        // The span of a publish ends a little later than the disk has its event: what was there at the last turn has
        // had a second for it.
        let marks = std::mem::replace(&mut before, Marks::now(&bus, &untold));
        if marks.is_as(&set) {
            continue;
        }
        let (bus, pipeline) = (bus.clone(), pipeline.clone());
        let done = super::blocking(move || {
            let is_drained = pipeline.drain(Instant::now() + PATIENCE);
            is_drained.then(|| marks.set(&bus)).map(|()| marks)
        });
        set = done.await.unwrap_or(set);
    }
}

/// All spans have left this process: there is nothing to be told again. Blocks for as long as the disk takes.
pub(super) fn finish(bus: &EventBus, untold: &Untold) {
    Marks::now(bus, untold).set(bus);
}

/// A stream in memory ends with the server: the next one has nothing to tell of it.
fn is_durable(stream: &Stream) -> bool {
    stream.journal().storage() == Storage::Disk
}

fn durable(bus: &EventBus) -> impl Iterator<Item = &Arc<Stream>> {
    bus.streams().iter().filter(|stream| is_durable(stream))
}

async fn retell(bus: &EventBus, tracer: &Tracer) {
    for stream in durable(bus) {
        match retell_stream(stream, tracer).await {
            Ok(0) => {}
            Ok(spans) => tracing::info!(
                stream = stream.name(),
                spans,
                "told again the spans that the last server may not have handed on"
            ),
            Err(error) => {
                tracing::error!(%error, stream = stream.name(), "spans of a stream cannot be told again");
            }
        }
    }
}

async fn retell_stream(stream: &Stream, tracer: &Tracer) -> Result<u64, JournalError> {
    let mut told = 0;
    let end = stream.journal().end();
    let mut next = marked(stream).await?.max(stream.journal().begin());
    while next < end {
        let journal = stream.journal().clone();
        let read = super::blocking(move || journal.read(next, READ_BYTES)).await?;
        next = read.next;
        for (_, event) in &read.events {
            for span in stand_in::of_publish(event) {
                tracer.record(span).await;
                told += 1;
            }
        }
    }
    Ok(told)
}

async fn marked(stream: &Stream) -> Result<u64, JournalError> {
    let journal = stream.journal().clone();
    let mark = super::blocking(move || journal.load_cursor(MARK)).await?;
    Ok(mark.map_or(0, |mark| mark.floor))
}

/// How far streams and groups have come that outlive the server.
#[derive(Debug, Default)]
struct Marks {
    streams: Vec<u64>,
    groups: Vec<(Arc<Group>, Cursor)>,
}

impl Marks {
    fn now(bus: &EventBus, untold: &Untold) -> Self {
        let groups = bus.groups().into_iter();
        let groups = groups.filter(|group| is_durable(group.stream()) && !untold.has(group));
        Self {
            streams: durable(bus).map(|stream| stream.journal().end()).collect(),
            groups: groups
                .map(|group| {
                    let progress = group.progress();
                    (group, progress)
                })
                .collect(),
        }
    }

    fn is_as(&self, other: &Self) -> bool {
        let groups = self.groups.iter().zip(&other.groups);
        let are_as = |((one, here), (other, there)): (&(_, _), &(_, _))| {
            Arc::ptr_eq(one, other) && here == there
        };
        self.streams == other.streams
            && self.groups.len() == other.groups.len()
            && groups.into_iter().all(are_as)
    }

    fn set(&self, bus: &EventBus) {
        for (stream, &floor) in durable(bus).zip(&self.streams) {
            let mark = Cursor {
                floor,
                ..Cursor::default()
            };
            if let Err(error) = stream.journal().save_cursor(MARK, &mark) {
                tracing::warn!(%error, stream = stream.name(), "how far the spans of a stream have come cannot be marked");
            }
        }
        for (group, progress) in &self.groups {
            deliveries::mark(group, progress);
        }
    }
}
