//! The topics whose events are kept.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use loom_core::group::dead_letter::DEAD_LETTERS;
use loom_core::{MemoryConfig, Storage, StreamConfig};
use loom_journal::{LogConfig, SyncPolicy};
use loom_proto::topic::{is_inbox, overlap, validate_pattern};
use serde::Deserialize;

use super::{ByteSize, ConfigError, Period, wrong};

/// One stream, whose name is that of the table `[streams.<name>]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamSection {
    /// Topics and patterns.
    pub topics: Vec<String>,
    /// Where its events are kept.
    #[serde(default)]
    pub storage: Storage,
    /// Events older than this are released; 0 keeps all.
    #[serde(default = "a_week")]
    pub max_age: Period,
    /// Beyond this size the oldest events are released; 0 keeps all, which memory cannot. The default depends on the storage.
    pub max_size: Option<ByteSize>,
    /// When a publish is acknowledged. Only for the disk.
    pub sync: Option<SyncChoice>,
    /// Size of the files. Only for the disk.
    pub segment: Option<ByteSize>,
    /// For how long the id of an event is remembered.
    #[serde(default = "two_minutes")]
    pub duplicate_window: Period,
    /// How many ids are remembered at most.
    #[serde(default = "some_ids")]
    pub duplicate_ids: usize,
}

/// When a publish on a stream is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncChoice {
    /// When the disk has it.
    #[default]
    Always,
    /// When the kernel has it.
    Never,
}

/// What a stream on the disk keeps where nothing is said.
const SOME_GIGABYTES: ByteSize = ByteSize(8 << 30);

fn a_week() -> Period {
    Period(Duration::from_secs(7 * 24 * 3600))
}

fn two_minutes() -> Period {
    Period(StreamConfig::new("", &[]).duplicate_window)
}

fn some_ids() -> usize {
    StreamConfig::new("", &[]).duplicate_ids
}

/// Names are names of directories, and topics are topics.
pub(super) fn validate(streams: &BTreeMap<String, StreamSection>) -> Result<(), ConfigError> {
    const LONGEST_NAME: usize = 64;
    for (name, stream) in streams {
        let is_name = (1..=LONGEST_NAME).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !is_name {
            let detail = format!(
                "a stream's name consists of letters, digits, `_` and `-`, at most {LONGEST_NAME} of them"
            );
            return Err(wrong(format!("streams.{name:?}"), detail));
        }
        let key = format!("streams.{name}.topics");
        if stream.topics.is_empty() {
            return Err(wrong(
                key,
                "which events shall it keep? Write at least one topic",
            ));
        }
        for pattern in &stream.topics {
            if let Err(error) = validate_pattern(pattern) {
                return Err(wrong(key, format!("{pattern:?}: {error}")));
            }
            if is_inbox(pattern) {
                let detail = format!("{pattern:?}: replies below _inbox. are not kept");
                return Err(wrong(key, detail));
            }
        }
        if name == DEAD_LETTERS && !stream.keeps_dead_letters() {
            let detail = "this name belongs to the stream of dead letters: write [\"dlq.>\"], or use another name";
            return Err(wrong(key, detail));
        }
        if stream.keeps_dead_letters() && !stream.keeps_every_dead_letter() {
            let detail = "one stream keeps the dead letters of all groups: write \"dlq.>\", or leave them to the built-in one";
            return Err(wrong(key, detail));
        }
        stream.validate_storage(name)?;
    }
    no_topic_twice(streams)
}

fn no_topic_twice(streams: &BTreeMap<String, StreamSection>) -> Result<(), ConfigError> {
    for (name, stream) in streams {
        for (other, others) in streams.range::<str, _>((Bound::Excluded(&**name), Bound::Unbounded))
        {
            for pattern in &stream.topics {
                if let Some(common) = others.topics.iter().find(|theirs| overlap(pattern, theirs)) {
                    let detail = format!(
                        "{common:?} and {pattern:?} of streams.{name} want the same topics: an event is kept once"
                    );
                    return Err(wrong(format!("streams.{other}.topics"), detail));
                }
            }
        }
    }
    Ok(())
}

