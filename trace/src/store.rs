//! The database: SQLite in WAL mode, one writer, several readers.
//!
//! `synchronous=NORMAL`: a transaction survives the death of the process, and a power cut may take the last ones
//! without harming the rest, which is what the spool promises too. The store knows no protobuf.
//!
//! The directory of a store is used by one process at a time: [`lock`].

pub(crate) mod blocks;
mod common;
mod interned;
pub(crate) mod names;
pub mod reader;
pub mod retention;
pub mod row;
mod rows;
mod shape;
mod shapes;
pub(crate) mod trace_ids;
pub mod upkeep;
pub mod writer;

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

pub use retention::Retention;
pub use writer::Writer;

use crate::error::StoreError;

/// Name of the database in the data directory.
pub const FILE: &str = "traces.db";

/// Schema steps in their order; the number of a step is its place, beginning with 1.
const MIGRATIONS: [&str; 10] = [
    include_str!("store/migrations/0001_spans.sql"),
    include_str!("store/migrations/0002_executions.sql"),
    include_str!("store/migrations/0003_common.sql"),
    include_str!("store/migrations/0004_measures.sql"),
    include_str!("store/migrations/0005_created_at.sql"),
    include_str!("store/migrations/0006_links.sql"),
    include_str!("store/migrations/0007_packed.sql"),
    include_str!("store/migrations/0008_metrics.sql"),
    include_str!("store/migrations/0009_blocks.sql"),
    include_str!("store/migrations/0010_trace_ids.sql"),
];

/// The step after which the program makes the lists of what is stored already.
const LISTS: usize = 9;

/// The newest schema.
const NEWEST: u32 = MIGRATIONS.len() as u32;

/// A writer waits for another connection's lock this long. Only a checkpoint or a foreign tool can hold it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that a connection keeps ready: more than the writer has, one of which inserts a thousand values.
const STATEMENTS: usize = 96;

/// Opens the database for writing, creates it or brings it to the newest schema.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    let mut conn = Connection::open(path)?;
    configure(&conn)?;
    // Counts for a new database alone. Twice the usual: half as many pages to look up, to write and to log.
    conn.pragma_update(None, "page_size", 8192)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    // Checkpoints every 64 MiB rather than every 4: pages that are written again and again go to the file once.
    conn.pragma_update(None, "wal_autocheckpoint", 8192)?;
    conn.pragma_update(None, "journal_size_limit", 128 << 20)?;
    // Negative: KiB. Holds the inner pages and the hot ends of all indexes.
    conn.pragma_update(None, "cache_size", -16 * 1024)?;
    migrate(&mut conn, path)?;
    Ok(conn)
}

/// Opens the database for reading.
pub fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    configure(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// Takes a data directory for as long as the file is held; creates it where it is not there.
///
/// # Errors
/// `Locked` when another process has it.
pub fn lock(dir: &Path) -> Result<File, StoreError> {
    let error = |action, path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Io {
            action,
            path,
            source,
        }
    };
    fs::create_dir_all(dir).map_err(error("create", dir))?;
    let path = dir.join("lock");
    let file = File::create(&path).map_err(error("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::Locked(dir.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(error("lock", &path)(source)),
    }
}

fn configure(conn: &Connection) -> Result<(), StoreError> {
    // `id IN rarray(?)`
    rusqlite::vtab::array::load_module(conn)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.pragma_update(None, "trusted_schema", false)?;
    Ok(())
}

/// The schema of a database: how many steps it has seen.
fn version(conn: &Connection) -> Result<u32, StoreError> {
    let sql = "SELECT coalesce(max(version), 0) FROM schema_version";
    Ok(conn.query_row(sql, [], |row| row.get(0))?)
}

/// Runs the steps that this database has not seen, each in a transaction of its own.
fn migrate(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_version (
             version    INTEGER PRIMARY KEY,
             applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
         ) STRICT",
    )?;
    let found = version(conn)?;
    let known = NEWEST;
    if found > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        let transaction = conn.transaction()?;
        transaction.execute_batch(sql)?;
        if step + 1 == LISTS {
            blocks::rebuild(&transaction)?;
        }
        transaction.execute(
            "INSERT INTO schema_version (version) VALUES (?1)",
            [step as u32 + 1],
        )?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "store/store_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "store/migrations_tests.rs"]
mod migrations_tests;

#[cfg(test)]
#[path = "store/packed_tests.rs"]
mod packed_tests;
