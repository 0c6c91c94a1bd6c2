//! The thread that writes: one block and one sync for all that was appended while it wrote the last one.

use std::io;
use std::sync::Arc;

use crate::config::SyncPolicy;
use crate::disk::DiskFile;
use crate::error::AppendError;
use crate::format::{BLOCK_HEADER, BlockHeader, SEGMENT_HEADER, SegmentHeader};
use crate::log::Shared;
use crate::queue::Batch;
use crate::segment::{Segment, name};

/// See the module.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    /// The segment that grows; none before the first record.
    pub(crate) active: Option<Arc<Segment>>,
    /// The active segment is complete; only its successor is missing.
    pub(crate) is_sealed: bool,
    /// Offset of the next record.
    pub(crate) next: u64,
}

impl Writer {
    /// Writes until the journal is closed.
    pub(crate) fn run(mut self) {
        let mut is_halted = false;
        while let Some(mut batch) = self.shared.queue.take() {
            match self.write(&mut batch) {
                Ok(()) => {
                    self.next = batch.end();
                    self.shared.queue.committed(batch);
                }
                Err(error) => {
                    tracing::error!(%error, records = batch.end() - batch.base(), "a commit failed");
                    is_halted |= matches!(error, AppendError::Halted(_));
                    self.shared.queue.refused(batch, error);
                }
            }
        }
        // What the disk holds after a failed sync is for the next opening to find out.
        if let Some(active) = self.active.clone()
            && !is_halted
            && let Err(error) = self.seal(&active)
        {
            tracing::warn!(%error, "the newest segment is not sealed; the next opening will read it with care");
        }
    }

    /// The hot path of durability, step by step.
    fn write(&mut self, batch: &mut Batch) -> Result<(), AppendError> {
        let (base, end) = (batch.base(), batch.end());
        let created_unix_nano = batch.first_unix_nano();
        let block = batch.seal();
        let active = self.segment_for(block.len() as u64, base, created_unix_nano)?;
        let at = active.end();
        if let Err(error) = active.file.write_at(block, at) {
            // Half a block must not stay where the next one will stand.
            active.file.resize(at).map_err(halted)?;
            return Err(refused(error));
        }
        if self.shared.config.sync == SyncPolicy::Always {
            active.file.sync().map_err(halted)?;
        }
        active.grown(base, at + block.len() as u64);
        debug_assert!(base < end, "a block has records");
        Ok(())
    }

    /// The active segment, or a new one when that is full.
    fn segment_for(
        &mut self,
        bytes: u64,
        base: u64,
        created_unix_nano: u64,
    ) -> Result<Arc<Segment>, AppendError> {
        if let Some(active) = self.active.clone() {
            let is_empty = active.end() == SEGMENT_HEADER as u64;
            let has_room = active.end() + bytes <= self.shared.config.segment_bytes;
            if !self.is_sealed && (is_empty || has_room) {
                return Ok(active);
            }
            self.seal(&active)?;
        }
        let header = SegmentHeader {
            base,
            created_unix_nano,
        };
        let file = self.create(header).map_err(refused)?;
        let segment = Arc::new(Segment::new(header, file, SEGMENT_HEADER as u64));
        self.shared.segments.write().push_back(Arc::clone(&segment));
        self.active = Some(Arc::clone(&segment));
        self.is_sealed = false;
        self.shared.retain(created_unix_nano);
        Ok(segment)
    }

    /// Puts an empty block behind the last one, and cuts off the room that is not needed. Recovery knows by it that the blocks
    /// before were whole, and readers, which offset follows.
    fn seal(&mut self, segment: &Segment) -> Result<(), AppendError> {
        if self.is_sealed {
            return Ok(());
        }
        let mark = BlockHeader {
            base: self.next,
            bytes: 0,
            count: 0,
        };
        let at = segment.end();
        let end = at + BLOCK_HEADER as u64;
        segment.file.write_at(&mark.encode(), at).map_err(refused)?;
        segment.file.resize(end).map_err(halted)?;
        segment.file.sync().map_err(halted)?;
        segment.grown(self.next, end);
        self.is_sealed = true;
        Ok(())
    }

    fn create(&self, header: SegmentHeader) -> io::Result<Box<dyn DiskFile>> {
        let (disk, name) = (&self.shared.disk, name(header.base));
        let file = match disk.create(&name) {
            // Left over by an attempt that failed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&name)?;
                disk.create(&name)?
            }
            created => created?,
        };
        let filled = (|| {
            file.allocate(self.shared.config.segment_bytes)?;
            file.write_at(&header.encode(), 0)?;
            file.sync()?;
            disk.sync()
        })();
        if let Err(error) = filled {
            // It holds nothing yet; a disk that was full has its room back.
            disk.remove(&name)?;
            return Err(error);
        }
        Ok(file)
    }
}

fn refused(error: io::Error) -> AppendError {
    AppendError::Refused(Arc::new(error))
}

fn halted(error: io::Error) -> AppendError {
    AppendError::Halted(Arc::new(error))
}
