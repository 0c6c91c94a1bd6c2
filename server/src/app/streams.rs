//! The journals of the streams, on the disk or in memory: opened before anything is published, told of what time releases,
//! closed at last.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use loom_core::group::dead_letter::DEAD_LETTERS;
use loom_core::{EventBus, Journal, MemoryJournal, Storage, Stream, StreamError};
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
    journals: Vec<Arc<dyn Journal>>,
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
        let mut journals = Vec::new();
        let mut streams = Vec::new();
        for (name, section) in &sections {
            let directory = root.join(name);
            let journal: Arc<dyn Journal> = match section.storage {
                Storage::Disk => Arc::new(on_disk(name, section, &directory, max_event)?),
                Storage::Memory => Arc::new(in_memory(name, section, &directory)),
            };
            streams.push(Stream::open(section.stream(name), Arc::clone(&journal))?);
            journals.push(journal);
        }
        let journals = Self {
            journals,
            _temporary: temporary,
        };
        Ok((journals, streams))
    }

    /// Releases what is too old, until `end`.
    pub(super) async fn retain(self, end: CancellationToken) {
        let mut due = interval(RETENTION_INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while end.run_until_cancelled(due.tick()).await.is_some() {
            let journals = self.journals.clone();
            let retained = tokio::task::spawn_blocking(move || {
                for journal in &journals {
                    journal.retain(now_unix_nano());
                }
            });
            if retained.await.is_err() {
                tracing::error!("retention of streams has panicked");
            }
        }
    }
}

/// Says what ends with the server before it was handled. Nobody handles anything any more.
pub(super) fn say_what_ends(bus: &EventBus) {
    for group in bus.groups() {
        let lag = group.books().lag;
        let stream = group.stream();
        if lag > 0 && stream.journal().storage() == Storage::Memory {
            tracing::warn!(
                group = group.name(),
                stream = stream.name(),
                lag,
                "events that this group has not settled end with the server: their stream is in memory"
            );
        }
    }
}

fn on_disk(
    name: &str,
    section: &StreamSection,
    directory: &Path,
    max_event: ByteSize,
) -> Result<EventLog, StreamsError> {
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
    Ok(journal)
}

fn in_memory(name: &str, section: &StreamSection, directory: &Path) -> MemoryJournal {
    let config = section.memory();
    if directory.exists() {
        tracing::warn!(
            stream = name,
            directory = %directory.display(),
            "this stream is kept in memory now; what it kept on the disk before is left there, and not read"
        );
    }
    tracing::info!(
        stream = name,
        max_bytes = config.max_bytes,
        "stream open in memory: it begins empty, and what it keeps ends with this server"
    );
    MemoryJournal::new(config)
}
