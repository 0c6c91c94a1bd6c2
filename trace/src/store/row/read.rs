//! Rows as spans again.

use std::collections::hash_map::Entry;

use rusqlite::types::Type;
use rusqlite::{Connection, Params, Row};
use rustc_hash::FxHashMap;

use super::event::{Event, uuid_text};
use super::referred::Referred;
use crate::error::StoreError;
use crate::model::{Identity, Span, SpanId, SpanKind, Status, StatusCode, Value};
use crate::store::shape::{Known, Shape};

/// Columns of [`SELECT`] for who wants the numbers of what a span names.
pub(crate) mod column {
    /// `scopes.id`
    pub(crate) const SCOPE: usize = 4;
    /// `services.id`
    pub(crate) const SERVICE: usize = 27;
}

/// Selects the columns that [`SpanReader::span`] reads; a caller adds the WHERE.
pub(crate) const SELECT: &str = "SELECT
    trace, span_id, parent_span_id, resource_id, scope_id, kind, start_ns, end_ns, status, flags, name_ref,
    agent_ref, workflow_ref, session_ref, user_ref, tenant_ref, thread_ref, status_message, trace_state,
    dropped_attributes, dropped_events, dropped_links, event, shape, own, events, links, service_id
    FROM spans";

/// The span of a trace, by its number, and id.
pub(crate) const BY_PLACE: &str = "trace = ?1 AND span_id = ?2";

/// Turns rows of [`SELECT`] into spans and remembers what several of them refer to.
#[derive(Debug)]
pub(crate) struct SpanReader<'c> {
    conn: &'c Connection,
    referred: Referred<'c>,
    shapes: FxHashMap<i64, Shape>,
}

impl<'c> SpanReader<'c> {
    /// A reader on this connection.
    pub(crate) fn new(conn: &'c Connection) -> Self {
        Self {
            conn,
            referred: Referred::new(conn),
            shapes: FxHashMap::default(),
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
    pub(crate) fn span(&mut self, row: &Row<'_>) -> Result<Span, StoreError> {
        let text = |at: usize| -> rusqlite::Result<String> {
            Ok(row.get::<_, Option<String>>(at)?.unwrap_or_default())
        };
        let referred = &mut self.referred;
        let trace_id = referred.trace(row.get(0)?)?;
        let span_id = span_id(row, 1)?;
        let mut who = [const { None }; 6];
        for (at, place) in who.iter_mut().enumerate() {
            let id: Option<i64> = row.get(11 + at)?;
            *place = id.map(|id| referred.names.text(id)).transpose()?;
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
        let own = json_text(row, 24)?;
        let attributes = match row.get::<_, Option<i64>>(23)? {
            None => from_json("attributes", own)?,
            Some(number) => {
                let shape = match self.shapes.entry(number) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(referred.shape(number)?),
                };
                let event: Option<Event> = row.get(22)?;
                let event = event.map(uuid_text);
                let known = Known {
                    trace_id,
                    span_id,
                    event: event.as_deref(),
                    who: &identity,
                };
                let own: Vec<Value> = from_json("attributes", own)?;
                shape.attributes(&own, |column| Ok(known.value(column)))?
            }
        };
        Ok(Span {
            trace_id,
            span_id,
            parent_span_id: parent_span_id(row, 2)?,
            resource: referred.resource(row.get(3)?)?,
            scope: referred.scope(row.get(4)?)?,
            kind: SpanKind::from_number(row.get(5)?),
            start_ns: unsigned(row.get(6)?),
            end_ns: unsigned(row.get(7)?),
            status: Status {
                code: StatusCode::from_number(row.get(8)?),
                message: text(17)?,
            },
            flags: row.get(9)?,
            name: referred.names.text(row.get(10)?)?,
            identity,
            trace_state: text(18)?,
            dropped_attributes: row.get(19)?,
            dropped_events: row.get(20)?,
            dropped_links: row.get(21)?,
            attributes,
            events: from_json("events", json_text(row, 25)?)?,
            links: from_json("links", json_text(row, 26)?)?,
        })
    }
}

pub(super) fn not_an_id(at: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, Type::Blob, "not an id".into())
}

/// Undoes [`super::signed`].
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The id of a span in that column.
pub(crate) fn span_id(row: &Row<'_>, at: usize) -> Result<SpanId, StoreError> {
    let bytes: [u8; 8] = row.get(at)?;
    Ok(SpanId::from_bytes(&bytes).ok_or_else(|| not_an_id(at))?)
}

/// The id of the span above, in that column.
pub(crate) fn parent_span_id(row: &Row<'_>, at: usize) -> Result<Option<SpanId>, StoreError> {
    let bytes: Option<[u8; 8]> = row.get(at)?;
    Ok(bytes.and_then(|bytes| SpanId::from_bytes(&bytes)))
}

/// The text in a column of JSON.
pub(crate) fn json_text<'r>(row: &'r Row<'_>, at: usize) -> Result<Option<&'r str>, StoreError> {
    let text = row.get_ref(at)?.as_str_or_null();
    Ok(text.map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error))
    })?)
}

/// Parses a JSON column; NULL is the type's empty value.
pub(crate) fn from_json<T: Default + serde::de::DeserializeOwned>(
    what: &'static str,
    json: Option<&str>,
) -> Result<T, StoreError> {
    json.map_or_else(
        || Ok(T::default()),
        |json| serde_json::from_str(json).map_err(|source| StoreError::Corrupt { what, source }),
    )
}
