//! Where the time of one execution went.

use std::collections::{BTreeMap, HashMap};

use loom_proto::semconv::{attribute, span as name};
use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;
use utoipa::ToSchema;

use super::Query;
use crate::error::{QueryError, StoreError};
use crate::measure::Kind;
use crate::model::{SpanId, SpanKind, TraceId};
use crate::store::row::from_json;
use crate::store::trace_ids::NUMBER;

/// Where the time of a handler went, in milliseconds. The parts overlap: a call of a model is an HTTP request too.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct Timing {
    /// From begin to end; `None` where the span only stands in for one that was lost.
    pub total_ms: Option<f64>,
    /// How long its event waited in a mailbox; `None` where its delivery was not recorded.
    pub queue_wait_ms: Option<f64>,
    /// Each phase that it had, by its name and `_ms`.
    pub phases: BTreeMap<String, f64>,
    /// While at least one call of a model was open below it.
    pub llm_ms: f64,
    /// While at least one tool was.
    pub tool_ms: f64,
    /// While at least one query of a database was.
    pub database_ms: f64,
    /// While at least one HTTP request to somebody else was.
    pub http_ms: f64,
}

/// What of a span counts.
struct Row {
    id: SpanId,
    start_ns: i64,
    end_ns: i64,
    is_publish: bool,
    is: [bool; 4],
}

impl Query {
    /// Where the time of a handler went; `None` when that span is no handler, or not there.
    pub async fn timing(
        &self,
        trace: TraceId,
        handler: SpanId,
    ) -> Result<Option<Timing>, QueryError> {
        self.read(move |conn| timing(conn, trace, handler)).await
    }
}

fn timing(
    conn: &Connection,
    trace: TraceId,
    handler: SpanId,
) -> Result<Option<Timing>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT spans.trace, spans.start_ns, spans.end_ns, duration_ns, phases,
             (SELECT above.attributes ->> '$.\"{}\"' FROM spans AS above
              WHERE above.trace = spans.trace AND above.span_id = spans.parent_span_id)
         FROM spans JOIN measures ON measures.id = spans.id AND measures.kind = {}
         WHERE spans.trace = {NUMBER} AND spans.span_id = ?2",
        attribute::QUEUE_WAIT_US,
        Kind::Handler as u8,
    ))?;
    let ids = (&trace.as_bytes()[..], &handler.as_bytes()[..]);
    let found = statement.query_row(ids, |row| {
        let during = row.get::<_, i64>(1)?..row.get::<_, i64>(2)?;
        let ms = |ns: Option<i64>| ns.map(|ns| ns as f64 / 1e6);
        let wait_us: Option<f64> = row.get(5)?;
        Ok((
            row.get::<_, i64>(0)?,
            during,
            ms(row.get(3)?),
            row.get::<_, Option<String>>(4)?,
            wait_us.map(|us| us / 1e3),
        ))
    });
    let Some((number, during, total_ms, phases, queue_wait_ms)) = found.optional()? else {
        return Ok(None);
    };
    let below = below(conn, number, handler)?;
    let open = |what: usize| {
        let spans = below.iter().filter(|span| span.is[what]);
        let times =
            spans.map(|span| (span.start_ns.max(during.start), span.end_ns.min(during.end)));
        union_ns(times.collect()) as f64 / 1e6
    };
    Ok(Some(Timing {
        total_ms,
        queue_wait_ms,
        phases: from_json("phases", phases.as_deref())?,
        llm_ms: open(0),
        tool_ms: open(1),
        database_ms: open(2),
        http_ms: open(3),
    }))
}

/// What a handler waits for: all spans below it but those that follow from its publishes.
fn below(conn: &Connection, trace: i64, handler: SpanId) -> Result<Vec<Row>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT spans.span_id, spans.parent_span_id, spans.start_ns, spans.end_ns, name IN ('{}', '{}'),
             measures.kind IS {}, coalesce(attributes ->> '$.\"{}\"' = '{}', 0),
             coalesce(attributes ->> '$.\"{}\"', attributes ->> '$.\"db.system\"') IS NOT NULL,
             spans.kind = {} AND coalesce(attributes ->> '$.\"{}\"', attributes ->> '$.\"http.method\"') IS NOT NULL
         FROM spans LEFT JOIN measures ON measures.id = spans.id WHERE spans.trace = ?1",
        name::BRIDGE_PUBLISH,
        name::BUS_PUBLISH,
        Kind::ModelCall as u8,
        attribute::GEN_AI_OPERATION_NAME,
        name::EXECUTE_TOOL,
        attribute::DB_SYSTEM_NAME,
        SpanKind::Client as u8,
        attribute::HTTP_REQUEST_METHOD,
    ))?;
    let mut children: HashMap<SpanId, Vec<Row>> = HashMap::new();
    let mut rows = statement.query([trace])?;
    while let Some(row) = rows.next()? {
        let id = |at: usize| -> rusqlite::Result<Option<SpanId>> {
            let bytes: Option<[u8; 8]> = row.get(at)?;
            Ok(bytes.and_then(|bytes| SpanId::from_bytes(&bytes)))
        };
        let (Some(id), Some(parent)) = (id(0)?, id(1)?) else {
            continue;
        };
        children.entry(parent).or_default().push(Row {
            id,
            start_ns: row.get(2)?,
            end_ns: row.get(3)?,
            is_publish: row.get(4)?,
            is: [row.get(5)?, row.get(6)?, row.get(7)?, row.get(8)?],
        });
    }
    // Taken out when they are visited, so that a circle ends.
    let mut found = Vec::new();
    let mut next = vec![handler];
    while let Some(parent) = next.pop() {
        for span in children.remove(&parent).unwrap_or_default() {
            if !span.is_publish {
                next.push(span.id);
                found.push(span);
            }
        }
    }
    Ok(found)
}

/// How long at least one of these times lasted.
fn union_ns(mut times: Vec<(i64, i64)>) -> i64 {
    times.sort_unstable();
    let (mut total, mut reached) = (0, i64::MIN);
    for (start, end) in times {
        let start = start.max(reached);
        if end > start {
            total += end - start;
            reached = end;
        }
    }
    total
}

#[cfg(test)]
#[path = "timing_tests.rs"]
mod tests;
