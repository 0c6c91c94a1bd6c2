//! One file descriptor that wakes the agent's event loop, at most once per batch.
//!
//! The loop watches [`Wake::fd`]. Whoever puts something into a queue calls [`Wake::signal`], which writes only when the
//! loop has said, by [`Wake::arm`], that it found everything empty: a million events cost a handful of writes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The two ends may be one descriptor (Linux: eventfd) or two (a pipe).
#[derive(Debug)]
pub(crate) struct Wake {
    read: OwnedFd,
    #[cfg(not(target_os = "linux"))]
    write: OwnedFd,
    armed: AtomicBool,
}

impl Wake {
    /// An armed wake: the first signal is written.
    pub(crate) fn new() -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use rustix::event::{EventfdFlags, eventfd};
            Ok(Self {
                read: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
                armed: AtomicBool::new(true),
            })
        }
        #[cfg(not(target_os = "linux"))]
        {
            let (read, write) = rustix::pipe::pipe()?;
            for end in [&read, &write] {
                rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
                rustix::io::ioctl_fionbio(end, true)?;
            }
            Ok(Self {
                read,
                write,
                armed: AtomicBool::new(true),
            })
        }
    }

    /// What the event loop watches for readability.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }

    /// Wakes the loop unless it is awake already.
    pub(crate) fn signal(&self) {
        if self.armed.swap(false, Ordering::AcqRel) {
            #[cfg(target_os = "linux")]
            let end = &self.read;
            #[cfg(not(target_os = "linux"))]
            let end = &self.write;
            // The one possible failure is a full counter or pipe, and then the loop is being woken anyhow.
            let _full = rustix::io::write(end, &1_u64.to_ne_bytes());
        }
    }

    /// From now on the next signal is written. The caller looks at its queues once more after this.
    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::Release);
        // A producer that pushed before the store and read `armed` before it must be seen by the caller's second look.
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    /// Takes back what [`Wake::arm`] said, after the second look found something.
    pub(crate) fn disarm(&self) {
        self.armed.store(false, Ordering::Release);
    }

    /// Makes the descriptor quiet again; the loop calls it when it was woken.
    pub(crate) fn clear(&self) {
        // Empty already is as good.
        let _empty = rustix::io::read(&self.read, &mut [0_u8; 64]);
    }
}
