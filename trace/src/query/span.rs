//! One span with all that is known of it, and spans of one trace by words.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;
use utoipa::ToSchema;

use super::Query;
use super::links::{self, LinkedFrom};
use super::words::Words;
use crate::error::{QueryError, StoreError};
use crate::model::{Span, SpanId, TraceId};
use crate::store::row::{BY_PLACE, SELECT, SpanReader, from_json, signed};
use crate::store::trace_ids;

/// A span and what only the store knows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct WholeSpan {
    /// The span.
    pub span: Span,
    /// Spans that link to it, 100 at most.
    pub linked_from: Vec<LinkedFrom>,
    /// Its figures, where it is a model call or a handler.
    pub performance: Option<Performance>,
}

/// Figures of a span. What nobody has measured is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Performance {
    /// Time to the first token, in ms.
    pub ttft_ms: Option<f64>,
    /// Tokens of the prompt.
    pub prompt_tokens: Option<i64>,
    /// Tokens of the answer.
    pub completion_tokens: Option<i64>,
    /// Of both.
    pub total_tokens: Option<i64>,
    /// In USD.
    pub cost_usd: Option<f64>,
    /// The model that answered, or that was asked for.
    pub model: Option<String>,
    /// Provider of the model.
    pub provider: Option<String>,
    /// Milliseconds of each phase of a handler.
    pub phases: Option<BTreeMap<String, f64>>,
}

/// Spans of a trace that hold some words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matches {
    /// By start.
    pub span_ids: Vec<SpanId>,
    /// There are more.
    pub truncated: bool,
}

impl Query {
    /// A span of a trace with all that is known of it.
    pub async fn span(
        &self,
        trace: TraceId,
        span: SpanId,
    ) -> Result<Option<WholeSpan>, QueryError> {
        self.read(move |conn| whole(conn, trace, span)).await
    }

    /// Spans of a trace that hold all these words; of the first `max_spans` by start at most `limit`. `None` if no span of
    /// the trace is known.
    pub async fn find_in_trace(
        &self,
        trace: TraceId,
        words: Words,
        max_spans: usize,
        limit: usize,
    ) -> Result<Option<Matches>, QueryError> {
        self.read(move |conn| find(conn, trace, &words, max_spans, limit))
            .await
    }
}

fn whole(conn: &Connection, trace: TraceId, id: SpanId) -> Result<Option<WholeSpan>, StoreError> {
    let Some(number) = trace_ids::number(conn, trace)? else {
        return Ok(None);
    };
    let key = (number, &id.as_bytes()[..]);
    let Some(span) = SpanReader::new(conn).find(BY_PLACE, key)? else {
        return Ok(None);
    };
    let performance = conn
        .prepare_cached(
            "SELECT ttft_ms, prompt_tokens, completion_tokens, total_tokens, cost_usd, model, provider, phases
             FROM measures WHERE id = (SELECT id FROM span_rows WHERE trace = ?1 AND span_id = ?2)",
        )?
        .query_row(key, |row| {
            let performance = Performance {
                ttft_ms: row.get(0)?,
                prompt_tokens: row.get(1)?,
                completion_tokens: row.get(2)?,
                total_tokens: row.get(3)?,
                cost_usd: row.get(4)?,
                model: row.get(5)?,
                provider: row.get(6)?,
                phases: None,
            };
            Ok((performance, row.get::<_, Option<String>>(7)?))
        })
        .optional()?;
    let performance = match performance {
        Some((figures, Some(phases))) => Some(Performance {
            phases: from_json("phases", Some(&phases))?,
            ..figures
        }),
        other => other.map(|(figures, _)| figures),
    };
    Ok(Some(WholeSpan {
        span,
        linked_from: links::to_span(conn, trace, id)?,
        performance,
    }))
}

fn find(
    conn: &Connection,
    trace: TraceId,
    words: &Words,
    max_spans: usize,
    limit: usize,
) -> Result<Option<Matches>, StoreError> {
    let Some(number) = trace_ids::number(conn, trace)? else {
        return Ok(None);
    };
    let mut statement = conn.prepare_cached(&format!("{SELECT} WHERE trace = ?1 LIMIT ?2"))?;
    let mut rows = statement.query((number, signed(max_spans as u64)))?;
    let mut reader = SpanReader::new(conn);
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let span = reader.span(row)?;
        if words.are_in(&span) {
            found.push((span.start_ns, span.span_id));
        }
    }
    found.sort_unstable();
    let truncated = found.len() > limit;
    found.truncate(limit);
    Ok(Some(Matches {
        span_ids: found.into_iter().map(|(_, id)| id).collect(),
        truncated,
    }))
}
