//! Executions: handlers that have run, as their spans tell. The view `executions` says what each column is.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, Row, params_from_iter};

use super::Query;
use super::search::InvalidPlace;
use super::state::ExecutionState;
use crate::error::{QueryError, StoreError};
use crate::model::{Attributes, SpanId, TraceId, Value};
use crate::store::row::{from_json, signed};

/// What to look for. What is `None` or empty does not restrict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecutionSearch {
    /// Names of states, in upper case.
    pub states: Vec<String>,
    /// The agent that ran it.
    pub agent: Option<String>,
    /// The workflow that it belongs to.
    pub workflow: Option<String>,
    /// Start not before this, ns since the Unix epoch.
    pub from_ns: Option<u64>,
    /// Start before this, ns since the Unix epoch.
    pub to_ns: Option<u64>,
    /// Only what comes after this place.
    pub after: Option<Place>,
    /// Executions to return.
    pub limit: usize,
}

/// Where a page of executions, or of events, ends: they are sorted by it, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub(super) start_ns: i64,
    pub(super) id: i64,
}

/// A handler that has run.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredExecution {
    /// Where it stands in the list.
    pub place: Place,
    /// Its trace.
    pub trace_id: TraceId,
    /// The handler's span.
    pub span_id: SpanId,
    /// The span that handed it over; `None` where that was not recorded.
    pub parent_span_id: Option<SpanId>,
    /// Agent that ran it; empty when unknown.
    pub agent: String,
    /// Topic of the event, or the capability; empty when unknown.
    pub operation: String,
    /// What has become of it.
    pub state: ExecutionState,
    /// ns since the Unix epoch.
    pub start_ns: u64,
    /// ns since the Unix epoch.
    pub end_ns: u64,
    /// Why it did not come to its end; empty when it did.
    pub error_message: String,
    /// Workflow, user and thread that it belongs to.
    pub workflow_id: Option<String>,
    /// See `workflow_id`.
    pub user_id: Option<String>,
    /// See `workflow_id`.
    pub thread_id: Option<String>,
    /// All that the span says.
    pub attributes: Attributes,
}

impl StoredExecution {
    /// Its id: that of the span that handed it over, or its own where there is none.
    pub fn id(&self) -> SpanId {
        self.parent_span_id.unwrap_or(self.span_id)
    }

    /// An attribute that is text; empty where there is none.
    pub fn text(&self, key: &str) -> &str {
        match self.attributes.get(key) {
            Some(Value::String(text)) => text,
            _ => "",
        }
    }

    /// Which attempt of its delivery it was, from 1.
    pub fn attempt(&self) -> i64 {
        let key = loom_proto::semconv::attribute::MESSAGING_DELIVERY_ATTEMPT;
        match self.attributes.get(key) {
            Some(Value::Int(attempt)) => *attempt,
            _ => 1,
        }
    }
}

impl Query {
    /// Executions, the newest first.
    pub async fn executions(
        &self,
        search: ExecutionSearch,
    ) -> Result<Vec<StoredExecution>, QueryError> {
        self.pool.read(move |conn| list(conn, &search)).await
    }

    /// The execution of that id; `None` when no handler of it has ended.
    pub async fn execution(&self, id: SpanId) -> Result<Option<StoredExecution>, QueryError> {
        self.pool.read(move |conn| find(conn, id)).await
    }

    /// How many executions ended in each state, of those that a search would find in all; its page does not matter.
    pub async fn execution_states(
        &self,
        search: ExecutionSearch,
    ) -> Result<BTreeMap<String, u64>, QueryError> {
        self.pool.read(move |conn| count(conn, &search)).await
    }
}

const SELECT: &str =
    "SELECT start_ns, id, trace_id, span_id, parent_span_id, agent_id, operation, state, end_ns,
    status_message, workflow_id, user_id, thread_id, attributes FROM executions";
const COMPLETED: &str = "COMPLETED";
/// The state as [`ExecutionState::ended`] reads it: what else a span says of itself is a failure, to find and to count.
const STATE: &str = "iif(state IN ('COMPLETED', 'TIMEOUT', 'DEAD'), state, 'FAILED')";

