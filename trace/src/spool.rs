//! The spool: an append-only log between the door, which must be fast, and the database, which must be right.
//!
//! [`Spool::append`] is one write to a segment file, without fsync: what was acknowledged survives `kill -9` of the
//! process, and a power cut may take the last seconds. One [`Reader`] follows behind; its [`Position`] is stored by the
//! database in the transaction that stores the spans, so each record is indexed exactly once. Segments that were read
//! are deleted. The spool never holds more than [`SpoolConfig::max_bytes`]; beyond, `append` refuses and the sender
//! waits.
//!
//! On disk: `spool/{number:016}.seg`, each beginning with 8 bytes of magic, then records (see [`record`]).

mod reader;
pub mod record;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub use reader::{Damage, Item, Reader};
use record::Header;

use crate::error::SpoolError;

/// First bytes of each segment; the last two are the version of the format.
const MAGIC: &[u8; 8] = b"LOOMSP01";

/// Limits of the spool, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// All segments together; beyond it requests are refused.
    pub max_bytes: u64,
    /// A segment of this size is followed by a new one.
    pub segment_bytes: u64,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            max_bytes: 1 << 30,
            segment_bytes: 16 << 20,
        }
    }
}

/// A place in the spool: everything before it has been written, or indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Number of the segment; segments begin at 1.
    pub segment: u64,
    /// Byte in the segment.
    pub offset: u64,
}

/// What was found when the spool was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Spans that were accepted by an earlier process and not yet indexed.
    pub spans: u64,
}

/// The writing side. Cheap to clone, safe to use from many threads.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    config: SpoolConfig,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The segment that is being written; `None` until the first append after opening or rolling.
    file: Option<File>,
    /// Where the next record goes. Everything before it is complete.
    tail: Position,
    /// Segments on disk, oldest first.
    segments: VecDeque<Segment>,
    /// Sum of the segments' bytes.
    used: u64,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u64,
    bytes: u64,
}

