//! Rate, errors and duration of services over time, from their spans: what Jaeger's Monitor page draws.
//!
//! Each point tells about the spans that began in a window before it; windows of neighbouring points overlap. How much is looked at
//! is bounded, from the newest end: what lies before that is not known, and so has no value.

mod window;

use std::collections::HashMap;

use rusqlite::Connection;

use super::{Query, lists};
use crate::error::{QueryError, StoreError};
use crate::model::{SpanKind, StatusCode};
use crate::store::blocks::{List, Newest};
use crate::store::names::Names;
use crate::store::row::signed;

use window::slide;

/// Spans that are looked at, over all services.
const MAX_SPANS: usize = 200_000;
/// Rows that are read together.
const STEP: usize = 512;
/// Points of one answer, over all its series.
const MAX_POINTS: usize = 200_000;

/// What is asked for. Times are ns since the Unix epoch, lengths are ns.
#[derive(Debug, Clone, PartialEq)]
pub struct RedSearch {
    /// Names of services; each has series of its own.
    pub services: Vec<String>,
    /// Spans of these kinds count.
    pub kinds: Vec<SpanKind>,
    /// A series for each name of a span.
    pub by_operation: bool,
    /// What a point says.
    pub measure: Measure,
    /// When each point is, ascending, at least one.
    pub points_ns: Vec<u64>,
    /// How long before a point its window begins, at least 1.
    pub window_ns: u64,
}

/// What a point says about its window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// Spans per second.
    Calls,
    /// Share of the spans that failed, from 0 to 1.
    Errors,
    /// The duration below which this share of the spans lies, by nearest rank, in ms.
    Latency(f64),
}

/// Points of one service, or of one operation of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RedSeries {
    /// Name of the service.
    pub service: String,
    /// Name of its spans, where that was asked for.
    pub operation: Option<String>,
    /// One for each point; `None` where nothing was measured.
    pub values: Vec<Option<f64>>,
}

/// All series.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Red {
    /// By service as it was asked for, then those with the most spans first. A service without a span has none.
    pub series: Vec<RedSeries>,
    /// There are more spans, or series, than one answer may take.
    pub is_cut: bool,
}

/// A span as it counts.
#[derive(Debug, Clone, Copy)]
struct Counted {
    start_ns: i64,
    took_ns: i64,
    is_error: bool,
    /// `names.id` of its name.
    name: i64,
}

impl Query {
    /// Rates, errors or durations.
    pub async fn red(&self, search: RedSearch) -> Result<Red, QueryError> {
        self.read(move |conn| red(conn, &search, MAX_SPANS)).await
    }
}

fn red(conn: &Connection, search: &RedSearch, max_spans: usize) -> Result<Red, StoreError> {
    let mut red = Red::default();
    let mut room = max_spans;
    let max_series = (MAX_POINTS / search.points_ns.len().max(1)).max(1);
    let mut names = Names::new(conn);
    for service in &search.services {
        let looked_at = spans(conn, search, service, room)?;
        red.is_cut |= looked_at.known_from_ns.is_some();
        room -= looked_at.count;
        let mut groups: HashMap<Option<i64>, Vec<Counted>> = HashMap::new();
        for span in looked_at.spans.into_iter().rev() {
            let group = search.by_operation.then_some(span.name);
            groups.entry(group).or_default().push(span);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(name, spans)| (std::cmp::Reverse(spans.len()), *name));
        for (name, spans) in groups {
            if red.series.len() == max_series {
                red.is_cut = true;
                break;
            }
            red.series.push(RedSeries {
                service: service.clone(),
                operation: name.map(|name| names.text(name)).transpose()?,
                values: slide(&spans, search, looked_at.known_from_ns),
            });
        }
    }
    Ok(red)
}

/// What was found of one service.
struct LookedAt {
    /// The newest first.
    spans: Vec<Counted>,
    /// How many were looked at, of whatever kind.
    count: usize,
    /// Not all were looked at: what began before this is not known.
    known_from_ns: Option<i64>,
}

fn spans(
    conn: &Connection,
    search: &RedSearch,
    service: &str,
    room: usize,
) -> Result<LookedAt, StoreError> {
    let first = search.points_ns.first().copied().unwrap_or_default();
    let last = search.points_ns.last().copied().unwrap_or_default();
    let from = first.saturating_sub(search.window_ns);
    let mut found = LookedAt {
        spans: Vec::new(),
        count: 0,
        known_from_ns: None,
    };
    let Some(list) = lists::find(conn, List::Service, service)? else {
        return Ok(found);
    };
    let mut statement = conn.prepare_cached(
        "SELECT start_ns, max(took_ns, 0), status, kind, name FROM span_rows WHERE id IN rarray(?1) ORDER BY start_ns DESC",
    )?;
    // The window does not hold its own begin.
    let starts = signed(from).saturating_add(1)..=signed(last);
    let mut newest = Newest::new(conn, list, starts)?;
    while let Some(ids) = newest.ids(STEP)? {
        let mut rows = statement.query([ids])?;
        while let Some(row) = rows.next()? {
            let start_ns = row.get(0)?;
            if found.count == room {
                // One at this moment is known, and perhaps not all of them.
                found.known_from_ns = Some(start_ns);
                return Ok(found);
            }
            found.count += 1;
            let kind = SpanKind::from_number(row.get(3)?);
            if search.kinds.contains(&kind) {
                found.spans.push(Counted {
                    start_ns,
                    took_ns: row.get(1)?,
                    is_error: row.get::<_, u8>(2)? == StatusCode::Error as u8,
                    name: row.get(4)?,
                });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "red/red_tests.rs"]
mod tests;
