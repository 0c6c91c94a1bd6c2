//! Deleting what is too old or too much, a little at a time.
//!
//! Oldest arrivals go first, and a trace goes as a whole with its oldest span, so that what is left has no holes.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::Writer;
use super::blocks::{self, List, Lists};
use super::row::signed;
use crate::error::StoreError;

/// How much is kept. Whatever bound is met first counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Age in seconds since arrival; 0 keeps for ever.
    pub max_age_s: u64,
    /// Spans; 0 keeps all.
    pub max_spans: u64,
    /// Bytes of the database that hold something; 0: any number. Its file can be larger by what was there before, which new
    /// spans fill first.
    pub max_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            max_age_s: 7 * 24 * 3600,
            max_spans: 5_000_000,
            max_bytes: 0,
        }
    }
}

/// Oldest rows that one step looks at: as many as it may delete, or the indexer would not keep up where traces are short.
const STEP_ROWS: i64 = 2_000;
/// Rows that one step deletes at most; a longer trace takes several steps.
pub(crate) const STEP_DELETES: u64 = 2_000;

/// Names that nobody uses are looked for after this many spans have gone.
const SWEEP_SPANS: i64 = 100_000;

impl Writer {
    /// Deletes one small portion of what is beyond the bounds at `now_ms`. Returns how many spans went; 0 means that
    /// nothing is left to do.
    pub fn expire(&mut self, retention: &Retention, now_ms: u64) -> Result<u64, StoreError> {
        let oldest_ms = match retention.max_age_s {
            0 => 0,
            age => now_ms.saturating_sub(age.saturating_mul(1000)),
        };
        let (conn, memory, swept_to) = self.parts();
        let oldest = conn
            .query_row(
                "SELECT id, received_ms FROM span_rows ORDER BY id LIMIT 1",
                [],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
            )
            .optional()?;
        let Some((first, first_ms)) = oldest else {
            return Ok(0);
        };
        // Ids rise by one per span, so the distance of two is the number of spans between, or a little above it.
        let last: i64 = conn.query_row("SELECT max(id) FROM span_rows", [], |row| row.get(0))?;
        let keep_from = match retention.max_spans {
            0 => first,
            max => last.saturating_sub(signed(max)).saturating_add(1),
        };
        let keep_from = if retention.max_bytes > 0 && used_bytes(conn)? > retention.max_bytes {
            // How many that will be is seen when they are gone.
            keep_from.max(first.saturating_add(STEP_ROWS))
        } else {
            keep_from
        };
        let oldest_ms = signed(oldest_ms);
        if first >= keep_from && first_ms >= oldest_ms {
            return Ok(0);
        }
        let transaction = conn.transaction()?;
        let traces = {
            let mut statement = transaction.prepare_cached(
                "SELECT trace FROM (SELECT id, trace, received_ms FROM span_rows ORDER BY id LIMIT ?1)
                 WHERE id < ?2 OR received_ms < ?3
                 GROUP BY trace ORDER BY min(id)",
            )?;
            let rows = statement.query_map((STEP_ROWS, keep_from, oldest_ms), |row| {
                row.get::<_, i64>(0)
            })?;
            rows.collect::<Result<Vec<_>, _>>()?
        };
        let mut lists = Lists::default();
        let mut deleted = 0;
        for trace in traces {
            if deleted >= STEP_DELETES {
                break;
            }
            // Oldest first, so that the rest of a long trace is the oldest again in the next step.
            let mut delete = transaction.prepare_cached(
                "DELETE FROM span_rows WHERE id IN
                 (SELECT id FROM span_rows WHERE trace = ?1 ORDER BY id LIMIT ?2) RETURNING id, start_ns",
            )?;
            let mut gone = delete.query((trace, signed(STEP_DELETES - deleted)))?;
            while let Some(row) = gone.next()? {
                lists.add(List::Gone, 0, row.get(0)?, row.get(1)?);
                deleted += 1;
            }
            transaction
                .prepare_cached(
                    "DELETE FROM traces WHERE id = ?1
                     AND NOT EXISTS (SELECT 1 FROM span_rows WHERE trace = ?1)",
                )?
                .execute([trace])?;
            memory.expired(trace);
        }
        lists.write(&transaction)?;
        blocks::expire(&transaction)?;
        let mut gone = 0;
        if deleted > 0 {
            // Names are many, and hardly one goes at each step.
            let many: &[&str] = if first >= *swept_to {
                *swept_to = first.saturating_add(SWEEP_SPANS);
                &["names", "shapes"]
            } else {
                &[]
            };
            for table in ["services", "resources", "scopes", "operations"]
                .iter()
                .chain(many)
            {
                let sql = format!(
                    "DELETE FROM {table} WHERE last_span < (SELECT coalesce(min(id), 0) FROM span_rows)"
                );
                gone += transaction.prepare_cached(&sql)?.execute([])?;
            }
        }
        transaction.commit()?;
        if gone > 0 {
            self.forget();
        }
        Ok(deleted)
    }
}

/// Bytes of the pages that hold something.
pub(super) fn used_bytes(conn: &Connection) -> Result<u64, StoreError> {
    let number = |pragma: &str| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok((pages * number("page_size")?).unsigned_abs())
}