impl Spool {
    /// Opens the spool in `dir`, reading from `start`. Never writes to a segment of an earlier process, whose last
    /// record may be torn.
    pub fn open(
        dir: &Path,
        config: SpoolConfig,
        start: Position,
    ) -> Result<(Self, Reader, Backlog), SpoolError> {
        fs::create_dir_all(dir).map_err(io("create", dir))?;
        let mut segments = VecDeque::new();
        for segment in list(dir)? {
            if segment.number < start.segment {
                remove(dir, segment.number)?;
            } else {
                segments.push_back(segment);
            }
        }
        let newest = segments.back().map_or(0, |s| s.number).max(start.segment);
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            config,
            state: Mutex::new(State {
                file: None,
                tail: Position {
                    segment: newest + 1,
                    offset: 0,
                },
                used: segments.iter().map(|s| s.bytes).sum(),
                segments,
            }),
        });
        let spool = Self {
            shared: Arc::clone(&shared),
        };
        let reader = Reader::new(spool.clone(), start);
        let backlog = Backlog {
            spans: Reader::new(spool.clone(), start).count_spans()?,
        };
        Ok((spool, reader, backlog))
    }

    /// Writes one record of `spans` spans; after it returns the record survives the death of the process.
    ///
    /// # Errors
    /// `Full` and `Io` are worth another try later, `TooLarge` is not. Nothing of the record is kept on error.
    pub fn append(
        &self,
        payload: &[u8],
        spans: u32,
        received_ms: u64,
    ) -> Result<Position, SpoolError> {
        let config = &self.shared.config;
        let too_large = || SpoolError::TooLarge {
            size: payload.len(),
            max: config.max_bytes.min(u64::from(u32::MAX)) as usize,
        };
        let len = u32::try_from(payload.len()).map_err(|_| too_large())?;
        let size = record::HEADER_LEN as u64 + u64::from(len);
        if size + MAGIC.len() as u64 > config.max_bytes {
            return Err(too_large());
        }
        let header = Header {
            len,
            spans,
            received_ms,
            payload_crc: crc32c::crc32c(payload),
        };

        let mut state = self.shared.state.lock();
        if state.used + size > config.max_bytes {
            return Err(SpoolError::Full {
                used: state.used,
                max: config.max_bytes,
            });
        }
        if state.tail.offset >= config.segment_bytes {
            state.roll();
        }
        let (mut file, mut tail) = match state.file.take() {
            Some(file) => (file, state.tail),
            None => self.create_segment(&mut state)?,
        };
        if let Err(source) = write_both(&mut file, &header.encode(), payload) {
            // A half record must not stand between two good ones. Where cutting it off fails too, the reader
            // recognises it as torn; the next append goes to a new segment in either case.
            if let Err(error) = file.set_len(tail.offset) {
                tracing::warn!(%error, segment = tail.segment, "cannot cut a half-written spool record off");
            }
            state.roll();
            return Err(io("write", &path(&self.shared.dir, tail.segment))(source));
        }
        tail.offset += size;
        state.used += size;
        if let Some(segment) = state.segments.back_mut() {
            segment.bytes = tail.offset;
        }
        state.tail = tail;
        state.file = Some(file);
        Ok(tail)
    }

    /// Where the next record goes.
    pub fn tail(&self) -> Position {
        self.shared.state.lock().tail
    }

    /// Bytes on disk, including what was indexed but stands in a segment with something that was not.
    pub fn used_bytes(&self) -> u64 {
        self.shared.state.lock().used
    }

    /// Deletes the segments that lie wholly before `position`.
    pub(crate) fn release(&self, position: Position) -> Result<(), SpoolError> {
        loop {
            let number = {
                let mut state = self.shared.state.lock();
                match state.segments.front().copied() {
                    Some(segment) if segment.number < position.segment => {
                        state.segments.pop_front();
                        state.used -= segment.bytes;
                        segment.number
                    }
                    _ => return Ok(()),
                }
            };
            remove(&self.shared.dir, number)?;
        }
    }

    fn create_segment(&self, state: &mut State) -> Result<(File, Position), SpoolError> {
        let number = state.tail.segment;
        let path = path(&self.shared.dir, number);
        let created = File::create_new(&path).and_then(|mut file| {
            file.write_all(MAGIC)?;
            Ok(file)
        });
        let bytes = MAGIC.len() as u64;
        match created {
            Ok(file) => {
                state.segments.push_back(Segment { number, bytes });
                state.used += bytes;
                Ok((
                    file,
                    Position {
                        segment: number,
                        offset: bytes,
                    },
                ))
            }
            Err(source) => {
                // The number may now belong to an empty or half file: take the next one for the next try.
                state.roll();
                Err(io("create", &path)(source))
            }
        }
    }
}

impl State {
    fn roll(&mut self) {
        self.file = None;
        self.tail = Position {
            segment: self.tail.segment + 1,
            offset: 0,
        };
    }
}

/// Both parts in one system call, unless the system takes less at a time.
fn write_both(file: &mut File, header: &[u8], payload: &[u8]) -> std::io::Result<()> {
    let mut parts = [IoSlice::new(header), IoSlice::new(payload)];
    let mut parts = &mut parts[..];
    // Drops empty parts, so that an empty payload does not end in a write of nothing.
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match file.write_vectored(parts) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut parts, written),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016}.seg"))
}

/// Segments in `dir` by number; other files are left alone.
fn list(dir: &Path) -> Result<Vec<Segment>, SpoolError> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).map_err(io("list", dir))? {
        let entry = entry.map_err(io("list", dir))?;
        let path = entry.path();
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .and_then(|stem| stem.parse().ok());
        if let Some(number) = number
            && path.extension().is_some_and(|e| e == "seg")
        {
            let bytes = entry.metadata().map_err(io("inspect", &path))?.len();
            segments.push(Segment { number, bytes });
        }
    }
    segments.sort_by_key(|segment| segment.number);
    Ok(segments)
}

fn remove(dir: &Path, number: u64) -> Result<(), SpoolError> {
    let path = path(dir, number);
    fs::remove_file(&path).map_err(io("delete", &path))
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SpoolError {
    move |source| SpoolError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
#[path = "spool/spool_tests.rs"]
mod tests;
