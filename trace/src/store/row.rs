//! One span as a row: the columns in their order, written and read in one place.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use loom_proto::semconv::{attribute, span as name};
use rusqlite::{CachedStatement, Params, Row, params};

use super::names::Names;
use super::shape::{Known, Shape};
use super::shapes::Packed;
use crate::error::StoreError;
use crate::measure::Measures;
use crate::model::value::to_json;
use crate::model::{
    Identity, Resource, Scope, Span, SpanId, SpanKind, Status, StatusCode, TraceId, Value,
};

/// Columns of a row after its id, and how many they are.
pub(super) const COLUMNS: &str = "
    trace, span_id, parent_span_id, received_ms, service_id, resource_id, scope_id, kind, start_ns, took_ns, status, flags,
    role, name, agent, workflow, session, user, tenant, thread, event, shape, own, status_message, trace_state,
    dropped_attributes, dropped_events, dropped_links, events, links";
pub(super) const WIDTH: usize = 30;

/// Inserts the figures of a span; parameters as [`insert_measures`] sets them.
const INSERT_MEASURES: &str = "INSERT INTO measures (
    id, trace, kind, start_ns, duration_ns, status, agent_id, workflow_id, session_id, user_id, operation, provider,
    model, ttft_ms, prompt_tokens, completion_tokens, total_tokens, cost_usd, phases
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";

/// Inserts the way back from a link; parameters as [`insert_links`] sets them.
const INSERT_LINK: &str =
    "INSERT OR IGNORE INTO links (target_trace, target_span, span) VALUES (?1, ?2, ?3)";

/// Columns of [`SELECT`] for who wants the numbers of what a span names.
pub mod column {
    /// `scopes.id`
    pub const SCOPE: usize = 4;
    /// `services.id`
    pub const SERVICE: usize = 27;
}

/// Selects the columns that [`SpanReader::span`] reads; a caller adds the WHERE.
pub const SELECT: &str = "SELECT
    trace, span_id, parent_span_id, resource_id, scope_id, kind, start_ns, end_ns, status, flags, name_ref,
    agent_ref, workflow_ref, session_ref, user_ref, tenant_ref, thread_ref, status_message, trace_state,
    dropped_attributes, dropped_events, dropped_links, event, shape, own, events, links, service_id
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
    /// `names.id` of its name.
    pub name: i64,
    /// `names.id` of agent, workflow, session, user, tenant and thread.
    pub who: [Option<i64>; 6],
}

/// A UUID.
pub(super) type Event = [u8; 16];

/// The event that a span is about, where its attributes name it by a UUID as it is usually written.
pub(super) fn event(span: &Span) -> Option<(&str, Event)> {
    let mut said = [attribute::EVENT_ID, attribute::EVENT]
        .into_iter()
        .filter_map(|key| span.attributes.get(key));
    let Some(Value::String(text)) = said.next() else {
        return None;
    };
    Some((text, uuid(text.as_bytes())?))
}

/// Where the digits of each byte of a UUID stand in its text.
const UUID_BYTES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// The bytes of `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` in lower case.
fn uuid(text: &[u8]) -> Option<Event> {
    let text: &[u8; 36] = text.try_into().ok()?;
    if [8, 13, 18, 23].into_iter().any(|at| text[at] != b'-') {
        return None;
    }
    let digit = |at: usize| match text[at] {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 16];
    for (byte, at) in bytes.iter_mut().zip(UUID_BYTES) {
        *byte = digit(at)? << 4 | digit(at + 1)?;
    }
    Some(bytes)
}

fn uuid_text(bytes: Event) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        // Writing to a String does not fail.
        _ = write!(text, "{byte:02x}");
    }
    text
}

/// What a span is, by which an index finds it.
fn role(span: &Span) -> Option<u8> {
    match span.name.as_str() {
        name::ON_EVENT | name::ON_ACTION => Some(1),
        name::BUS_PUBLISH => Some(2),
        _ => None,
    }
}

