//! What people do with a store beside its server: see how it is, shorten it, check it, bring it to the newest schema.
//!
//! Seeing and checking read one moment of the database, also while a server writes it. The rest needs the directory for
//! itself.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde::Serialize;

use super::retention::used_bytes;
use super::row::signed;
use super::{FILE, NEWEST, Retention, Writer, blocks, configure, lock, version};
use crate::error::StoreError;
use crate::prices::Prices;

/// How a store is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Its schema.
    pub schema: u32,
    /// Spans in it.
    pub spans: u64,
    /// Their traces.
    pub traces: u64,
    /// Arrival of the oldest span, ms since the Unix epoch.
    pub oldest_ms: Option<u64>,
    /// Arrival of the newest span, ms since the Unix epoch.
    pub newest_ms: Option<u64>,
    /// Bytes of the database that hold something.
    pub used_bytes: u64,
    /// Bytes of its file that new spans fill first.
    pub free_bytes: u64,
    /// Bytes of its log.
    pub log_bytes: u64,
    /// Tables and indexes, the largest first.
    pub parts: Vec<Part>,
    /// What retention will delete next.
    pub due: Due,
}

/// A table, or an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Whether it is an index.
    pub is_index: bool,
    /// Bytes of its pages.
    pub bytes: u64,
}

/// What is beyond the bounds of a retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Due {
    /// Spans that go.
    pub spans: u64,
    /// Their traces.
    pub traces: u64,
}

/// What was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Spans that went.
    pub spans: u64,
    /// Bytes that hold something, before.
    pub used_bytes_before: u64,
    /// And after.
    pub used_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
}

/// Something that is wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// From which schema a store was brought to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Migrated {
    /// Before.
    pub from: u32,
    /// After.
    pub to: u32,
}

/// How the store in this directory is, and what this retention would delete at `now_ms`.
///
/// # Errors
/// There is none, or it has another schema.
pub fn stats(dir: &Path, retention: &Retention, now_ms: u64) -> Result<Stats, StoreError> {
    let mut conn = open(dir)?;
    let conn = conn.transaction()?;
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
    let count = |sql: &str| Ok::<_, StoreError>(number(sql)?.unwrap_or(0).unsigned_abs());
    let time = |order: &str| {
        let sql = format!("SELECT received_ms FROM span_rows ORDER BY id {order} LIMIT 1");
        let time = number(&sql).optional()?.flatten();
        Ok::<_, StoreError>(time.map(i64::unsigned_abs))
    };
    let mut statement = conn.prepare(
        "SELECT name, sum(pgsize), coalesce((SELECT type FROM sqlite_schema WHERE name = dbstat.name), '') = 'index'
         FROM dbstat GROUP BY name ORDER BY 2 DESC, 1",
    )?;
    let parts = statement.query_map([], |row| {
        Ok(Part {
            name: row.get(0)?,
            bytes: row.get::<_, i64>(1)?.unsigned_abs(),
            is_index: row.get(2)?,
        })
    })?;
    Ok(Stats {
        schema: version(&conn)?,
        spans: count("SELECT count(*) FROM span_rows")?,
        traces: count("SELECT count(*) FROM traces")?,
        oldest_ms: time("ASC")?,
        newest_ms: time("DESC")?,
        used_bytes: used_bytes(&conn)?,
        free_bytes: count(
            "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size",
        )?,
        log_bytes: bytes_of(&dir.join(format!("{FILE}-wal"))),
        parts: parts.collect::<Result<_, _>>()?,
        due: due(&conn, retention, now_ms)?,
    })
}

/// What a retention would delete. By bytes it is estimated: spans are taken to be of one size.
fn due(conn: &Connection, retention: &Retention, now_ms: u64) -> Result<Due, StoreError> {
    let bounds = "SELECT min(id), max(id) FROM span_rows";
    let (first, last) = conn.query_row(bounds, [], |row| {
        Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
    })?;
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(Due::default());
    };
    let oldest_ms = match retention.max_age_s {
        0 => 0,
        age => now_ms.saturating_sub(age.saturating_mul(1000)),
    };
    let mut keep_from = first;
    if retention.max_spans > 0 {
        keep_from = last
            .saturating_sub(signed(retention.max_spans))
            .saturating_add(1);
    }
    let used = used_bytes(conn)?;
    if retention.max_bytes > 0 && used > retention.max_bytes {
        let beyond = (used - retention.max_bytes) as f64 / used as f64;
        let spans = beyond * (last - first + 1) as f64;
        keep_from = keep_from.max(first + spans as i64);
    }
    let sql = "SELECT count(*), count(DISTINCT trace) FROM span_rows WHERE trace IN
               (SELECT trace FROM span_rows WHERE id < ?1 OR received_ms < ?2)";
    Ok(conn.query_row(sql, (keep_from, signed(oldest_ms)), |row| {
        Ok(Due {
            spans: row.get::<_, i64>(0)?.unsigned_abs(),
            traces: row.get::<_, i64>(1)?.unsigned_abs(),
        })
    })?)
}

/// What [`prune`] would delete.
///
/// # Errors
/// Those of [`stats`].
pub fn would_prune(dir: &Path, retention: &Retention, now_ms: u64) -> Result<Due, StoreError> {
    due(&open(dir)?, retention, now_ms)
}

