//! The durable log behind a stream: what was committed is read back as it was, or reported as damaged, never as
//! something else.
//!
//! | room | what it promises |
//! | --- | --- |
//! | [`event_log`] | the face that the bus knows: events and their trace contexts as records |
//! | [`log`] | the handle: append, wait for the commit, read by offset or time, retain |
//! | `writer` | the one thread that writes: one block and one sync for all that was appended meanwhile |
//! | `recovery` | from the files of a directory to a journal that goes on where it ended |
//! | `segment`, `blocks`, `format` | a file of blocks of records, each with a checksum |
//! | `cursor` | how far a group has come |
//! | [`disk`] | the few file operations that the rest is made of, so that a test can fail each of them |
//!
//! Record → open batch (memory) → block (one write, one sync) → segment (a file) → released as a whole by retention.

pub mod config;
pub mod disk;
pub mod error;
pub mod event_log;
pub mod log;

mod blocks;
mod cursor;
mod format;
mod queue;
mod recovery;
mod segment;
mod writer;

pub use config::{LogConfig, SyncPolicy};
pub use disk::{Directory, Disk, DiskFile};
pub use error::{AppendError, OpenError, ReadError};
pub use event_log::EventLog;
pub use log::{Log, Read, Record};
pub use recovery::Recovery;
