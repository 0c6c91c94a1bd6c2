//! Walks the blocks of a segment, over damage if there is some.

use std::io;

use bytes::Bytes;

use crate::disk::DiskFile;
use crate::format::{BLOCK_HEADER, BLOCK_MAGIC, BlockHeader};

/// How much is read at once; a block that is larger is read whole.
const CHUNK: u64 = 256 * 1024;
static ZEROS: [u8; CHUNK as usize] = [0; CHUNK as usize];

/// What stands at a place of a segment.
#[derive(Debug)]
pub(crate) enum Step {
    /// A block whose header is whole. Its records are not checked yet.
    Block {
        header: BlockHeader,
        /// Where its header stands.
        at: u64,
        records: Bytes,
    },
    /// Bytes that are no block, with a block behind them.
    Hole,
    /// Bytes that are no block, and none behind them: what a commit left that did not come to its end.
    Tail {
        /// Size of what is not zero.
        bytes: u64,
    },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    end: u64,
    /// No block begins with a lower offset.
    next_offset: u64,
    chunk: Bytes,
    chunk_at: u64,
}

impl<'a> Blocks<'a> {
    /// Walks from a place where a block begins, or may begin, to `end`.
    pub(crate) fn new(file: &'a dyn DiskFile, at: u64, end: u64, next_offset: u64) -> Self {
        Self {
            file,
            at,
            end,
            next_offset,
            chunk: Bytes::new(),
            chunk_at: at,
        }
    }

    /// The next step; `None` at the end of the blocks.
    pub(crate) fn next(&mut self) -> io::Result<Option<Step>> {
        if let Some(header) = self.header_at(self.at)? {
            return self.block(header).map(Some);
        }
        let begin = self.at;
        let mut last_written = None;
        let mut at = begin;
        while at < self.end {
            let chunk = self.bytes_at(at, CHUNK)?;
            if chunk.is_empty() {
                break;
            }
            // Mostly it is room that was allocated and never written.
            if chunk != ZEROS[..chunk.len()] {
                let here = (begin == at).into();
                if let Some(found) = self.block_within(&chunk, here, at)? {
                    self.at = found;
                    return Ok(Some(Step::Hole));
                }
                let written = chunk.iter().rposition(|byte| *byte != 0);
                last_written = written.map_or(last_written, |index| Some(at + index as u64 + 1));
            }
            // A header may stand across the border of two chunks.
            let seen = chunk.len() as u64;
            if seen <= BLOCK_HEADER as u64 || at + seen >= self.end {
                break;
            }
            at += seen - BLOCK_HEADER as u64;
        }
        self.at = self.end;
        Ok(last_written.map(|end| Step::Tail { bytes: end - begin }))
    }

    /// Where the first block within a chunk stands, from index `from`.
    fn block_within(&mut self, chunk: &Bytes, from: usize, at: u64) -> io::Result<Option<u64>> {
        for index in from..chunk.len().saturating_sub(BLOCK_HEADER - 1) {
            if chunk[index..].starts_with(&BLOCK_MAGIC) {
                let place = at + index as u64;
                if self.header_at(place)?.is_some() {
                    return Ok(Some(place));
                }
            }
        }
        Ok(None)
    }

    /// The header at a place, if it is one that can stand there.
    fn header_at(&mut self, at: u64) -> io::Result<Option<BlockHeader>> {
        let bytes = self.bytes_at(at, BLOCK_HEADER as u64)?;
        let header = BlockHeader::decode(&bytes).filter(|header| {
            let room = self.end.saturating_sub(at + BLOCK_HEADER as u64);
            header.base >= self.next_offset && u64::from(header.bytes) <= room
        });
        Ok(header)
    }

    fn block(&mut self, header: BlockHeader) -> io::Result<Step> {
        let at = self.at;
        let begin = at + BLOCK_HEADER as u64;
        let records = self.bytes_at(begin, u64::from(header.bytes))?;
        self.at = begin + u64::from(header.bytes);
        self.next_offset = header.end();
        Ok(Step::Block {
            header,
            at,
            records,
        })
    }

    /// Up to `len` bytes; less only at the end.
    fn bytes_at(&mut self, at: u64, len: u64) -> io::Result<Bytes> {
        let len = len.min(self.end.saturating_sub(at));
        let chunk_end = self.chunk_at + self.chunk.len() as u64;
        if at < self.chunk_at || at + len > chunk_end {
            let size = CHUNK.max(len).min(self.end.saturating_sub(at));
            let mut chunk = vec![0; size as usize];
            let read = self.file.read_at(&mut chunk, at)?;
            chunk.truncate(read);
            (self.chunk, self.chunk_at) = (chunk.into(), at);
        }
        let begin = (at - self.chunk_at) as usize;
        let end = self.chunk.len().min(begin + len as usize);
        Ok(self.chunk.slice(begin..end))
    }
}
