//! The journals of the streams: opened before anything is published, told of what time releases, closed at last.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use loom_core::group::dead_letter::DEAD_LETTERS;
use loom_core::{Journal, Stream, StreamError};
use loom_journal::{EventLog, OpenError};
use loom_telemetry::ids::now_unix_nano;
use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::{ByteSize, StreamSection};

/// How often it is looked for what is too old to be kept.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

/// The journals, and where they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Journals {
    logs: Vec<Arc<EventLog>>,
    /// Goes with the server.
    _temporary: Option<Arc<TempDir>>,
}

/// A stream cannot be opened. No other one is open then.
#[derive(Debug, thiserror::Error)]
pub enum StreamsError {
    /// Its journal.
    #[error("streams.{stream}: {source}")]
    Journal {
        /// Its name.
        stream: String,
        /// Why.
        source: OpenError,
    },
    /// Its topics, or what its journal holds.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The temporary directory of an ephemeral server.
    #[error("cannot make a temporary directory for streams: {0}")]
    Temporary(#[from] io::Error),
}

impl Journals {
    /// Opens the journal of each stream below `data_dir`, or in a temporary directory. Blocks for as long as the disk takes.
    pub(super) fn open(
        sections: &BTreeMap<String, StreamSection>,
        data_dir: Option<&Path>,
        max_event: ByteSize,
    ) -> Result<(Self, Vec<Stream>), StreamsError> {
        if sections.is_empty() {
            return Ok((Self::default(), Vec::new()));
        }
        // What no agent of a group could handle must be kept too.
        let mut sections = sections.clone();
        if !sections.values().any(StreamSection::keeps_dead_letters) {
            sections.insert(DEAD_LETTERS.to_owned(), StreamSection::of_dead_letters());
        }
        let mut temporary = None;
        let root = if let Some(data_dir) = data_dir {
            data_dir.join("streams")
        } else {
            let directory = tempfile::Builder::new().prefix("loom-").tempdir()?;
            temporary.insert(Arc::new(directory)).path().join("streams")
        };
        let mut logs = Vec::new();
        let mut streams = Vec::new();
        for (name, section) in &sections {
            let log = open(name, section, &root.join(name), max_event)?;
            let journal = Arc::clone(&log) as Arc<dyn Journal>;
            streams.push(Stream::open(section.stream(name), journal)?);
            logs.push(log);
        }
        let journals = Self {
            logs,
            _temporary: temporary,
        };
        Ok((journals, streams))
    }

    /// Releases what is too old, until `end`.
    pub(super) async fn retain(self, end: CancellationToken) {
        let mut due = interval(RETENTION_INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while end.run_until_cancelled(due.tick()).await.is_some() {
            let logs = self.logs.clone();
            let retained = tokio::task::spawn_blocking(move || {
                for journal in &logs {
                    journal.log().retain(now_unix_nano());
                }
            });
            if retained.await.is_err() {
                tracing::error!("retention of streams has panicked");
            }
        }
    }
}

fn open(
    name: &str,
    section: &StreamSection,
    directory: &Path,
    max_event: ByteSize,
) -> Result<Arc<EventLog>, StreamsError> {
    let opened = EventLog::open(directory, section.log(max_event));
    let (journal, found) = opened.map_err(|source| StreamsError::Journal {
        stream: name.to_owned(),
        source,
    })?;
    if found.torn_bytes > 0 {
        tracing::warn!(
            stream = name,
            bytes = found.torn_bytes,
            "cut off what a commit left that did not come to its end; none of it was acknowledged"
        );
    }
    if !found.damaged.is_empty() {
        let offsets = format!("{:?}", found.damaged);
        tracing::error!(
            stream = name,
            offsets,
            "events of this stream are damaged and will not be delivered"
        );
    }
    tracing::info!(
        stream = name,
        events = found.next - journal.begin(),
        "stream open"
    );
    Ok(Arc::new(journal))
}
