//! Search: walk one index from its newest end, stop when enough traces are found.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, Row};
use serde::Serialize;

use crate::error::StoreError;
use crate::model::{Attributes, SpanId, SpanKind, StatusCode, TraceId};
use crate::store::row::{SpanReader, from_json, signed};

/// What to look for. All conditions hold for one and the same span; what is `None` or empty does not restrict.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Search {
    /// Name of the service.
    pub service: Option<String>,
    /// Name of the span.
    pub operation: Option<String>,
    /// The agent that the span is about.
    pub agent: Option<String>,
    /// Attributes of the span or its resource, compared as text. Besides, as in Jaeger: `error=true`, `span.kind` and
    /// `otel.status_code`, which are no attributes in OTLP.
    pub tags: Vec<(String, String)>,
    /// Start not before this, ns since the Unix epoch.
    pub start_ns: Option<u64>,
    /// Start not after this, ns since the Unix epoch.
    pub end_ns: Option<u64>,
    /// Duration at least this, ns.
    pub min_duration_ns: Option<u64>,
    /// Duration at most this, ns.
    pub max_duration_ns: Option<u64>,
    /// Status is error.
    pub errors_only: bool,
    /// Traces to return, at least 1; `None`: 20.
    pub limit: Option<usize>,
}

/// A trace that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub trace_id: TraceId,
    /// Start of its newest span that matches, ns since the Unix epoch.
    pub match_start_ns: u64,
}

/// One line about a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its id.
    pub trace_id: TraceId,
    /// Name of its root, or of its earliest span if there is no root.
    pub root_name: String,
    /// Service of that span.
    pub root_service: String,
    /// Earliest start, ns since the Unix epoch.
    pub start_ns: u64,
    /// Latest end, ns since the Unix epoch.
    pub end_ns: u64,
    /// Spans known.
    pub spans: u64,
    /// Spans with status error.
    pub errors: u64,
    /// Spans whose parent is not known.
    pub orphans: u64,
    /// Services in it, sorted.
    pub services: BTreeSet<String>,
}

/// Status number of an error in the store.
const ERROR: u8 = StatusCode::Error as u8;

pub(super) fn run(conn: &Connection, search: &Search) -> Result<Vec<Found>, StoreError> {
    let (sql, values) = statement(search);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut reader = SpanReader::new(conn);
    let limit = search.limit.unwrap_or(20).max(1);
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let bytes: [u8; 16] = row.get(0)?;
        let Some(trace_id) = TraceId::from_bytes(&bytes) else {
            continue;
        };
        if seen.contains(&trace_id) || !has_tags(row, &mut reader, &search.tags)? {
            continue;
        }
        seen.insert(trace_id);
        found.push(Found {
            trace_id,
            match_start_ns: row.get::<_, i64>(1)?.cast_unsigned(),
        });
    }
    Ok(found)
}

fn statement(search: &Search) -> (String, Vec<SqlValue>) {
    let mut sql =
        "SELECT trace_id, start_ns, resource_id, attributes, status, kind FROM spans WHERE 1"
            .to_owned();
    let mut values: Vec<SqlValue> = Vec::new();
    let mut and = |condition: &str, value: Option<SqlValue>| {
        if let Some(value) = value {
            values.push(value);
            sql.push_str(" AND ");
            sql.push_str(condition);
        }
    };
    let text = |text: &Option<String>| text.clone().map(SqlValue::from);
    let number = |number: Option<u64>| number.map(|n| SqlValue::from(signed(n)));
    and("agent_id = ?", text(&search.agent));
    and(
        "service_id = (SELECT id FROM services WHERE name = ?)",
        text(&search.service),
    );
    and("name = ?", text(&search.operation));
    and("start_ns >= ?", number(search.start_ns));
    and("start_ns <= ?", number(search.end_ns));
    // Never negative, as the model has it.
    and(
        "max(end_ns - start_ns, 0) >= ?",
        number(search.min_duration_ns),
    );
    and(
        "max(end_ns - start_ns, 0) <= ?",
        number(search.max_duration_ns),
    );
    if search.errors_only {
        // A literal, so that the partial index on errors can be used.
        // Writing to a String does not fail.
        _ = write!(sql, " AND status = {ERROR}");
    }
    sql.push_str(" ORDER BY start_ns DESC");
    (sql, values)
}

fn has_tags(
    row: &Row<'_>,
    reader: &mut SpanReader<'_>,
    tags: &[(String, String)],
) -> Result<bool, StoreError> {
    if tags.is_empty() {
        return Ok(true);
    }
    let own: Attributes = from_json("attributes", Some(&row.get::<_, String>(3)?))?;
    let resource = reader.resource(row.get(2)?)?;
    let status = StatusCode::from_number(row.get(4)?);
    let kind = SpanKind::from_number(row.get(5)?);
    let derived = |key: &str| match (key, status) {
        ("error", StatusCode::Error) => Some("true"),
        ("otel.status_code", StatusCode::Error) => Some("ERROR"),
        ("otel.status_code", StatusCode::Ok) => Some("OK"),
        ("span.kind", _) => kind.name(),
        _ => None,
    };
    Ok(tags.iter().all(|(key, wanted)| {
        derived(key).is_some_and(|text| text == wanted)
            || [&own, &resource.attributes]
                .into_iter()
                .filter_map(|attributes| attributes.get(key))
                .any(|value| value.to_text() == *wanted)
    }))
}

/// Reads the small columns of the trace's spans only.
pub(super) fn summary(conn: &Connection, id: TraceId) -> Result<Option<Summary>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT span_id, parent_span_id, spans.name, start_ns, end_ns, status, services.name
         FROM spans LEFT JOIN services ON services.id = service_id
         WHERE trace = (SELECT id FROM traces WHERE trace_id = ?1)",
    )?;
    let mut rows = statement.query([&id.as_bytes()[..]])?;
    let mut summary = Summary {
        trace_id: id,
        root_name: String::new(),
        root_service: String::new(),
        start_ns: u64::MAX,
        end_ns: 0,
        spans: 0,
        errors: 0,
        orphans: 0,
        services: BTreeSet::new(),
    };
    let mut known = HashSet::new();
    let mut parents = Vec::new();
    // A span without parent goes before one with, then the earlier one.
    let mut best = (true, u64::MAX);
    while let Some(row) = rows.next()? {
        let parent = row
            .get::<_, Option<[u8; 8]>>(1)?
            .and_then(|b| SpanId::from_bytes(&b));
        let start = row.get::<_, i64>(3)?.cast_unsigned();
        let service: String = row.get::<_, Option<String>>(6)?.unwrap_or_default();
        known.insert(row.get::<_, [u8; 8]>(0)?);
        parents.extend(parent);
        summary.spans += 1;
        summary.errors += u64::from(row.get::<_, u8>(5)? == ERROR);
        summary.start_ns = summary.start_ns.min(start);
        summary.end_ns = summary.end_ns.max(row.get::<_, i64>(4)?.cast_unsigned());
        if !summary.services.contains(&service) {
            summary.services.insert(service.clone());
        }
        let rank = (parent.is_some(), start);
        if rank < best || summary.spans == 1 {
            best = rank;
            summary.root_name = row.get(2)?;
            summary.root_service = service;
        }
    }
    if summary.spans == 0 {
        return Ok(None);
    }
    summary.end_ns = summary.end_ns.max(summary.start_ns);
    summary.orphans = parents
        .iter()
        .filter(|parent| !known.contains(parent.as_bytes()))
        .count() as u64;
    Ok(Some(summary))
}
