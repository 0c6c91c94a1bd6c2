//! The repository's binary and interpreter, and children that end with their test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually::PATIENCE;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is in a folder of the repository")
}

/// The binary under test: `LOOM_BIN`, or the one that cargo makes of this checkout now.
///
/// # Panics
/// When it does not build.
pub fn loom() -> &'static Path {
    static LOOM: OnceLock<PathBuf> = OnceLock::new();
    LOOM.get_or_init(|| {
        if let Some(named) = std::env::var_os("LOOM_BIN") {
            return named.into();
        }
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "loom-server"])
            .current_dir(root())
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the binary does not build");
        // …/target/debug/deps/it-… → …/target/debug/loom
        let own = std::env::current_exe().expect("a test has a file");
        own.ancestors()
            .nth(2)
            .expect("in a target directory")
            .join("loom")
    })
}

/// The interpreter that has the Python package.
///
/// # Panics
/// When `make sdk` was not run: a test that is skipped would look like one that passed.
pub fn python() -> PathBuf {
    let interpreter = root().join(".venv/bin/python");
    assert!(
        interpreter.is_file(),
        "{} is missing: run `make sdk` first",
        interpreter.display()
    );
    interpreter
}

/// A command without the settings of whoever runs the tests.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let is_setting = name
            .to_str()
            .is_some_and(|name| name.starts_with("LOOM_") || name.starts_with("OTEL_"));
        if is_setting {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1");
    command
}

/// A child that is killed when it is dropped.
#[derive(Debug)]
pub struct Guarded(pub Child);

impl Guarded {
    /// Sends a signal to this child alone.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.0.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a child has an id");
        kill_process(id, signal).expect("our own child takes a signal");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().expect("our own child can be waited for") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "process {} does not end",
                self.0.id()
            );
            // Parked rather than slept: the loop's condition is what is waited for.
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// SIGTERM, and its end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
