//! What verification reads of the database: few columns, in the order of the traces.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use loom_proto::semconv::{attribute, span as name};
use rusqlite::{Connection, OptionalExtension};

use super::{Accepted, Options};
use crate::check::{Facts, Finding, FindingKind};
use crate::error::StoreError;
use crate::model::{SpanId, TraceId, Value};
use crate::store::blocks;
use crate::store::row::{SELECT, SpanReader, column, signed};
use crate::store::trace_ids::{self, NUMBER};

/// A span, as far as it is looked at.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) span_id: SpanId,
    pub(super) parent_span_id: Option<SpanId>,
    pub(super) name: Arc<str>,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) is_error: bool,
    pub(super) is_stand_in: bool,
    pub(super) agent: Option<Arc<str>>,
    pub(super) workflow: Option<Arc<str>>,
    /// `services.id`
    pub(super) service: i64,
    /// `scopes.id`
    pub(super) scope: i64,
    /// Id of the event that a hop is about.
    pub(super) event: Option<String>,
}

impl Row {
    pub(super) fn facts(&self, trace_id: TraceId) -> Facts<'_> {
        Facts {
            trace_id,
            span_id: self.span_id,
            parent_span_id: self.parent_span_id,
            name: &self.name,
            start_ns: self.start_ns,
            end_ns: self.end_ns,
        }
    }
}

/// Numbers of the traces to look at. Numbers rise with time, so they are those from the first that is young enough.
pub(super) fn range(conn: &Connection, options: &Options) -> Result<(i64, i64), StoreError> {
    if let Some(trace) = options.trace {
        let number = trace_ids::number(conn, trace)?;
        return Ok(number.map_or((0, 0), |number| (number, number + 1)));
    }
    let first = blocks::first_trace_since(conn, signed(options.since_ns))?;
    let last = "SELECT coalesce(max(id), 0) FROM traces";
    let last: i64 = conn.query_row(last, [], |row| row.get(0))?;
    Ok(first.map_or((0, 0), |first| (first, last + 1)))
}

/// The spans of these traces.
pub(super) fn traces(
    conn: &Connection,
    numbers: Range<i64>,
) -> Result<Vec<(TraceId, Vec<Row>)>, StoreError> {
    // Attributes are put together here rather than in SQL, which would do so for each one that is asked for.
    let mut reader = SpanReader::new(conn);
    let mut statement = conn.prepare_cached(&format!(
        "{SELECT} WHERE trace >= ?1 AND trace < ?2 ORDER BY trace, span_id"
    ))?;
    let mut known = Known::default();
    let mut traces: Vec<(TraceId, Vec<Row>)> = Vec::new();
    let mut rows = statement.query([numbers.start, numbers.end])?;
    while let Some(row) = rows.next()? {
        let span = reader.span(row)?;
        let said = [attribute::EVENT_ID, attribute::EVENT];
        let event = said.iter().find_map(|key| span.attributes.get(key));
        let found = Row {
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            name: known.text(&span.name),
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            is_error: span.is_error(),
            is_stand_in: span.is_stand_in(),
            agent: span
                .identity
                .agent
                .as_deref()
                .map(|agent| known.text(agent)),
            workflow: span
                .identity
                .workflow
                .as_deref()
                .map(|workflow| known.text(workflow)),
            event: event.map(Value::to_text),
            service: row.get(column::SERVICE)?,
            scope: row.get(column::SCOPE)?,
        };
        match traces.last_mut() {
            Some((last, spans)) if *last == span.trace_id => spans.push(found),
            _ => traces.push((span.trace_id, vec![found])),
        }
    }
    Ok(traces)
}

/// Texts that come again and again.
#[derive(Default)]
struct Known(HashSet<Arc<str>>);

impl Known {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}

/// What is not there of these accepted events.
pub(super) fn missing(
    conn: &Connection,
    accepted: &[Accepted],
) -> Result<Vec<(TraceId, Finding)>, StoreError> {
    let mut publish = conn.prepare_cached(&format!(
        "SELECT trace FROM spans WHERE trace = {NUMBER} AND span_id = ?2"
    ))?;
    let mut deliveries = conn.prepare_cached(
        "SELECT count(*) FROM spans WHERE trace = ?1 AND parent_span_id = ?2 AND name = ?3",
    )?;
    let mut missing = Vec::new();
    for event in accepted {
        let span_id = &event.span_id.as_bytes()[..];
        let trace: Option<i64> = publish
            .query_row((&event.trace_id.as_bytes()[..], span_id), |row| row.get(0))
            .optional()?;
        let mut found = |kind: FindingKind, detail: String| {
            let finding = Finding::new(kind, event.span_id, None, detail);
            missing.push((event.trace_id, finding));
        };
        let Some(trace) = trace else {
            let detail = format!("{} was accepted, and its span is not there", event.name);
            found(FindingKind::NotStored, detail);
            continue;
        };
        if event.settled == 0 {
            continue;
        }
        let of_event = (trace, span_id, name::BRIDGE_FORWARD);
        let count: u32 = deliveries.query_row(of_event, |row| row.get(0))?;
        if count < event.settled {
            let detail = format!(
                "{} was settled by {} groups, and {count} deliveries of it are there",
                event.name, event.settled
            );
            found(FindingKind::NotDelivered, detail);
        }
    }
    Ok(missing)
}
