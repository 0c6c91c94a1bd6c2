//! One span as a row: the columns in their order, written and read in one place.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{CachedStatement, Row, params};

use crate::error::StoreError;
use crate::measure::Measures;
use crate::model::value::to_json;
use crate::model::{
    Identity, Resource, Scope, Span, SpanId, SpanKind, Status, StatusCode, TraceId,
};

/// Inserts a row; parameters as [`bind`] sets them.
pub const INSERT: &str = "INSERT OR IGNORE INTO spans (
    trace, trace_id, span_id, parent_span_id, received_ms, service_id, resource_id, scope_id, kind, start_ns, end_ns,
    status, flags, name, agent_id, workflow_id, session_id, user_id, tenant_id, thread_id, status_message,
    trace_state, dropped_attributes, dropped_events, dropped_links, attributes, events, links
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
    ?24, ?25, ?26, ?27, ?28)";

/// Inserts the figures of the span that was inserted last; parameters as [`insert_measures`] sets them.
const INSERT_MEASURES: &str = "INSERT INTO measures (
    id, trace, kind, start_ns, duration_ns, status, agent_id, workflow_id, session_id, user_id, operation, provider,
    model, ttft_ms, prompt_tokens, completion_tokens, total_tokens, cost_usd, phases
) VALUES (last_insert_rowid(), ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

/// Inserts the way back from a link; parameters as [`insert_links`] sets them.
const INSERT_LINK: &str =
    "INSERT OR IGNORE INTO links (target_trace, target_span, span) VALUES (?1, ?2, ?3)";

/// Selects the columns that [`SpanReader::span`] reads; a caller adds the WHERE.
pub const SELECT: &str = "SELECT
    trace_id, span_id, parent_span_id, resource_id, scope_id, kind, start_ns, end_ns, status, flags, name,
    agent_id, workflow_id, session_id, user_id, tenant_id, thread_id, status_message, trace_state,
    dropped_attributes, dropped_events, dropped_links, attributes, events, links
    FROM spans";

/// Ids of the rows that a span refers to.
#[derive(Debug, Clone, Copy)]
pub struct References {
    /// `traces.id`
    pub trace: i64,
    /// `services.id`
    pub service: i64,
    /// `resources.id`
    pub resource: i64,
    /// `scopes.id`
    pub scope: i64,
}

/// Sets all parameters of [`INSERT`]; `who` is whom the span is about.
pub fn bind(
    statement: &mut CachedStatement<'_>,
    span: &Span,
    who: &Identity,
    refs: References,
    received_ms: u64,
) -> rusqlite::Result<()> {
    let mut at = 0;
    // The index counts up beside the list of columns above.
    macro_rules! next {
        ($value:expr) => {{
            at += 1;
            statement.raw_bind_parameter(at, $value)
        }};
    }
    next!(refs.trace)?;
    next!(&span.trace_id.as_bytes()[..])?;
    next!(&span.span_id.as_bytes()[..])?;
    next!(span.parent_span_id.as_ref().map(|id| &id.as_bytes()[..]))?;
    next!(signed(received_ms))?;
    next!(refs.service)?;
    next!(refs.resource)?;
    next!(refs.scope)?;
    next!(span.kind as u8)?;
    next!(signed(span.start_ns))?;
    next!(signed(span.end_ns))?;
    next!(span.status.code as u8)?;
    next!(span.flags)?;
    next!(&span.name)?;
    for id in [
        &who.agent,
        &who.workflow,
        &who.session,
        &who.user,
        &who.tenant,
        &who.thread,
    ] {
        next!(id.as_deref())?;
    }
    next!(not_empty(&span.status.message))?;
    next!(not_empty(&span.trace_state))?;
    next!(span.dropped_attributes)?;
    next!(span.dropped_events)?;
    next!(span.dropped_links)?;
    next!(to_json(&span.attributes))?;
    next!((!span.events.is_empty()).then(|| to_json(&span.events)))?;
    next!((!span.links.is_empty()).then(|| to_json(&span.links)))?;
    Ok(())
}

/// Stores the figures of the span that was inserted last.
pub fn insert_measures(
    conn: &rusqlite::Connection,
    span: &Span,
    who: &Identity,
    trace: i64,
    measures: &Measures,
) -> rusqlite::Result<()> {
    conn.prepare_cached(INSERT_MEASURES)?.execute(params![
        trace,
        measures.kind as u8,
        signed(span.start_ns),
        measures.duration_ns.map(signed),
        span.status.code as u8,
        who.agent,
        who.workflow,
        who.session,
        who.user,
        measures.operation,
        measures.provider,
        measures.model,
        measures.ttft_ms,
        measures.prompt_tokens,
        measures.completion_tokens,
        measures.total_tokens,
        measures.cost_usd,
        measures.phases,
    ])?;
    Ok(())
}

/// Stores the way back from the links of span `id`.
pub fn insert_links(conn: &rusqlite::Connection, span: &Span, id: i64) -> rusqlite::Result<()> {
    if span.links.is_empty() {
        return Ok(());
    }
    let mut insert = conn.prepare_cached(INSERT_LINK)?;
    for link in &span.links {
        let (trace, target) = (link.trace_id.as_bytes(), link.span_id.as_bytes());
        insert.execute((&trace[..], &target[..], id))?;
    }
    Ok(())
}

/// SQLite has signed integers only. What lies beyond (after the year 2262) is no true time and becomes the largest.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn not_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Turns rows of [`SELECT`] into spans and remembers the resources and scopes it has met.
#[derive(Debug)]
pub struct SpanReader<'c> {
    conn: &'c rusqlite::Connection,
    resources: HashMap<i64, Arc<Resource>>,
    scopes: HashMap<i64, Arc<Scope>>,
}

