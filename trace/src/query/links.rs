//! Links to spans: who names a span as one of its causes.

use rusqlite::Connection;

use super::Query;
use crate::error::{QueryError, StoreError};
use crate::model::{SpanId, TraceId};

/// Links of one answer at most.
const MAX_LINKS: u32 = 100;

/// A span that links to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedFrom {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// Its name.
    pub name: String,
    /// The span that it links to.
    pub to: SpanId,
}

impl Query {
    /// Spans of other traces that link to a span of this one, 100 at most.
    pub async fn linked_from(&self, trace: TraceId) -> Result<Vec<LinkedFrom>, QueryError> {
        self.read(move |conn| {
            let trace = &trace.as_bytes()[..];
            find(conn, "target_trace = ?1 AND spans.trace_id <> ?1", (trace,))
        })
        .await
    }
}

/// Spans that link to this one, of its own trace too, 100 at most.
pub(super) fn to_span(
    conn: &Connection,
    trace: TraceId,
    span: SpanId,
) -> Result<Vec<LinkedFrom>, StoreError> {
    let ids = (&trace.as_bytes()[..], &span.as_bytes()[..]);
    find(conn, "target_trace = ?1 AND target_span = ?2", ids)
}

fn find(
    conn: &Connection,
    condition: &str,
    ids: impl rusqlite::Params,
) -> Result<Vec<LinkedFrom>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT spans.trace_id, spans.span_id, spans.name, target_span
         FROM links JOIN spans ON spans.id = links.span WHERE {condition} LIMIT {MAX_LINKS}"
    ))?;
    let mut rows = statement.query(ids)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let trace = TraceId::from_bytes(&row.get::<_, [u8; 16]>(0)?);
        let span = SpanId::from_bytes(&row.get::<_, [u8; 8]>(1)?);
        let to = SpanId::from_bytes(&row.get::<_, [u8; 8]>(3)?);
        if let (Some(trace_id), Some(span_id), Some(to)) = (trace, span, to) {
            found.push(LinkedFrom {
                trace_id,
                span_id,
                name: row.get(2)?,
                to,
            });
        }
    }
    Ok(found)
}
