//! A disk in memory that can be full, fail to sync, and lose its power. It stands in for a real one, which cannot be asked to.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use loom_journal::{Disk, DiskFile, Log, LogConfig};
use parking_lot::Mutex;

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// Small segments, so that a few records make several.
pub(crate) fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 1024,
        ..LogConfig::default()
    }
}

/// Everything that the journal holds: `(offset, body)`, and how many offsets are damaged.
pub(crate) fn contents(journal: &Log) -> (Vec<(u64, Vec<u8>)>, u64) {
    let (mut records, mut damaged, mut next) = (Vec::new(), 0, 0);
    loop {
        let read = journal.read(next, 200).expect("the disk works");
        records.extend(
            read.records
                .iter()
                .map(|record| (record.offset, record.body.to_vec())),
        );
        damaged += read
            .damaged
            .iter()
            .map(|offsets| offsets.end - offsets.start)
            .sum::<u64>();
        if read.next >= journal.end() {
            return (records, damaged);
        }
        assert!(read.next > next, "a read goes on");
        next = read.next;
    }
}

/// Waits for a commit, or for the news that there will be none.
pub(crate) fn settle(
    journal: &Log,
    ticket: loom_core::Ticket,
) -> Result<(), loom_journal::AppendError> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, journal.committed(ticket))
            .await
            .expect("in time")
    })
}

/// See the module. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, MemoryFile>,
    /// Names as they would be found after a loss of power.
    durable_names: BTreeMap<String, MemoryFile>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct Faults {
    operations: u64,
    /// The power goes with this operation.
    cut_at: Option<u64>,
    /// Bytes that the disk has room for.
    room: Option<u64>,
    failing_syncs: bool,
}

#[derive(Clone, Debug)]
struct MemoryFile {
    content: Arc<Mutex<Content>>,
    disk: MemoryDisk,
}

#[derive(Debug, Default)]
struct Content {
    present: Vec<u8>,
    durable: Vec<u8>,
}

fn power_is_out() -> io::Error {
    io::Error::other("the power is out")
}

impl MemoryDisk {
    /// The power goes with this operation, counted from the disk's making.
    pub(crate) fn cut_at(self, operation: u64) -> Self {
        self.0.lock().faults.cut_at = Some(operation);
        self
    }

    /// Gives it room for so many bytes in all.
    pub(crate) fn set_room(&self, bytes: Option<u64>) {
        self.0.lock().faults.room = bytes;
    }

    /// From now on no sync succeeds.
    pub(crate) fn fail_syncs(&self) {
        self.0.lock().faults.failing_syncs = true;
    }

    /// Changes the bytes of a file behind everybody's back.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let state = self.0.lock();
        let mut content = state.files[name].content.lock();
        change(&mut content.present);
        let Content { present, durable } = &mut *content;
        durable.clone_from(present);
    }

    /// Names of its files.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().files.keys().cloned().collect()
    }

    /// The disk as it is found when the power is back: what was synced, and of the rest any part. `dice` says which.
    pub(crate) fn after_power_loss(&self, mut dice: impl FnMut() -> bool) -> Self {
        let state = self.0.lock();
        let survivor = Self::default();
        let mut names = state.durable_names.clone();
        for (name, file) in &state.files {
            if !names.contains_key(name) && dice() {
                names.insert(name.clone(), file.clone());
            }
        }
        names.retain(|name, _| state.files.contains_key(name) || dice());
        for (name, file) in names {
            let content = file.content.lock();
            let size = if dice() {
                content.present.len()
            } else {
                content.durable.len()
            };
            let mut bytes = content.durable.clone();
            bytes.resize(size, 0);
            for at in (0..size).step_by(SECTOR) {
                let sector = at..size.min(at + SECTOR);
                if let Some(new) = content.present.get(sector.clone())
                    && dice()
                {
                    bytes[sector].copy_from_slice(new);
                }
            }
            let content = Content {
                present: bytes.clone(),
                durable: bytes,
            };
            let file = MemoryFile {
                content: Arc::new(Mutex::new(content)),
                disk: survivor.clone(),
            };
            let mut state = survivor.0.lock();
            state.files.insert(name.clone(), file.clone());
            state.durable_names.insert(name, file);
        }
        survivor
    }

    fn operation(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.faults.operations += 1;
        match state.faults.cut_at {
            Some(cut) if state.faults.operations >= cut => Err(power_is_out()),
            _ => Ok(()),
        }
    }

    fn synced(&self) -> io::Result<()> {
        self.operation()?;
        if self.0.lock().faults.failing_syncs {
            return Err(io::Error::other("the disk is broken"));
        }
        Ok(())
    }

    /// How many bytes more may be taken.
    fn room(&self) -> u64 {
        let state = self.0.lock();
        let used: usize = state
            .files
            .values()
            .map(|file| file.content.lock().present.len())
            .sum();
        state
            .faults
            .room
            .map_or(u64::MAX, |room| room.saturating_sub(used as u64))
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.operation()?;
        let mut state = self.0.lock();
        if state.files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = MemoryFile {
            content: Arc::default(),
            disk: self.clone(),
        };
        state.files.insert(name.to_owned(), file.clone());
        Ok(Box::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let state = self.0.lock();
        let file = state.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(file.clone()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operation()?;
        let removed = self.0.lock().files.remove(name);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let state = self.0.lock();
        Ok(state
            .files
            .get(name)
            .map(|file| file.content.lock().present.clone()))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.synced()?;
        let content = Content {
            present: bytes.to_vec(),
            durable: bytes.to_vec(),
        };
        let file = MemoryFile {
            content: Arc::new(Mutex::new(content)),
            disk: self.clone(),
        };
        let mut state = self.0.lock();
        state.files.insert(name.to_owned(), file.clone());
        state.durable_names.insert(name.to_owned(), file);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.synced()?;
        let mut state = self.0.lock();
        state.durable_names = state.files.clone();
        Ok(())
    }
}

impl MemoryFile {
    fn grow(&self, size: usize) -> io::Result<()> {
        let present = self.content.lock().present.len();
        if size.saturating_sub(present) as u64 > self.disk.room() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut content = self.content.lock();
        if size > content.present.len() {
            content.present.resize(size, 0);
        }
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.content.lock().present.len() as u64)
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let content = self.content.lock();
        let rest = content.present.get(at as usize..).unwrap_or_default();
        let read = rest.len().min(into.len());
        into[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.disk.operation()?;
        let at = at as usize;
        // As much as there is room for, and then the error: as a real disk does.
        let grown = self.grow(at + bytes.len());
        if grown.is_err() {
            let room = self.disk.room();
            let size = self.content.lock().present.len();
            self.grow((at + bytes.len()).min(size + room as usize))?;
        }
        let mut content = self.content.lock();
        let end = content.present.len().min(at + bytes.len());
        if at < end {
            content.present[at..end].copy_from_slice(&bytes[..end - at]);
        }
        grown
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.disk.operation()?;
        self.grow(size as usize)
    }

    fn resize(&self, size: u64) -> io::Result<()> {
        self.disk.operation()?;
        let mut content = self.content.lock();
        if (size as usize) < content.present.len() {
            content.present.truncate(size as usize);
            return Ok(());
        }
        drop(content);
        self.grow(size as usize)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.synced()?;
        let mut content = self.content.lock();
        let Content { present, durable } = &mut *content;
        durable.clone_from(present);
        Ok(())
    }
}