impl StreamSection {
    /// Every dead letter, for as long as any event.
    pub(crate) fn of_dead_letters() -> Self {
        Self {
            topics: vec![format!("{DEAD_LETTERS}.>")],
            storage: Storage::Disk,
            max_age: a_week(),
            max_size: None,
            sync: None,
            segment: None,
            duplicate_window: two_minutes(),
            duplicate_ids: some_ids(),
        }
    }

    /// Whether it keeps some of them.
    pub(crate) fn keeps_dead_letters(&self) -> bool {
        let letters = format!("{DEAD_LETTERS}.>");
        self.topics.iter().any(|topic| overlap(topic, &letters))
    }

    fn keeps_every_dead_letter(&self) -> bool {
        let all = [&*format!("{DEAD_LETTERS}.>"), "*.>", ">"].map(str::to_owned);
        self.topics.iter().any(|topic| all.contains(topic))
    }

    /// What is said must be possible where its events are kept.
    fn validate_storage(&self, name: &str) -> Result<(), ConfigError> {
        const LEAST: ByteSize = ByteSize(1 << 20);
        let key = |setting: &str| format!("streams.{name}.{setting}");
        match self.storage {
            Storage::Disk => {
                if !(1 << 20..=1 << 30).contains(&self.segment().0) {
                    return Err(wrong(key("segment"), "a file holds between 1MiB and 1GiB"));
                }
            }
            Storage::Memory => {
                let given = [
                    ("sync", self.sync.is_some()),
                    ("segment", self.segment.is_some()),
                ];
                if let Some((setting, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
                    let detail = "a stream in memory writes nothing: leave this out, or write storage = \"disk\"";
                    return Err(wrong(key(setting), detail));
                }
                if self.memory().max_bytes < LEAST.0 {
                    let detail = format!("a stream in memory needs a limit of {LEAST} or more");
                    return Err(wrong(key("max_size"), detail));
                }
            }
        }
        Ok(())
    }

    fn segment(&self) -> ByteSize {
        let default = ByteSize(LogConfig::default().segment_bytes);
        self.segment.unwrap_or(default)
    }

    fn max_age(&self) -> Option<Duration> {
        (!self.max_age.0.is_zero()).then_some(self.max_age.0)
    }

    /// How its events are kept in memory.
    pub(crate) fn memory(&self) -> MemoryConfig {
        let default = MemoryConfig::default();
        MemoryConfig {
            max_bytes: self.max_size.map_or(default.max_bytes, |size| size.0),
            max_age: self.max_age(),
        }
    }

    /// How its events are kept on the disk, when one of them has at most this size.
    pub(crate) fn log(&self, max_event: ByteSize) -> LogConfig {
        const EVENTS_THAT_WAIT: u64 = 4;
        let largest = max_event.0.saturating_mul(EVENTS_THAT_WAIT);
        let queue = largest.max(LogConfig::default().queue_bytes as u64);
        let max_size = self.max_size.unwrap_or(SOME_GIGABYTES);
        LogConfig {
            segment_bytes: self.segment().0,
            queue_bytes: usize::try_from(queue).unwrap_or(usize::MAX),
            sync: match self.sync.unwrap_or_default() {
                SyncChoice::Always => SyncPolicy::Always,
                SyncChoice::Never => SyncPolicy::Never,
            },
            max_age: self.max_age(),
            max_bytes: (max_size.0 > 0).then_some(max_size.0),
        }
    }

    /// What the bus is to know of it.
    pub(crate) fn stream(&self, name: &str) -> StreamConfig {
        StreamConfig {
            name: name.to_owned(),
            topics: self.topics.clone(),
            duplicate_window: self.duplicate_window.0,
            duplicate_ids: self.duplicate_ids,
        }
    }
}
