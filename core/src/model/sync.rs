//! What `sync` of the library has, with shuttle's hand on each step.

pub(crate) use shuttle::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use shuttle::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::futures::Notified;

/// A lock without poison, as the library's.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

/// The same, for many who read.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(shuttle::sync::RwLock<T>);

/// Tokio's own: each of its operations is one step here. Others may go on before each.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    inner: tokio::sync::Notify,
    step: AtomicUsize,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("nobody has panicked")
    }
}

impl<T> RwLock<T> {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().expect("nobody has panicked")
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().expect("nobody has panicked")
    }
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        self.step();
        self.inner.notified()
    }

    pub(crate) fn notify_one(&self) {
        self.step();
        self.inner.notify_one();
    }

    pub(crate) fn notify_waiters(&self) {
        self.step();
        self.inner.notify_waiters();
    }

    fn step(&self) {
        self.step.load(Ordering::Relaxed);
    }
}
