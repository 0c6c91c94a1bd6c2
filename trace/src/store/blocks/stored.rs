//! Lists of what is stored already: of a store that had none, of a span that has been completed, and to compare them with.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row};

use super::{BITS, List, Lists, Sample, first, of};
use crate::error::StoreError;
use crate::measure::Kind;
use crate::model::StatusCode;
use crate::store::row::from_json;

/// What [`sample`] reads; a caller adds the WHERE.
const SELECT: &str = "SELECT
    measures.id, measures.trace, measures.kind, measures.start_ns, duration_ns, measures.status, span_rows.agent,
    span_rows.workflow, ttft_ms, prompt_tokens, completion_tokens, total_tokens, cost_usd, phases
    FROM measures JOIN span_rows ON span_rows.id = measures.id";

/// The figures of a span, if it has any.
pub(in crate::store) fn stored_sample(
    conn: &Connection,
    id: i64,
) -> Result<Option<Sample>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("{SELECT} WHERE measures.id = ?1"))?;
    let mut rows = statement.query([id])?;
    rows.next()?.map(|row| sample(conn, row)).transpose()
}

/// Makes all lists anew.
pub(in crate::store) fn rebuild(conn: &Connection) -> Result<(), StoreError> {
    conn.execute_batch("DELETE FROM postings; DELETE FROM samples; DELETE FROM blocks")?;
    let last: i64 = conn.query_row("SELECT coalesce(max(id), 0) FROM span_rows", [], |row| {
        row.get(0)
    })?;
    for block in 0..=of(last) {
        lists_of(conn, block)?.write(conn)?;
    }
    Ok(())
}

/// In how many lists something is missing that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct Missing {
    /// Entries of spans.
    pub(in crate::store) spans: u64,
    /// Entries of handlers and model calls.
    pub(in crate::store) samples: u64,
}

/// Compares what is listed with what is stored.
pub(in crate::store) fn missing(conn: &Connection) -> Result<Missing, StoreError> {
    let blocks = "SELECT DISTINCT id >> ?1 FROM span_rows ORDER BY 1";
    let mut blocks = conn.prepare(blocks)?;
    let blocks = blocks.query_map([BITS], |row| row.get(0))?;
    let mut missing = Missing::default();
    for block in blocks.collect::<Result<Vec<i64>, _>>()? {
        let (spans, samples) = lists_of(conn, block)?.missing(conn)?;
        missing.spans += spans;
        missing.samples += samples;
    }
    Ok(missing)
}

/// What is to be listed of a block.
fn lists_of(conn: &Connection, block: i64) -> Result<Lists, StoreError> {
    let mut lists = Lists::default();
    let mut spans = conn.prepare_cached(
        "SELECT id, start_ns, status, service_id, agent, workflow, session, user, tenant, thread FROM span_rows
         WHERE id >= ?1 AND id < ?2",
    )?;
    let ids = [first(block), first(block + 1)];
    let mut rows = spans.query(ids)?;
    while let Some(row) = rows.next()? {
        let (id, start_ns) = (row.get(0)?, row.get(1)?);
        lists.open(id, start_ns);
        if row.get::<_, u8>(2)? == StatusCode::Error as u8 {
            lists.add(List::Failed, 0, id, start_ns);
        }
        lists.add(List::Service, row.get(3)?, id, start_ns);
        let mut who = [None; 6];
        for (at, number) in who.iter_mut().enumerate() {
            *number = row.get(4 + at)?;
        }
        lists.add_who(who, id, start_ns);
    }
    let mut measures = conn.prepare_cached(&format!(
        "{SELECT} WHERE measures.id >= ?1 AND measures.id < ?2"
    ))?;
    let mut rows = measures.query(ids)?;
    while let Some(row) = rows.next()? {
        lists.sample(sample(conn, row)?);
    }
    Ok(lists)
}

fn sample(conn: &Connection, row: &Row<'_>) -> Result<Sample, StoreError> {
    Ok(Sample {
        id: row.get(0)?,
        trace: row.get(1)?,
        kind: if row.get::<_, u8>(2)? == Kind::Handler as u8 {
            Kind::Handler
        } else {
            Kind::ModelCall
        },
        start_ns: row.get(3)?,
        duration_ns: row.get(4)?,
        is_error: row.get::<_, u8>(5)? == StatusCode::Error as u8,
        agent: row.get(6)?,
        workflow: row.get(7)?,
        ttft_ms: row.get(8)?,
        prompt_tokens: row.get(9)?,
        completion_tokens: row.get(10)?,
        total_tokens: row.get(11)?,
        cost_usd: row.get(12)?,
        phases: phases(conn, row.get::<_, Option<String>>(13)?.as_deref())?,
    })
}

/// Phases by the numbers of their names, which get one here where they have none.
fn phases(conn: &Connection, json: Option<&str>) -> Result<Vec<(i64, f64)>, StoreError> {
    let named: BTreeMap<String, f64> = from_json("phases", json)?;
    let number = |name: &str| -> Result<i64, StoreError> {
        let found = conn
            .prepare_cached("SELECT id FROM names WHERE text = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?;
        if let Some(id) = found {
            return Ok(id);
        }
        // Needed for as long as the spans of today are.
        conn.prepare_cached(
            "INSERT INTO names (text, last_span) SELECT ?1, coalesce(max(id), 0) FROM span_rows",
        )?
        .execute([name])?;
        Ok(conn.last_insert_rowid())
    };
    let numbered = named.into_iter().map(|(name, ms)| Ok((number(&name)?, ms)));
    numbered.collect()
}
