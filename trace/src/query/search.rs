//! Search: a bounded walk along one list, from its newest end, until enough traces are found.

mod walk;

use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension};

use super::Query;
use super::predicate::Predicate;
use crate::error::{QueryError, StoreError};
use crate::model::{StatusCode, TraceId};

use walk::{Budget, Walk};

/// Traces among which the slowest are looked for.
const MAX_SORTED: usize = 2_000;

/// What to look for.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// What one span of the trace must be.
    pub matching: Predicate,
    /// No span of the trace has failed.
    pub no_errors: bool,
    /// Which traces come first.
    pub sort: Sort,
    /// Only what comes after this place of the same search.
    pub after: Option<Place>,
    /// Traces to return, at least 1.
    pub limit: usize,
}

/// Which traces come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Those whose newest match began last.
    #[default]
    Newest,
    /// Those that took longest, of the 2,000 newest that match.
    Slowest,
}

/// Where a page of traces ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The span up to which was looked.
    Newest {
        /// Its start, ns since the Unix epoch.
        start_ns: i64,
        /// Its number.
        id: i64,
    },
    /// The last trace of the page.
    Slowest {
        /// Spans that began later came after the first page.
        until_ns: i64,
        /// How long it took.
        duration_ns: i64,
        /// Its number.
        trace: i64,
    },
}

/// A text that is no [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no cursor of an earlier answer")]
pub struct InvalidPlace;

/// A trace that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub trace_id: TraceId,
    /// Start of its newest span that matches, ns since the Unix epoch.
    pub match_start_ns: u64,
}

/// A page of what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundTraces {
    /// In the order that was asked for.
    pub items: Vec<Found>,
    /// Where the next page begins.
    pub next: Option<Place>,
    /// There may be more: the page is full, or too much had to be looked at.
    pub truncated: bool,
}

impl Query {
    /// Traces that hold a span which matches.
    pub async fn search(&self, search: Search) -> Result<FoundTraces, QueryError> {
        self.read(move |conn| run(conn, &search, Budget::default()))
            .await
    }
}

fn run(conn: &Connection, search: &Search, budget: Budget) -> Result<FoundTraces, StoreError> {
    match (search.sort, search.after) {
        (Sort::Newest, after) => newest(conn, search, after, budget),
        (Sort::Slowest, after) => slowest(conn, search, after, budget),
    }
}

fn newest(
    conn: &Connection,
    search: &Search,
    after: Option<Place>,
    budget: Budget,
) -> Result<FoundTraces, StoreError> {
    let after = match after {
        Some(Place::Newest { start_ns, id }) => Some((start_ns, id)),
        _ => None,
    };
    let walk = Walk::new(conn, search, budget)?;
    let mut page = FoundTraces::default();
    let mut last = after;
    let end = walk.run(after, |hit| {
        if page.items.len() == search.limit {
            page.truncated = true;
            return Ok(false);
        }
        last = Some((hit.start_ns, hit.id));
        // On an earlier page stands what has a newer match.
        let is_shown = match after {
            Some(after) => walk.has_match_after(hit.trace, after)?,
            None => false,
        };
        if !is_shown && is_wanted(conn, search, hit.trace)? {
            page.items.push(hit.found());
        }
        Ok(true)
    })?;
    if let Some(end) = end {
        page.truncated = true;
        last = Some(end);
    }
    if page.truncated {
        page.next = last.map(|(start_ns, id)| Place::Newest { start_ns, id });
    }
    Ok(page)
}

fn slowest(
    conn: &Connection,
    search: &Search,
    after: Option<Place>,
    budget: Budget,
) -> Result<FoundTraces, StoreError> {
    let mut after_trace = None;
    // The same traces on each page, whatever has come meanwhile.
    let mut until = None;
    if let Some(Place::Slowest {
        until_ns,
        duration_ns,
        trace,
    }) = after
    {
        after_trace = Some((duration_ns, trace));
        until = Some((until_ns, i64::MAX));
    }
    let walk = Walk::new(conn, search, budget)?;
    let mut newest_ns = until.map(|(until_ns, _)| until_ns);
    let mut found = Vec::new();
    let mut truncated = false;
    let end = walk.run(until, |hit| {
        newest_ns.get_or_insert(hit.start_ns);
        if found.len() == MAX_SORTED {
            truncated = true;
            return Ok(false);
        }
        if is_wanted(conn, search, hit.trace)? {
            found.push((duration_ns(conn, hit.trace)?, hit));
        }
        Ok(true)
    })?;
    truncated |= end.is_some();
    found.sort_by_key(|(duration, hit)| std::cmp::Reverse((*duration, hit.trace)));
    if let Some(after) = after_trace {
        found.retain(|(duration, hit)| (*duration, hit.trace) < after);
    }
    let is_full = found.len() > search.limit;
    found.truncate(search.limit);
    let next = found
        .last()
        .filter(|_| is_full)
        .map(|(duration, hit)| Place::Slowest {
            until_ns: newest_ns.unwrap_or(i64::MAX),
            duration_ns: *duration,
            trace: hit.trace,
        });
    Ok(FoundTraces {
        items: found.into_iter().map(|(_, hit)| hit.found()).collect(),
        next,
        truncated: truncated || is_full,
    })
}

/// Whether the other spans of a trace are as they should be.
fn is_wanted(conn: &Connection, search: &Search, trace: i64) -> Result<bool, StoreError> {
    if !search.no_errors {
        return Ok(true);
    }
    let error = StatusCode::Error as u8;
    let failed: Option<i64> = conn
        .prepare_cached("SELECT 1 FROM span_rows WHERE trace = ?1 AND +status = ?2 LIMIT 1")?
        .query_row((trace, error), |row| row.get(0))
        .optional()?;
    Ok(failed.is_none())
}

fn duration_ns(conn: &Connection, trace: i64) -> Result<i64, StoreError> {
    let sql =
        "SELECT max(start_ns + max(took_ns, 0)) - min(start_ns) FROM span_rows WHERE trace = ?1";
    let duration = conn
        .prepare_cached(sql)?
        .query_row([trace], |row| row.get(0));
    Ok(duration?)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest { start_ns, id } => write!(f, "n{start_ns}-{id}"),
            Self::Slowest {
                until_ns,
                duration_ns,
                trace,
            } => write!(f, "s{until_ns}-{duration_ns}-{trace}"),
        }
    }
}

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let numbers = |text: &str| -> Result<Vec<i64>, InvalidPlace> {
            let parts = text.split('-').map(str::parse);
            parts.collect::<Result<_, _>>().map_err(|_| InvalidPlace)
        };
        let (sort, rest) = text.split_at_checked(1).ok_or(InvalidPlace)?;
        match (sort, numbers(rest)?.as_slice()) {
            ("n", &[start_ns, id]) => Ok(Self::Newest { start_ns, id }),
            ("s", &[until_ns, duration_ns, trace]) => Ok(Self::Slowest {
                until_ns,
                duration_ns,
                trace,
            }),
            _ => Err(InvalidPlace),
        }
    }
}

#[cfg(test)]
#[path = "search/search_tests.rs"]
mod tests;
