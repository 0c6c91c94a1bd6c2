//! Numbers of traces by their ids, in a short list of new ones and a long one.
//!
//! Ids are random, so each one that is added to a sorted list changes another page of it. The short list has so few pages
//! that a transaction changes all of them anyhow; to the long one they are added rarely, and then everywhere at once. A trace
//! that goes takes its id from either, by a trigger.

mod known;

use rusqlite::{Connection, OptionalExtension};

use crate::error::StoreError;
use crate::model::TraceId;

pub(super) use known::KnownIds;

/// More ids than these in the short list go over to the long one: about a hundred pages.
const MOST_NEW: i64 = 32 << 10;

/// The number of trace `?1`, for other statements. A scalar subquery.
pub(crate) const NUMBER: &str = "(SELECT trace FROM trace_numbers WHERE trace_id = ?1)";

/// The number of a trace; `None` if it is not known.
pub(crate) fn number(conn: &Connection, id: TraceId) -> Result<Option<i64>, StoreError> {
    let number = conn
        .prepare_cached("SELECT trace FROM trace_numbers WHERE trace_id = ?1")?
        .query_row([&id.as_bytes()[..]], |row| row.get(0))
        .optional()?;
    Ok(number)
}

/// Trace `number` is new; it must not be known.
pub(super) fn add(conn: &Connection, id: TraceId, number: i64) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT INTO new_trace_ids (trace_id, trace) VALUES (?1, ?2)")?
        .execute((&id.as_bytes()[..], number))?;
    Ok(())
}

/// Moves the new ids to the long list where they are many.
pub(super) fn settle(conn: &Connection) -> Result<(), StoreError> {
    settle_beyond(conn, MOST_NEW)
}

fn settle_beyond(conn: &Connection, most: i64) -> Result<(), StoreError> {
    let new: i64 = conn
        .prepare_cached("SELECT count(*) FROM new_trace_ids")?
        .query_row([], |row| row.get(0))?;
    if new > most {
        // Both are sorted alike, so each page of the long list is changed once. It fails with the whole transaction, so SQLite
        // need not keep what the pages were before.
        conn.execute_batch(
            "INSERT OR ROLLBACK INTO trace_ids SELECT trace_id, trace FROM new_trace_ids ORDER BY trace_id;
             DELETE FROM new_trace_ids;",
        )?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "trace_ids_tests.rs"]
mod tests;
