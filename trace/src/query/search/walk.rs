//! A walk along one list: which one, how far, and which spans on it are meant.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, ToSql, params_from_iter};

use super::{Found, Search};
use crate::error::StoreError;
use crate::model::TraceId;
use crate::query::bodies::Bodies;
use crate::query::lists::shortest;
use crate::query::predicate::{Predicate, Sql};
use crate::store::blocks::{List, Newest};
use crate::store::row::signed;

/// Rows that are read together, at first: a page is full soon as a rule.
const FIRST_STEP: usize = 32;
/// And in the end.
const STEP: usize = 512;

/// How much one search may look at. A search that finds nothing ends too, and says that it has not looked at all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Spans.
    pub(super) spans: usize,
    /// Spans that are read as a whole.
    pub(super) bodies: usize,
    /// Of time.
    pub(super) time: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            spans: 200_000,
            bodies: 20_000,
            time: Duration::from_secs(2),
        }
    }
}

/// A trace that was met, by its newest span that matches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub(super) start_ns: i64,
    pub(super) id: i64,
    pub(super) trace: i64,
    trace_id: TraceId,
}

impl Hit {
    pub(super) fn found(&self) -> Found {
        Found {
            trace_id: self.trace_id,
            match_start_ns: self.start_ns.cast_unsigned(),
        }
    }
}

/// A walk along one list.
pub(super) struct Walk<'a> {
    conn: &'a Connection,
    matching: &'a Predicate,
    /// The list along which it goes; `None`: there is nothing.
    list: Option<(List, i64)>,
    condition: Sql,
    from: i64,
    to: i64,
    budget: Budget,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        conn: &'a Connection,
        search: &'a Search,
        budget: Budget,
    ) -> Result<Self, StoreError> {
        let (from, to) = search.matching.starts();
        let (from, to) = (signed(from), signed(to));
        Ok(Self {
            conn,
            matching: &search.matching,
            list: shortest(conn, &search.matching.lists(), from..=to)?,
            condition: search.matching.sql(),
            from,
            to,
            budget,
        })
    }

    /// Meets each trace once, the one with the newest match first, until `visit` has enough or nothing is left. Says how far it
    /// has come when the budget has ended it.
    pub(super) fn run(
        &self,
        after: Option<(i64, i64)>,
        mut visit: impl FnMut(Hit) -> Result<bool, StoreError>,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let Some(list) = self.list else {
            return Ok(None);
        };
        let mut spans = Newest::new(self.conn, list, self.from..=self.to)?;
        if let Some(after) = after {
            spans = spans.before(after);
        }
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT start_ns, id, trace, (SELECT trace_id FROM traces WHERE traces.id = trace), {} FROM span_rows
             WHERE id IN rarray(?) ORDER BY start_ns DESC, id DESC",
            self.condition.text
        ))?;
        let mut bodies = Bodies::new(self.conn);
        let mut seen = HashSet::new();
        let (mut looked_at, begin) = (0, Instant::now());
        let mut last = after;
        let mut most = FIRST_STEP;
        while let Some(ids) = spans.ids(most)? {
            most = (2 * most).min(STEP);
            let mut values: Vec<&dyn ToSql> = Vec::new();
            values.extend(
                self.condition
                    .values
                    .iter()
                    .map(|value| value as &dyn ToSql),
            );
            values.push(&ids);
            let mut rows = statement.query(&*values)?;
            while let Some(row) = rows.next()? {
                let is_spent = looked_at == self.budget.spans
                    || bodies.read == self.budget.bodies
                    || (looked_at % 256 == 255 && begin.elapsed() > self.budget.time);
                if is_spent && last != after {
                    return Ok(last);
                }
                looked_at += 1;
                let (start_ns, id): (i64, i64) = (row.get(0)?, row.get(1)?);
                last = Some((start_ns, id));
                // NULL, where a column says nothing, is no match.
                if row.get::<_, Option<bool>>(4)? != Some(true) {
                    continue;
                }
                let trace = row.get(2)?;
                if seen.contains(&trace) {
                    continue;
                }
                if !self.condition.is_exact && !matches(&mut bodies, id, self.matching)? {
                    continue;
                }
                seen.insert(trace);
                let Some(trace_id) = TraceId::from_bytes(&row.get::<_, [u8; 16]>(3)?) else {
                    continue;
                };
                let hit = Hit {
                    start_ns,
                    id,
                    trace,
                    trace_id,
                };
                if !visit(hit)? {
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }

    /// Whether a trace has a match that is newer than this place, or is it.
    pub(super) fn has_match_after(
        &self,
        trace: i64,
        (start, id): (i64, i64),
    ) -> Result<bool, StoreError> {
        let mut values = vec![
            trace.into(),
            SqlValue::from(start),
            id.into(),
            self.to.into(),
        ];
        values.extend(self.condition.values.clone());
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT id FROM span_rows WHERE trace = ? AND (start_ns, id) >= (?, ?) AND +start_ns <= ? AND {}",
            self.condition.text
        ))?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut bodies = Bodies::new(self.conn);
        while let Some(row) = rows.next()? {
            if self.condition.is_exact || matches(&mut bodies, row.get(0)?, self.matching)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether a span, read as a whole, is meant.
fn matches(bodies: &mut Bodies<'_>, id: i64, predicate: &Predicate) -> Result<bool, StoreError> {
    let span = bodies.span(id)?;
    Ok(span.is_some_and(|span| predicate.matches(&span)))
}
