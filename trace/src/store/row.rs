//! One span as a row: its columns in their order, and how they are written; the rooms below read them.

mod event;
mod read;
mod referred;
mod said;

use loom_proto::semconv::span as name;
use rusqlite::{CachedStatement, params};

use super::shapes::Packed;
use crate::measure::Measures;
use crate::model::value::to_json;
use crate::model::{Identity, Span, SpanId, SpanKind, Status};

pub(super) use event::{Event, event};
use read::not_an_id;
pub(crate) use read::{
    BY_PLACE, SELECT, SpanReader, column, from_json, json_text, parent_span_id, span_id, unsigned,
};
pub(crate) use said::{SAID, SAID_SPAN_ID, SAID_WIDTH, SaidReader};

/// Columns of a row after its id, and how many they are.
pub(super) const COLUMNS: &str = "
    trace, span_id, parent_span_id, received_ms, service_id, resource_id, scope_id, kind, start_ns, took_ns, status, flags,
    role, name, agent, workflow, session, user, tenant, thread, event, shape, own, status_message, trace_state,
    dropped_attributes, dropped_events, dropped_links, events, links";
pub(super) const WIDTH: usize = 30;

/// Inserts the figures of a span; parameters as [`insert_measures`] sets them.
pub(super) const INSERT_MEASURES: &str = "INSERT INTO measures (
    id, trace, kind, start_ns, duration_ns, status, agent_id, workflow_id, session_id, user_id, operation, provider,
    model, ttft_ms, prompt_tokens, completion_tokens, total_tokens, cost_usd, phases
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";

/// Inserts the way back from a link; parameters as [`insert_links`] sets them.
const INSERT_LINK: &str =
    "INSERT OR IGNORE INTO links (target_trace, target_span, span) VALUES (?1, ?2, ?3)";

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

/// Stores the figures of span `id` by [`INSERT_MEASURES`].
pub(super) fn insert_measures(
    statement: &mut CachedStatement<'_>,
    id: i64,
    span: &Span,
    who: &Identity,
    trace: i64,
    measures: &Measures,
) -> rusqlite::Result<()> {
    let phases = (!measures.phases.is_empty()).then(|| to_json(&measures.phases));
    statement.execute(params![
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