/// A span as it is stored.
#[derive(Debug)]
pub(super) struct Stored {
    /// `spans.id`
    pub(super) id: i64,
    pub(super) refs: References,
    span_id: SpanId,
    parent_span_id: Option<SpanId>,
    received_ms: u64,
    kind: SpanKind,
    start_ns: i64,
    end_ns: i64,
    status: Status,
    flags: u32,
    role: Option<u8>,
    event: Option<Event>,
    attributes: Packed,
    trace_state: String,
    dropped: [u32; 3],
    events: Option<String>,
    links: Option<String>,
}

impl Stored {
    /// The span with what was found for it.
    pub(super) fn of(
        span: &Span,
        id: i64,
        refs: References,
        event: Option<Event>,
        attributes: Packed,
        received_ms: u64,
    ) -> Self {
        Self {
            id,
            refs,
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            received_ms,
            kind: span.kind,
            start_ns: signed(span.start_ns),
            end_ns: signed(span.end_ns),
            status: span.status.clone(),
            flags: span.flags,
            role: role(span),
            event,
            attributes,
            trace_state: span.trace_state.clone(),
            dropped: [
                span.dropped_attributes,
                span.dropped_events,
                span.dropped_links,
            ],
            events: (!span.events.is_empty()).then(|| to_json(&span.events)),
            links: (!span.links.is_empty()).then(|| to_json(&span.links)),
        }
    }

    /// Its trace and its id, which no other row has.
    pub(super) fn place(&self) -> (i64, &[u8]) {
        (self.refs.trace, self.span_id.as_bytes())
    }

    /// Sets the parameters of row `number`, from 0, and tells how many are set now.
    pub(super) fn bind(
        &self,
        statement: &mut CachedStatement<'_>,
        number: usize,
    ) -> rusqlite::Result<usize> {
        let mut at = number * WIDTH;
        // The index counts up beside the list of columns above.
        macro_rules! next {
            ($value:expr) => {{
                at += 1;
                statement.raw_bind_parameter(at, $value)
            }};
        }
        next!(self.refs.trace)?;
        next!(&self.span_id.as_bytes()[..])?;
        next!(self.parent_span_id.as_ref().map(|id| &id.as_bytes()[..]))?;
        next!(signed(self.received_ms))?;
        next!(self.refs.service)?;
        next!(self.refs.resource)?;
        next!(self.refs.scope)?;
        next!(self.kind as u8)?;
        next!(self.start_ns)?;
        next!(self.end_ns - self.start_ns)?;
        next!(self.status.code as u8)?;
        next!(self.flags)?;
        next!(self.role)?;
        next!(self.refs.name)?;
        for id in self.refs.who {
            next!(id)?;
        }
        next!(self.event.as_ref().map(|id| &id[..]))?;
        next!(self.attributes.shape)?;
        next!(self.attributes.own.as_deref())?;
        next!(not_empty(&self.status.message))?;
        next!(not_empty(&self.trace_state))?;
        for count in self.dropped {
            next!(count)?;
        }
        next!(self.events.as_deref())?;
        next!(self.links.as_deref())?;
        Ok(at)
    }
}

