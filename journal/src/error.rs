//! What can go wrong with a journal.

use std::io;
use std::sync::Arc;

/// A journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "{directory} is in use by another process: stop that one, or give this one a directory of its own"
    )]
    InUse {
        /// As it was given.
        directory: String,
    },
    /// A file has the name of a segment and is none.
    #[error(
        "{name} is no segment of this version: {reason}; move it away to go on without what it holds"
    )]
    NotASegment {
        /// Name of the file.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The disk.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// A record was not appended, or did not reach the disk.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// As much waits for the writer as may: wait for the next [`JournalProgress`](loom_core::JournalProgress) and try again.
    #[error("{waiting} bytes wait for the disk already")]
    Full {
        /// Bytes that wait.
        waiting: usize,
    },
    /// The record alone is larger than what may wait.
    #[error(
        "a record of {bytes} bytes is larger than the {limit} bytes that may wait for the disk"
    )]
    TooLarge {
        /// Size of the record.
        bytes: usize,
        /// [`LogConfig::queue_bytes`](crate::LogConfig::queue_bytes).
        limit: usize,
    },
    /// The disk refused it, and nothing of it remains; a later append may succeed (a full disk that has room again).
    #[error("the disk refused it: {0}")]
    Refused(Arc<io::Error>),
    /// A sync failed. What the disk holds is not known since, so nothing is acknowledged until the journal is opened anew.
    #[error("the disk failed to sync ({0}): nothing is accepted until the server is started anew")]
    Halted(Arc<io::Error>),
    /// The journal is closed.
    #[error("the journal is closed")]
    Closed,
}

/// Records cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read segment {segment}: {source}")]
pub struct ReadError {
    /// Name of the file.
    pub segment: String,
    /// Why it failed.
    pub source: io::Error,
}

impl OpenError {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
