//! The reading side: record after record up to the tail, over whatever is damaged.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};

use super::record::{HEADER_LEN, Header};
use super::{MAGIC, Position, Spool, io, path};
use crate::error::SpoolError;

/// Read-ahead, and the payload buffer that is kept between records.
const BUFFER: usize = 256 << 10;

/// What stands next in the spool.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A good record; its payload is in [`Reader::payload`].
    Record(Header),
    /// Bytes that were skipped.
    Damaged(Damage),
}

/// Bytes that cannot be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Where they begin.
    pub at: Position,
    /// How many were skipped.
    pub bytes: u64,
    /// Spans lost, where the record's header could still be read.
    pub spans: Option<u32>,
    /// What was found.
    pub reason: &'static str,
}

/// Reads the spool from its start to its tail. There is one.
#[derive(Debug)]
pub struct Reader {
    spool: Spool,
    position: Position,
    open: Option<(u64, BufReader<File>)>,
    payload: Vec<u8>,
}

impl Reader {
    pub(super) fn new(spool: Spool, position: Position) -> Self {
        Self {
            spool,
            position,
            open: None,
            payload: Vec::new(),
        }
    }

    /// Everything before it was returned by [`Reader::next`].
    pub fn position(&self) -> Position {
        self.position
    }

    /// Payload of the record that [`Reader::next`] returned last.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Goes back (or forward) to a position that this reader has had.
    pub fn seek(&mut self, position: Position) {
        self.position = position;
        self.open = None;
    }

    /// The next record or damage; `None` when the tail is reached.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would have to own the payload of each record"
    )]
    pub fn next(&mut self) -> Result<Option<Item>, SpoolError> {
        let Some((header, limit)) = self.header()? else {
            return Ok(None);
        };
        let header = match header {
            Ok(header) => header,
            Err(reason) => return Ok(Some(self.skip_segment(reason))),
        };
        let after = self.position.offset + HEADER_LEN as u64 + u64::from(header.len);
        if after > limit {
            return Ok(Some(self.skip_segment("the last record is torn")));
        }
        // A single huge request must not keep its memory for ever.
        if self.payload.capacity() > BUFFER.max(header.len as usize) {
            self.payload = Vec::new();
        }
        self.payload.resize(header.len as usize, 0);
        let mut payload = std::mem::take(&mut self.payload);
        self.read_exact(&mut payload)?;
        self.payload = payload;
        let at = self.position;
        self.position.offset = after;
        if crc32c::crc32c(&self.payload) == header.payload_crc {
            return Ok(Some(Item::Record(header)));
        }
        Ok(Some(Item::Damaged(Damage {
            at,
            bytes: after - at.offset,
            spans: Some(header.spans),
            reason: "a record's checksum is wrong",
        })))
    }

    /// Spans from here to the tail by the headers alone; what is damaged counts as nothing.
    pub(super) fn count_spans(mut self) -> Result<u64, SpoolError> {
        let mut spans = 0;
        while let Some((header, limit)) = self.header()? {
            let next = header.map(|h| {
                (
                    h,
                    self.position.offset + HEADER_LEN as u64 + u64::from(h.len),
                )
            });
            match next {
                Ok((header, after)) if after <= limit => {
                    spans += u64::from(header.spans);
                    self.position.offset = after;
                    if let Some((_, file)) = &mut self.open {
                        file.seek_relative(i64::from(header.len)).map_err(io(
                            "read",
                            &path(&self.spool.shared.dir, self.position.segment),
                        ))?;
                    }
                }
                _ => {
                    self.skip_segment("");
                }
            }
        }
        Ok(spans)
    }

    /// The header at the position, or why there is none, with the end of its segment. `None` at the tail.
    #[expect(clippy::type_complexity, reason = "two callers, both in this file")]
    fn header(&mut self) -> Result<Option<(Result<Header, &'static str>, u64)>, SpoolError> {
        loop {
            let Some(limit) = self.limit() else {
                return Ok(None);
            };
            if self
                .open
                .as_ref()
                .is_none_or(|(n, _)| *n != self.position.segment)
                && let Err(reason) = self.open_segment(limit)?
            {
                return Ok(Some((Err(reason), limit)));
            }
            if self.position.offset == limit {
                if self.next_segment() {
                    continue;
                }
                return Ok(None);
            }
            if limit - self.position.offset < HEADER_LEN as u64 {
                return Ok(Some((Err("the last record is torn"), limit)));
            }
            let mut bytes = [0; HEADER_LEN];
            self.read_exact(&mut bytes)?;
            let header = Header::decode(&bytes).ok_or("a record's header is damaged");
            return Ok(Some((header, limit)));
        }
    }

    /// End of the segment at the position, after moving on to the first segment that exists. `None` at the tail.
    fn limit(&mut self) -> Option<u64> {
        let state = self.spool.shared.state.lock();
        let segment = state
            .segments
            .iter()
            .find(|s| s.number >= self.position.segment)?;
        if segment.number > self.position.segment {
            self.position = Position {
                segment: segment.number,
                offset: 0,
            };
        }
        Some(segment.bytes)
    }

    /// Moves to the next segment, if there is one already.
    fn next_segment(&mut self) -> bool {
        let state = self.spool.shared.state.lock();
        let next = state
            .segments
            .iter()
            .find(|s| s.number > self.position.segment);
        if let Some(next) = next {
            self.position = Position {
                segment: next.number,
                offset: 0,
            };
        }
        next.is_some()
    }

    fn open_segment(&mut self, limit: u64) -> Result<Result<(), &'static str>, SpoolError> {
        let number = self.position.segment;
        let path = path(&self.spool.shared.dir, number);
        let file = File::open(&path).map_err(io("open", &path))?;
        let mut file = BufReader::with_capacity(BUFFER, file);
        let mut magic = [0; MAGIC.len()];
        let read = file.read_exact(&mut magic);
        self.position.offset = self.position.offset.max(MAGIC.len() as u64).min(limit);
        match read {
            Ok(()) if magic == *MAGIC => {}
            Ok(()) => return Ok(Err("the segment does not begin as one")),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Ok(Err("the segment is shorter than its beginning"));
            }
            Err(source) => return Err(io("read", &path)(source)),
        }
        file.seek(SeekFrom::Start(self.position.offset))
            .map_err(io("read", &path))?;
        self.open = Some((number, file));
        Ok(Ok(()))
    }

    /// Gives the rest of the segment up. Where it is the one being written, the writer goes on in a new one.
    fn skip_segment(&mut self, reason: &'static str) -> Item {
        let mut state = self.spool.shared.state.lock();
        let number = self.position.segment;
        if state.tail.segment == number {
            state.roll();
        }
        let end = state.segments.iter().find(|s| s.number == number);
        let damage = Damage {
            at: self.position,
            bytes: end.map_or(0, |s| s.bytes.saturating_sub(self.position.offset)),
            spans: None,
            reason,
        };
        self.position = Position {
            segment: number + 1,
            offset: 0,
        };
        self.open = None;
        Item::Damaged(damage)
    }

    fn read_exact(&mut self, out: &mut [u8]) -> Result<(), SpoolError> {
        let path = path(&self.spool.shared.dir, self.position.segment);
        let (_, file) = self
            .open
            .as_mut()
            .expect("both callers have opened the segment before");
        file.read_exact(out).map_err(io("read", &path))
    }
}
