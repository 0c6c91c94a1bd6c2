//! Limits and policies of one journal.

use std::time::Duration;

/// Limits and policies of one journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment takes no further block when it would grow beyond this. Retention releases whole segments.
    pub segment_bytes: u64,
    /// Bytes that may wait for the writer; [`AppendError::Full`](crate::AppendError::Full) beyond.
    pub queue_bytes: usize,
    /// When an append counts as committed.
    pub sync: SyncPolicy,
    /// Segments whose newest record is older than this are released.
    pub max_age: Option<Duration>,
    /// The oldest segments are released while the journal is larger than this. The newest one always stays.
    pub max_bytes: Option<u64>,
}

/// When an append counts as committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// When the disk says that it has it: survives a loss of power.
    #[default]
    Always,
    /// When the kernel has it: survives the end of the process, not that of the machine.
    Never,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            queue_bytes: 1024 * 1024,
            sync: SyncPolicy::default(),
            max_age: None,
            max_bytes: None,
        }
    }
}