impl<'c> SpanReader<'c> {
    /// A reader on this connection.
    pub fn new(conn: &'c rusqlite::Connection) -> Self {
        Self {
            conn,
            resources: HashMap::new(),
            scopes: HashMap::new(),
        }
    }

    /// The span of this row.
    pub fn span(&mut self, row: &Row<'_>) -> Result<Span, StoreError> {
        let id = |at: usize| -> rusqlite::Result<Option<Vec<u8>>> { row.get(at) };
        let bytes = |at: usize| Ok::<_, StoreError>(id(at)?.unwrap_or_default());
        let bad_id = |at: usize| {
            rusqlite::Error::FromSqlConversionFailure(
                at,
                rusqlite::types::Type::Blob,
                "not an id".into(),
            )
        };
        let text = |at: usize| -> rusqlite::Result<String> {
            Ok(row.get::<_, Option<String>>(at)?.unwrap_or_default())
        };
        Ok(Span {
            trace_id: TraceId::from_bytes(&bytes(0)?).ok_or_else(|| bad_id(0))?,
            span_id: SpanId::from_bytes(&bytes(1)?).ok_or_else(|| bad_id(1))?,
            parent_span_id: SpanId::from_bytes(&bytes(2)?),
            resource: self.resource(row.get(3)?)?,
            scope: self.scope(row.get(4)?)?,
            kind: SpanKind::from_number(row.get(5)?),
            start_ns: unsigned(row.get(6)?),
            end_ns: unsigned(row.get(7)?),
            status: Status {
                code: StatusCode::from_number(row.get(8)?),
                message: text(17)?,
            },
            flags: row.get(9)?,
            name: row.get(10)?,
            identity: Identity {
                agent: row.get(11)?,
                workflow: row.get(12)?,
                session: row.get(13)?,
                user: row.get(14)?,
                tenant: row.get(15)?,
                thread: row.get(16)?,
            },
            trace_state: text(18)?,
            dropped_attributes: row.get(19)?,
            dropped_events: row.get(20)?,
            dropped_links: row.get(21)?,
            attributes: from_json(
                "attributes",
                row.get_ref(22)?.as_str_or_null().map_err(sql)?,
            )?,
            events: from_json("events", row.get_ref(23)?.as_str_or_null().map_err(sql)?)?,
            links: from_json("links", row.get_ref(24)?.as_str_or_null().map_err(sql)?)?,
        })
    }

    /// The resource of that id; an empty one if the row has gone.
    pub fn resource(&mut self, id: i64) -> Result<Arc<Resource>, StoreError> {
        if let Some(found) = self.resources.get(&id) {
            return Ok(Arc::clone(found));
        }
        let body = self.body("SELECT body FROM resources WHERE id = ?1", id)?;
        let resource = Arc::new(from_json("resource", body.as_deref())?);
        self.resources.insert(id, Arc::clone(&resource));
        Ok(resource)
    }

    fn scope(&mut self, id: i64) -> Result<Arc<Scope>, StoreError> {
        if let Some(found) = self.scopes.get(&id) {
            return Ok(Arc::clone(found));
        }
        let body = self.body("SELECT body FROM scopes WHERE id = ?1", id)?;
        let scope = Arc::new(from_json("scope", body.as_deref())?);
        self.scopes.insert(id, Arc::clone(&scope));
        Ok(scope)
    }

    fn body(&self, sql: &str, id: i64) -> Result<Option<String>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([id])?;
        Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
    }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn sql(error: rusqlite::types::FromSqlError) -> StoreError {
    StoreError::Sqlite(rusqlite::Error::FromSqlConversionFailure(
        0,
        rusqlite::types::Type::Text,
        Box::new(error),
    ))
}

/// Parses a JSON column; NULL is the type's empty value.
pub fn from_json<T: Default + serde::de::DeserializeOwned>(
    what: &'static str,
    json: Option<&str>,
) -> Result<T, StoreError> {
    json.map_or_else(
        || Ok(T::default()),
        |json| serde_json::from_str(json).map_err(|source| StoreError::Corrupt { what, source }),
    )
}
