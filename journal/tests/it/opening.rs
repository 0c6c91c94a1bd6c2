//! What opening a journal reads: its newest segment and a little of the others, however long it is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loom_core::{Event, Journal, Stream, StreamConfig};
use loom_journal::{Disk, DiskFile, EventLog, LogConfig};

use crate::support::{MemoryDisk, settle};

const SEGMENT: u64 = 4096;
/// More than a segment's header has.
const HEADER: u64 = 64;

/// Counts the bytes that are read from another disk.
#[derive(Debug)]
struct CountingDisk {
    disk: MemoryDisk,
    read: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CountingFile {
    file: Box<dyn DiskFile>,
    read: Arc<AtomicU64>,
}

impl CountingDisk {
    fn over(disk: &MemoryDisk) -> (Arc<Self>, Arc<AtomicU64>) {
        let read = Arc::new(AtomicU64::new(0));
        let disk = disk.clone();
        let counting = Self {
            disk,
            read: Arc::clone(&read),
        };
        (Arc::new(counting), read)
    }

    fn counted(&self, file: io::Result<Box<dyn DiskFile>>) -> io::Result<Box<dyn DiskFile>> {
        let read = Arc::clone(&self.read);
        Ok(Box::new(CountingFile { file: file?, read }))
    }
}

impl Disk for CountingDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.counted(self.disk.create(name))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.counted(self.disk.open(name))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(name)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.disk.replace(name, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }
}

impl DiskFile for CountingFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let read = self.file.read_at(into, at)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_at(bytes, at)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.file.allocate(size)
    }

    fn resize(&self, size: u64) -> io::Result<()> {
        self.file.resize(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: SEGMENT,
        ..LogConfig::default()
    }
}

/// A journal of at least so many segments.
fn journal_of(segments: u64) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let (log, _) = EventLog::open_on(Arc::new(disk.clone()), config()).expect("new");
    while log.log().bytes() < segments * SEGMENT {
        let event = Event::on("orders.new", &[7; 200][..]).expect("valid");
        let ticket = log.append(&event).expect("taken");
        settle(log.log(), ticket).expect("committed");
    }
    disk
}

#[test]
fn opening_reads_no_more_of_a_long_journal() {
    for segments in [4, 100] {
        let disk = journal_of(segments);
        let (counting, read) = CountingDisk::over(&disk);
        let (log, found) = EventLog::open_on(counting, config()).expect("it opens");
        let found = found.segments as u64;
        assert!(found >= segments, "{found}");
        let opened = read.load(Ordering::Relaxed);
        // The newest is read; a chunk of it may be read again where a block goes beyond.
        assert!(
            opened <= 2 * SEGMENT + found * HEADER,
            "{opened} of {segments}"
        );

        // And the ids of the youngest events: where the window begins, and as many as are remembered.
        let config = StreamConfig {
            duplicate_window: Duration::from_secs(1),
            duplicate_ids: 16,
            ..StreamConfig::new("orders", &["orders.>"])
        };
        let _stream = Stream::open(config, Arc::new(log)).expect("it opens");
        let ready = read.load(Ordering::Relaxed) - opened;
        assert!(ready <= 10 * SEGMENT, "{ready} of {segments}");
    }
}
