//! Agents in Python: scripts on the real package, in processes of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tempfile::TempDir;

use crate::process::{Guarded, command, python, root};

/// A script that runs.
#[derive(Debug)]
pub struct PythonAgent {
    process: Guarded,
    log: PathBuf,
    _home: TempDir,
}

impl PythonAgent {
    /// Starts a script of the repository with these variables.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(script: &str, environment: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::run(&root().join(script), environment)
    }

    /// Starts any script.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(script: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let log = home.path().join("log");
        let file = fs::File::create(&log).expect("a log");
        let process = command(&python())
            .arg(script)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .expect("Python starts");
        Self {
            process: Guarded(process),
            log,
            _home: home,
        }
    }

    /// What it has printed and logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string())
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.0.id()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        self.process.signal(signal);
    }

    /// SIGKILL: it says nothing and flushes nothing.
    pub fn kill(mut self) {
        self.process.signal(rustix::process::Signal::KILL);
        self.process.wait();
    }

    /// SIGTERM: the agent drains and flushes.
    ///
    /// # Panics
    /// When it ended badly; with what it said.
    pub fn stop(mut self) {
        let status = self.process.terminate();
        assert!(status.success(), "{status}: {}", self.log());
    }
}

/// Variables from pairs of text.
pub fn variables<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
