//! Deliveries that a kill took with it: a group's book says that it has settled an event, and neither the server nor the
//! agent lived to tell how.
//!
//! Beside the mark of a stream's spans stands how far each group had come when that was set. What a group has settled since
//! then is looked for in the store when its agents have had time to tell, and told again where it is not there.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loom_core::{Cursor, EventBus, Group, JournalError, Stream, Tracer, stand_in};
use loom_proto::topic;
use loom_trace::model::{SpanId, TraceId};
use loom_trace::{QueryError, TraceStore};

/// Read from a journal at once.
const READ_BYTES: usize = 256 * 1024;
/// What the marks' names begin with, among the cursors of the groups. No group can have it.
const MARK: &str = "~deliveries.";

/// What the groups have settled since the marks were set.
pub(super) struct LostDeliveries {
    groups: Vec<Since>,
    untold: Untold,
}

/// Groups of which something is still to be told, by stream and name. Their marks stay where they are: the server may be killed
/// once more before it has come to it. Clones are the same set.
#[derive(Clone, Debug, Default)]
pub(super) struct Untold(Arc<Mutex<BTreeSet<(String, String)>>>);

struct Since {
    stream: Arc<Stream>,
    group: String,
    marked: Cursor,
    settled: Cursor,
}

/// A group's deliveries cannot be looked for.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl LostDeliveries {
    /// Reads the books before any group goes on. Blocks for as long as the disk takes.
    pub(super) fn read(bus: &EventBus) -> Self {
        let mut groups = Vec::new();
        for stream in bus.streams() {
            match read(stream) {
                Ok(found) => groups.extend(found),
                Err(error) => {
                    tracing::error!(%error, stream = stream.name(), "deliveries of the last server cannot be looked for");
                }
            }
        }
        let names = groups.iter().map(Since::names);
        let untold = Untold(Arc::new(Mutex::new(names.collect())));
        Self { groups, untold }
    }

    /// The groups that are not told yet.
    pub(super) fn untold(&self) -> Untold {
        self.untold.clone()
    }

    /// Whether nothing is left to be told.
    pub(super) fn is_told(&self) -> bool {
        self.groups.is_empty()
    }

    /// Tells again what is not in the store, of the groups that somebody has joined: without a member nobody knows what a group
    /// wants.
    pub(super) async fn tell(&mut self, bus: &EventBus, store: &TraceStore, tracer: &Tracer) {
        let open = bus.groups();
        let mut later = Vec::new();
        for since in std::mem::take(&mut self.groups) {
            let mut open = open.iter();
            let is_it = |group: &&Arc<Group>| {
                group.name() == since.group && Arc::ptr_eq(group.stream(), &since.stream)
            };
            let Some(group) = open.find(is_it) else {
                later.push(since);
                continue;
            };
            match since.tell(group, store, tracer).await {
                Ok(told) => {
                    self.untold.lock().remove(&since.names());
                    if told > 0 {
                        tracing::info!(
                            group = group.name(),
                            deliveries = told,
                            "told again deliveries that nobody had lived to tell"
                        );
                    }
                }
                Err(error) => {
                    tracing::error!(%error, group = group.name(), "lost deliveries cannot be told again yet");
                    later.push(since);
                }
            }
        }
        self.groups = later;
    }
}

/// Marks how far a group had come when all spans of its deliveries had left this process. Blocks for as long as the disk takes.
pub(super) fn mark(group: &Group, progress: &Cursor) {
    let name = format!("{MARK}{}", group.name());
    if let Err(error) = group.stream().journal().save_cursor(&name, progress) {
        tracing::warn!(%error, group = group.name(), "how far the deliveries of a group are told cannot be marked");
    }
}

fn read(stream: &Arc<Stream>) -> Result<Vec<Since>, JournalError> {
    let journal = stream.journal();
    let mut found = Vec::new();
    for group in journal.cursors()? {
        let Some(settled) = journal.load_cursor(&group)? else {
            continue;
        };
        let marked = journal.load_cursor(&format!("{MARK}{group}"))?;
        found.push(Since {
            stream: Arc::clone(stream),
            group,
            marked: marked.unwrap_or_else(|| Cursor::at(settled.began)),
            settled,
        });
    }
    Ok(found)
}

impl Untold {
    /// Whether something of a group is still to be told.
    pub(super) fn has(&self, group: &Group) -> bool {
        let names = (group.stream().name().to_owned(), group.name().to_owned());
        self.lock().contains(&names)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Since {
    fn names(&self) -> (String, String) {
        (self.stream.name().to_owned(), self.group.clone())
    }

    async fn tell(
        &self,
        group: &Group,
        store: &TraceStore,
        tracer: &Tracer,
    ) -> Result<u64, LookError> {
        let last = self.settled.settled.last();
        let end = last.map_or(self.settled.floor, |range| range.end);
        let mut next = self.marked.floor;
        let mut told = 0;
        while next < end {
            let journal = Arc::clone(self.stream.journal());
            let read = super::blocking(move || journal.read(next, READ_BYTES)).await?;
            if read.next <= next {
                break;
            }
            next = read.next;
            for (offset, event) in read.events {
                let is_new = self.settled.has_settled(offset) && !self.marked.has_settled(offset);
                let Some(trace) = event.sampled_trace() else {
                    continue;
                };
                let ids = TraceId::from_bytes(&trace.trace_id.0)
                    .zip(SpanId::from_bytes(&trace.span_id.0));
                let Some((trace_id, publish)) = ids else {
                    continue;
                };
                if !is_new || !topic::matches(group.pattern(), event.topic()) {
                    continue;
                }
                let query = store.query();
                let name = group.name().to_owned();
                if query.is_delivered(trace_id, publish, name).await? {
                    continue;
                }
                let pattern = group.pattern();
                let delivery = stand_in::of_delivery(&event, trace, pattern, group.name());
                tracer.record(delivery).await;
                told += 1;
            }
        }
        Ok(told)
    }
}