fn list(conn: &Connection, search: &ExecutionSearch) -> Result<Vec<StoredExecution>, StoreError> {
    let mut conditions = Conditions::of(search);
    if let Some(Place { start_ns, id }) = search.after {
        // The first one alone is what an index can use.
        conditions.and("start_ns <= ?", start_ns);
        conditions.and("(start_ns, id) < (?, ?)", start_ns);
        conditions.values.push(id.into());
    }
    conditions.are(&search.states);
    let limit = i64::try_from(search.limit).unwrap_or(i64::MAX);
    conditions.values.push(limit.into());
    let sql = format!(
        "{SELECT} WHERE {} ORDER BY start_ns DESC, id DESC LIMIT ?",
        conditions.sql
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(conditions.values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn find(conn: &Connection, id: SpanId) -> Result<Option<StoredExecution>, StoreError> {
    let bytes = &id.as_bytes()[..];
    // A handler whose delivery was not recorded has no other id than its own.
    for condition in [
        "parent_span_id = ?1",
        "parent_span_id IS NULL AND span_id = ?1",
    ] {
        let sql = format!("{SELECT} WHERE {condition} LIMIT 1");
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([bytes])?;
        if let Some(row) = rows.next()? {
            return read(row).map(Some);
        }
    }
    Ok(None)
}

fn count(conn: &Connection, search: &ExecutionSearch) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut states = BTreeMap::new();
    let wants = |state: &str| search.states.is_empty() || search.states.iter().any(|s| s == state);
    // Most have completed, and those are counted in the index alone.
    if wants(COMPLETED) {
        let Conditions { sql, values } = Conditions::of(search);
        // Columns of the view that nobody reads are left out of a plain list alone, and the limit keeps it one.
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM executions WHERE {sql} AND status <> 2 LIMIT -1)"
        );
        let completed: i64 = conn
            .prepare_cached(&sql)?
            .query_row(params_from_iter(values), |row| row.get(0))?;
        if completed > 0 {
            states.insert(COMPLETED.to_owned(), completed.unsigned_abs());
        }
    }
    let Conditions { sql, values } = Conditions::of(search);
    let sql =
        format!("SELECT {STATE}, count(*) FROM executions WHERE {sql} AND status = 2 GROUP BY 1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        let state: String = row.get(0)?;
        if wants(&state) {
            states.insert(state, row.get::<_, i64>(1)?.unsigned_abs());
        }
    }
    Ok(states)
}

fn read(row: &Row<'_>) -> Result<StoredExecution, StoreError> {
    let text = |at: usize| -> rusqlite::Result<String> {
        Ok(row.get::<_, Option<String>>(at)?.unwrap_or_default())
    };
    let not_an_id = |at| {
        rusqlite::Error::FromSqlConversionFailure(
            at,
            rusqlite::types::Type::Blob,
            "not an id".into(),
        )
    };
    let span = |at: usize| -> rusqlite::Result<Option<SpanId>> {
        let bytes: Option<[u8; 8]> = row.get(at)?;
        Ok(bytes.and_then(|bytes| SpanId::from_bytes(&bytes)))
    };
    let place = Place {
        start_ns: row.get(0)?,
        id: row.get(1)?,
    };
    Ok(StoredExecution {
        place,
        trace_id: TraceId::from_bytes(&row.get::<_, [u8; 16]>(2)?).ok_or_else(|| not_an_id(2))?,
        span_id: span(3)?.ok_or_else(|| not_an_id(3))?,
        parent_span_id: span(4)?,
        agent: text(5)?,
        operation: text(6)?,
        state: ExecutionState::ended(&text(7)?),
        start_ns: place.start_ns.cast_unsigned(),
        end_ns: row.get::<_, i64>(8)?.cast_unsigned(),
        error_message: text(9)?,
        workflow_id: row.get(10)?,
        user_id: row.get(11)?,
        thread_id: row.get(12)?,
        attributes: from_json("attributes", Some(&text(13)?))?,
    })
}

/// The WHERE of a search, and the values in it.
struct Conditions {
    sql: String,
    values: Vec<SqlValue>,
}

impl Conditions {
    /// All but the states and the page.
    fn of(search: &ExecutionSearch) -> Self {
        let mut conditions = Self {
            sql: "1".to_owned(),
            values: Vec::new(),
        };
        if let Some(agent) = &search.agent {
            conditions.and("agent_id = ?", agent.clone());
        }
        if let Some(workflow) = &search.workflow {
            conditions.and("workflow_id = ?", workflow.clone());
        }
        if let Some(from) = search.from_ns {
            conditions.and("start_ns >= ?", signed(from));
        }
        if let Some(to) = search.to_ns {
            conditions.and("start_ns < ?", signed(to));
        }
        conditions
    }

    fn and(&mut self, condition: &str, value: impl Into<SqlValue>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.push(value.into());
    }

    fn are(&mut self, states: &[String]) {
        if states.is_empty() {
            return;
        }
        // Says what the state says already, and there is an index of errors.
        match states.iter().filter(|state| *state == COMPLETED).count() {
            0 => self.sql.push_str(" AND status = 2"),
            all if all == states.len() => self.sql.push_str(" AND status <> 2"),
            _ => {}
        }
        let places = vec!["?"; states.len()].join(", ");
        // Writing to a String does not fail.
        _ = write!(self.sql, " AND {STATE} IN ({places})");
        self.values
            .extend(states.iter().cloned().map(SqlValue::from));
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start_ns, self.id)
    }
}

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let (start_ns, id) = text.split_once('-').ok_or(InvalidPlace)?;
        Ok(Self {
            start_ns: start_ns.parse().map_err(|_| InvalidPlace)?,
            id: id.parse().map_err(|_| InvalidPlace)?,
        })
    }
}

#[cfg(test)]
#[path = "executions_tests.rs"]
mod tests;
