//! The few file operations that a journal is made of.
//!
//! They are a trait, so that tests can fail each of them, and cut the power after any: `tests/crash.rs`.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::error::OpenError;

/// A directory that belongs to one journal.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Names of its files.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// A new, empty file.
    ///
    /// # Errors
    /// It exists already, or cannot be made.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// A file that exists.
    ///
    /// # Errors
    /// There is none, or it cannot be opened.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Removes a file. Who has it open can still read it.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// A small file whole; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Puts a small file in the place of another, or of none: whatever happens, one of them is there whole.
    ///
    /// # Errors
    /// The disk failed; the former file is there.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was created and removed so far survive a loss of power.
    ///
    /// # Errors
    /// The disk failed.
    fn sync(&self) -> io::Result<()>;
}

/// A file of a [`Disk`].
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Its size in bytes.
    ///
    /// # Errors
    /// The disk failed.
    fn size(&self) -> io::Result<u64>;

    /// Reads into `into` from position `at`; less than its length only at the end of the file.
    ///
    /// # Errors
    /// The disk failed.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at position `at`.
    ///
    /// # Errors
    /// Some or none of them were written.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Gives the file this size, of zeros, and the room for it on the disk.
    ///
    /// # Errors
    /// There is no such room.
    fn allocate(&self, size: u64) -> io::Result<()>;

    /// Cuts the file to this size, or extends it with zeros.
    ///
    /// # Errors
    /// The disk failed.
    fn resize(&self, size: u64) -> io::Result<()>;

    /// Makes what was written so far survive a loss of power.
    ///
    /// # Errors
    /// The disk failed; what it holds is not known.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the file system, locked for this process.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Holds the lock as long as it is open.
    _lock: File,
}

const LOCK: &str = "lock";

impl Directory {
    /// Makes the directory if there is none, and locks it.
    ///
    /// # Errors
    /// Another process has locked it, or it cannot be made.
    pub fn lock(path: &Path) -> Result<Self, OpenError> {
        let name = path.display();
        std::fs::create_dir_all(path).map_err(OpenError::io(format!("make {name}")))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK))
            .map_err(OpenError::io(format!("open {name}/{LOCK}")))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse {
                directory: name.to_string(),
            }),
            Err(std::fs::TryLockError::Error(source)) => {
                Err(OpenError::io(format!("lock {name}"))(source))
            }
        }
    }
}

impl Disk for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            // Our own names are ASCII; others are not ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        Ok(Box::new(options.open(self.path.join(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        Ok(Box::new(options.open(self.path.join(name))?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.path.join(format!("{name}.new"));
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        std::fs::rename(new, self.path.join(name))?;
        Disk::sync(self)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl DiskFile for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < into.len() {
            match FileExt::read_at(self, &mut into[read..], at + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        match fallocate(self, FallocateFlags::empty(), 0, size) {
            // A file system without it gives the room when it is written.
            Err(Errno::OPNOTSUPP) => self.set_len(size),
            done => Ok(done?),
        }
    }

    fn resize(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
