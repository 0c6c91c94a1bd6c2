//! Questions about what is stored. Knows no HTTP.

pub mod activity;
mod age;
mod attribute;
mod bodies;
pub mod compare;
pub mod dependencies;
pub mod events;
pub mod executions;
pub mod gaps;
pub mod handled;
pub mod links;
mod lists;
pub mod metrics;
pub mod names;
pub mod outline;
pub mod predicate;
mod rank;
pub mod red;
pub mod search;
pub mod span;
pub mod state;
pub mod summary;
pub mod tail;
pub mod timing;
pub mod topology;
pub mod words;

use std::ops::Range;

use crate::error::{QueryError, StoreError};
use crate::model::{SpanId, SpanKind, Trace, TraceId};
use crate::store::reader::ReaderPool;
use crate::store::row::{SELECT, SpanReader};
use crate::store::trace_ids::NUMBER;

pub use activity::{Activities, Activity, By};
pub use dependencies::Dependency;
pub use events::{EventSearch, EventStory, Events};
pub use executions::{ExecutionSearch, Place, StoredExecution};
pub use gaps::{End, Gap, Gaps, Lost, Shown};
pub use links::LinkedFrom;
pub use metrics::{Metrics, Whose};
pub use names::{Service, Suggest};
pub use predicate::{Field, Predicate};
pub use red::{Measure, Red, RedSearch, RedSeries};
pub use search::{Found, FoundTraces, Search, Sort};
pub use span::{Matches, Performance, WholeSpan};
pub use state::ExecutionState;
pub use summary::{ServicePart, Summary};
pub use tail::{Tail, TailPlace};
pub use timing::Timing;
pub use topology::Topology;
pub use words::Words;

/// Answers questions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Query {
    pool: ReaderPool,
}

/// An operation of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Name of its spans.
    pub name: String,
    /// Kind of its spans.
    pub kind: SpanKind,
}

impl Query {
    pub(crate) fn new(pool: ReaderPool) -> Self {
        Self { pool }
    }

    /// What is not there of the spans of a process that was lost.
    pub async fn gaps(&self, lost: Lost) -> Result<Gaps, QueryError> {
        self.pool.read(move |conn| gaps::find(conn, &lost)).await
    }

    /// Whether a delivery of a publish to a group is there.
    pub async fn is_delivered(
        &self,
        trace: TraceId,
        publish: SpanId,
        group: String,
    ) -> Result<bool, QueryError> {
        self.pool
            .read(move |conn| gaps::is_delivered(conn, trace, publish, &group))
            .await
    }

    /// Agents that spans which began in this time are about. Times are ns since the Unix epoch.
    pub async fn agents(&self, during_ns: Range<u64>) -> Result<Vec<String>, QueryError> {
        self.pool
            .read(move |conn| gaps::agents(conn, &during_ns))
            .await
    }

    /// Reads whatever `work` wants.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, QueryError> {
        self.pool.read(work).await
    }

    /// The trace of that id with at most `max_spans` spans by start time; `None` if no span of it is known.
    pub async fn trace(&self, id: TraceId, max_spans: usize) -> Result<Option<Trace>, QueryError> {
        self.pool
            .read(move |conn| load_trace(conn, id, max_spans))
            .await
    }

    /// Names of all services, sorted.
    pub async fn services(&self) -> Result<Vec<String>, QueryError> {
        self.pool
            .read(|conn| {
                let mut statement =
                    conn.prepare_cached("SELECT name FROM services ORDER BY name")?;
                let names = statement.query_map([], |row| row.get(0))?;
                Ok(names.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Operations of a service by name; empty if the service is unknown.
    pub async fn operations(&self, service: String) -> Result<Vec<Operation>, QueryError> {
        self.pool
            .read(move |conn| {
                let mut statement = conn.prepare_cached(
                    "SELECT name, kind FROM operations WHERE service = ?1 ORDER BY name, kind",
                )?;
                let operations = statement.query_map([service], |row| {
                    Ok(Operation {
                        name: row.get(0)?,
                        kind: SpanKind::from_number(row.get(1)?),
                    })
                })?;
                Ok(operations.collect::<Result<_, _>>()?)
            })
            .await
    }
}

fn load_trace(
    conn: &rusqlite::Connection,
    id: TraceId,
    max_spans: usize,
) -> Result<Option<Trace>, StoreError> {
    let sql = format!("{SELECT} WHERE trace = {NUMBER} ORDER BY start_ns, id LIMIT ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let limit = i64::try_from(max_spans).unwrap_or(i64::MAX - 1) + 1;
    let mut rows = statement.query((&id.as_bytes()[..], limit))?;
    let mut reader = SpanReader::new(conn);
    let mut spans = Vec::new();
    while let Some(row) = rows.next()? {
        spans.push(reader.span(row)?);
    }
    let truncated = spans.len() > max_spans;
    spans.truncate(max_spans);
    Ok((!spans.is_empty()).then_some(Trace {
        id,
        spans,
        truncated,
    }))
}