/// Deletes what is beyond the bounds; `give_back` then shortens the file, for which it needs as much room once more.
///
/// # Errors
/// `Locked` while a server runs on the directory.
pub fn prune(
    dir: &Path,
    retention: &Retention,
    now_ms: u64,
    give_back: bool,
) -> Result<Pruned, StoreError> {
    drop(open(dir)?);
    let _lock = lock(dir)?;
    let path = dir.join(FILE);
    // Nothing is stored here, so nothing is priced.
    let mut writer = Writer::open(&path, Prices::default())?;
    let used_bytes_before = used_bytes(writer.parts().0)?;
    let mut spans = 0;
    loop {
        match writer.expire(retention, now_ms)? {
            0 => break,
            deleted => spans += deleted,
        }
    }
    let (conn, ..) = writer.parts();
    if give_back {
        conn.execute_batch("VACUUM")?;
    }
    let used_bytes = used_bytes(conn)?;
    writer.checkpoint()?;
    Ok(Pruned {
        spans,
        used_bytes_before,
        used_bytes,
        file_bytes: bytes_of(&path),
    })
}

/// What is wrong with the store in this directory; empty when nothing is.
///
/// # Errors
/// It cannot be read at all.
pub fn verify(dir: &Path) -> Result<Vec<Fault>, StoreError> {
    let mut conn = open(dir)?;
    let conn = conn.transaction()?;
    let mut faults = Vec::new();
    let mut statement = conn.prepare("PRAGMA integrity_check(20)")?;
    let said = statement.query_map([], |row| row.get::<_, String>(0))?;
    for what in said.collect::<Result<Vec<_>, _>>()? {
        if what != "ok" {
            let what = format!("SQLite: {what}");
            faults.push(Fault { what, count: 1 });
        }
    }
    let mut check = |what: String, rows: &str| {
        let sql = format!("SELECT count(*) FROM {rows}");
        let count: i64 = conn.query_row(&sql, [], |row| row.get(0))?;
        if count > 0 {
            let count = count.unsigned_abs();
            faults.push(Fault { what, count });
        }
        Ok::<_, StoreError>(())
    };
    let references = [
        ("trace", "traces"),
        ("service_id", "services"),
        ("resource_id", "resources"),
        ("scope_id", "scopes"),
        ("shape", "shapes"),
        ("name", "names"),
        ("agent", "names"),
        ("workflow", "names"),
        ("session", "names"),
        ("user", "names"),
        ("tenant", "names"),
        ("thread", "names"),
    ];
    for (column, table) in references {
        check(
            format!("spans whose {column} is not in {table}"),
            &format!(
                "span_rows WHERE {column} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {table} WHERE id = {column})"
            ),
        )?;
    }
    for (table, column) in [("measures", "id"), ("links", "span")] {
        check(
            format!("{table} without their span"),
            &format!(
                "{table} WHERE NOT EXISTS (SELECT 1 FROM span_rows WHERE id = {table}.{column})"
            ),
        )?;
    }
    check(
        "measures that say something else than their span".to_owned(),
        "measures JOIN span_rows USING (id) WHERE measures.start_ns <> span_rows.start_ns
             OR measures.trace <> span_rows.trace OR measures.status <> span_rows.status",
    )?;
    check(
        "traces without spans".to_owned(),
        "traces WHERE NOT EXISTS (SELECT 1 FROM span_rows WHERE trace = traces.id)",
    )?;
    check(
        "traces that are not found by their id".to_owned(),
        "traces WHERE (SELECT group_concat(trace) FROM trace_numbers WHERE trace_id = traces.trace_id) IS NOT traces.id",
    )?;
    check(
        "ids of traces that are not there".to_owned(),
        "trace_numbers WHERE NOT EXISTS (SELECT 1 FROM traces WHERE id = trace)",
    )?;
    check(
        "spans whose attributes are no JSON".to_owned(),
        "span_rows WHERE own IS NOT NULL AND NOT json_valid(own) OR shape IS NULL AND own IS NULL",
    )?;
    let missing = blocks::missing(&conn)?;
    for (what, count) in [
        ("lists in which a span is missing", missing.spans),
        ("lists in which figures are missing", missing.samples),
    ] {
        if count > 0 {
            let what = what.to_owned();
            faults.push(Fault { what, count });
        }
    }
    Ok(faults)
}

/// Brings the store in this directory to the newest schema.
///
/// # Errors
/// `Locked` while a server runs on the directory, `Newer` when a newer program made it.
pub fn migrate(dir: &Path) -> Result<Migrated, StoreError> {
    let path = dir.join(FILE);
    let from = version(&open_any(dir)?)?;
    let _lock = lock(dir)?;
    let conn = super::open(&path)?;
    let to = version(&conn)?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(Migrated { from, to })
}

/// Opens a store of our schema for reading.
fn open(dir: &Path) -> Result<Connection, StoreError> {
    let conn = open_any(dir)?;
    let found = version(&conn)?;
    let path = dir.join(FILE);
    let known = NEWEST;
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(StoreError::Older { path, found, known }),
        std::cmp::Ordering::Equal => Ok(conn),
        std::cmp::Ordering::Greater => Err(StoreError::Newer { path, found, known }),
    }
}

/// Opens a store of any schema for reading. Its log can be read only by who could write it.
fn open_any(dir: &Path) -> Result<Connection, StoreError> {
    let path = dir.join(FILE);
    if !path.exists() {
        return Err(StoreError::Missing(dir.to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    configure(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

#[cfg(test)]
#[path = "upkeep_tests.rs"]
mod tests;