/// Stores the figures of span `id`.
pub fn insert_measures(
    conn: &rusqlite::Connection,
    id: i64,
    span: &Span,
    who: &Identity,
    trace: i64,
    measures: &Measures,
) -> rusqlite::Result<()> {
    let phases = (!measures.phases.is_empty()).then(|| to_json(&measures.phases));
    conn.prepare_cached(INSERT_MEASURES)?.execute(params![
        id,
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
        phases,
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

/// The span of a trace, by its number, and id.
pub(crate) const BY_PLACE: &str = "trace = ?1 AND span_id = ?2";

/// Turns rows of [`SELECT`] into spans and remembers what several of them refer to.
#[derive(Debug)]
pub struct SpanReader<'c> {
    conn: &'c rusqlite::Connection,
    resources: HashMap<i64, Arc<Resource>>,
    scopes: HashMap<i64, Arc<Scope>>,
    names: Names<'c>,
    shapes: HashMap<i64, Arc<Shape>>,
    /// The trace of the last span.
    trace: Option<(i64, TraceId)>,
}

impl<'c> SpanReader<'c> {
    /// A reader on this connection.
    pub fn new(conn: &'c rusqlite::Connection) -> Self {
        Self {
            conn,
            resources: HashMap::new(),
            scopes: HashMap::new(),
            names: Names::new(conn),
            shapes: HashMap::new(),
            trace: None,
        }
    }

    /// The first span of which this condition holds; `None` where there is none.
    pub(crate) fn find(
        &mut self,
        condition: &str,
        values: impl Params,
    ) -> Result<Option<Span>, StoreError> {
        let sql = format!("{SELECT} WHERE {condition}");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(values)?;
        rows.next()?.map(|row| self.span(row)).transpose()
    }

    /// The span of this row.
    pub fn span(&mut self, row: &Row<'_>) -> Result<Span, StoreError> {
        let text = |at: usize| -> rusqlite::Result<String> {
            Ok(row.get::<_, Option<String>>(at)?.unwrap_or_default())
        };
        let json = |at: usize| row.get_ref(at)?.as_str_or_null().map_err(sql);
        let parent: Option<[u8; 8]> = row.get(2)?;
        let span_id: [u8; 8] = row.get(1)?;
        let span_id = SpanId::from_bytes(&span_id).ok_or_else(|| not_an_id(1))?;
        let trace_id = self.trace(row.get(0)?)?;
        let mut who = [const { None }; 6];
        for (at, place) in who.iter_mut().enumerate() {
            let id: Option<i64> = row.get(11 + at)?;
            *place = id.map(|id| self.names.text(id)).transpose()?;
        }
        let [agent, workflow, session, user, tenant, thread] = who;
        let identity = Identity {
            agent,
            workflow,
            session,
            user,
            tenant,
            thread,
        };
        let attributes = match row.get::<_, Option<i64>>(23)? {
            None => from_json("attributes", json(24)?)?,
            Some(shape) => {
                let shape = self.shape(shape)?;
                let event: Option<Event> = row.get(22)?;
                let event = event.map(uuid_text);
                let known = Known {
                    trace_id,
                    span_id,
                    event: event.as_deref(),
                    who: &identity,
                };
                let own: Vec<Value> = from_json("attributes", json(24)?)?;
                shape.attributes(&own, &known)
            }
        };
        Ok(Span {
            trace_id,
            span_id,
            parent_span_id: parent.and_then(|id| SpanId::from_bytes(&id)),
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
            name: self.names.text(row.get(10)?)?,
            identity,
            trace_state: text(18)?,
            dropped_attributes: row.get(19)?,
            dropped_events: row.get(20)?,
            dropped_links: row.get(21)?,
            attributes,
            events: from_json("events", json(25)?)?,
            links: from_json("links", json(26)?)?,
        })
    }

    fn trace(&mut self, number: i64) -> Result<TraceId, StoreError> {
        if let Some((last, id)) = self.trace
            && last == number
        {
            return Ok(id);
        }
        let bytes: [u8; 16] = self
            .conn
            .prepare_cached("SELECT trace_id FROM traces WHERE id = ?1")?
            .query_row([number], |row| row.get(0))?;
        let id = TraceId::from_bytes(&bytes).ok_or_else(|| not_an_id(0))?;
        self.trace = Some((number, id));
        Ok(id)
    }

    fn shape(&mut self, id: i64) -> Result<Arc<Shape>, StoreError> {
        if let Some(found) = self.shapes.get(&id) {
            return Ok(Arc::clone(found));
        }
        let body = self.body("SELECT body FROM shapes WHERE id = ?1", id)?;
        let shape: Shape = body
            .map(|body| Shape::from_json(&body))
            .transpose()
            .map_err(|source| StoreError::Corrupt {
                what: "shape",
                source,
            })?
            .unwrap_or_default();
        let shape = Arc::new(shape);
        self.shapes.insert(id, Arc::clone(&shape));
        Ok(shape)
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

fn not_an_id(at: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Blob, "not an id".into())
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_uuid_comes_back(bytes in any::<Event>()) {
            prop_assert_eq!(uuid(uuid_text(bytes).as_bytes()), Some(bytes));
        }

        #[test]
        fn what_looks_like_a_uuid_is_kept_as_it_is(text in "[0-9a-fA-F-]{36}") {
            prop_assert!(uuid(text.as_bytes()).is_none_or(|bytes| uuid_text(bytes) == text));
        }
    }
}
