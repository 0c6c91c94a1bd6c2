//! The errors of this crate, one enum per family of operations.

use std::path::PathBuf;

use crate::otlp::WireError;

/// Bytes that are no OTLP trace request.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not protobuf, or not of this schema. The sender has a fault; sending it again does not help.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Not JSON, or JSON of another shape.
    #[error("malformed otlp json: {0}")]
    Json(#[from] serde_json::Error),
}

/// Why a request was not put into the spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The indexer is too far behind. Send again after a moment.
    #[error("spool is full: {used} of {max} bytes wait to be indexed, send again later")]
    Full {
        /// Bytes on disk.
        used: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// One record may not be larger than a segment. Send smaller batches.
    #[error(
        "request of {size} bytes is larger than the spool's limit of {max} bytes, send smaller batches"
    )]
    TooLarge {
        /// Bytes of the request.
        size: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The disk is full or broken.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Why spans were not accepted.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The bytes are no OTLP request; nothing of them was kept.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// There is no room or no disk; nothing of the request was kept. Send it again later.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The store is shutting down.
    #[error("trace store is closed")]
    Closed,
}

/// Why the store cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The prices of models cannot be used.
    #[error(transparent)]
    Prices(#[from] crate::prices::PricesError),
    /// Another process uses the directory.
    #[error("data directory {0} is in use by another process, stop it or choose another directory")]
    Locked(PathBuf),
    /// Made by a newer version.
    #[error(
        "database {path} has schema version {found}, this program knows up to {known}: use a newer program or another data directory"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Made by an older version, and not to be changed by the way.
    #[error(
        "database {path} has schema version {found}, this program reads {known}: bring it there with `loom db migrate`"
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A list of spans says nothing that can be read.
    #[error("the {table} of block {block} are damaged; `loom db verify` tells what else is")]
    CorruptList {
        /// Its table.
        table: &'static str,
        /// Its block.
        block: i64,
    },
    /// There is no database.
    #[error("there is no trace store in {0}: name its directory by --data-dir")]
    Missing(PathBuf),
    /// The file system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The spool refused.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A stored span cannot be read back.
    #[error("stored {what} cannot be read: {source}")]
    Corrupt {
        /// Which column.
        what: &'static str,
        /// What the parser said.
        source: serde_json::Error,
    },
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It took too long. Narrow the time range or add a service.
    #[error("query took longer than {0:?}, narrow its time range or name a service")]
    Timeout(std::time::Duration),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It came to no end, by a fault of ours, or since the program ends.
    #[error("query was cancelled")]
    Cancelled,
}

/// Some spans were not indexed before the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{lag} spans were not yet indexed after {waited:?}; they stay in the spool")]
pub struct FlushError {
    /// Spans accepted and not yet indexed.
    pub lag: u64,
    /// How long was waited.
    pub waited: std::time::Duration,
}
