//! The one I/O thread of the process, its end, and what a fork does to it.
//!
//! A tokio runtime of one thread serves all clients and the span exporter. It never touches the interpreter: nothing on
//! it waits for the GIL, and it may outlive the interpreter's last breath without harm. It is stopped at exit within a
//! bounded time nevertheless.
//!
//! After `fork` the child has this module's memory and none of its threads. [`forked`] runs in the child, forgets the
//! dead runtime and raises the [`generation`]; whatever remembers an older generation refuses to work and touches no
//! lock that may have been held by a thread that is gone.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The process cannot have its I/O thread.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    /// The interpreter is leaving.
    #[error("the process is exiting: the I/O thread has been stopped")]
    Stopped,
    /// The operating system refuses a thread or a descriptor.
    #[error("the I/O thread cannot start: {0}")]
    Start(#[from] std::io::Error),
}

struct Running {
    handle: Handle,
    stop: oneshot::Sender<()>,
    stopped: Receiver<()>,
}

enum State {
    Idle,
    Running(Running),
    Stopped,
}

/// Locked only by threads that hold the GIL, and never across its release: a fork cannot find it locked.
static STATE: Mutex<State> = Mutex::new(State::Idle);
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// How many forks lie between the first process and this one.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// The handle of the I/O thread, which is started on first use.
///
/// # Errors
/// When the thread cannot be started, or the process is exiting.
pub(crate) fn handle() -> Result<Handle, RuntimeError> {
    let mut state = STATE.lock();
    match &*state {
        State::Running(running) => return Ok(running.handle.clone()),
        State::Stopped => return Err(RuntimeError::Stopped),
        State::Idle => {}
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (stop, stopping) = oneshot::channel::<()>();
    let (leaving, stopped) = sync_channel(1);
    thread::Builder::new()
        .name("loom-io".to_owned())
        .spawn(move || {
            // Ends when `stop` is sent or dropped; either is the wish to end.
            let _either = runtime.block_on(stopping);
            runtime.shutdown_background();
            let _nobody_waits = leaving.send(());
        })?;
    *state = State::Running(Running {
        handle: handle.clone(),
        stop,
        stopped,
    });
    Ok(handle)
}

/// Stops the I/O thread for good. Returns false when it did not end within `patience`.
pub(crate) fn stop(patience: Duration) -> bool {
    let state = std::mem::replace(&mut *STATE.lock(), State::Stopped);
    let State::Running(running) = state else {
        return true;
    };
    let _ended_already = running.stop.send(());
    running.stopped.recv_timeout(patience).is_ok()
}

/// The child's side of a fork.
pub(crate) fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    // Dropping the handle would take locks of threads that are gone.
    std::mem::forget(std::mem::replace(&mut *STATE.lock(), State::Idle));
    loom_telemetry::ids::reseed();
}
