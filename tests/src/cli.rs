//! One command and what it said.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::process::{command, loom};
use crate::server::TestServer;

/// A command that has ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// stdout.
    pub out: String,
    /// stderr.
    pub err: String,
}

impl Said {
    /// stdout as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

/// Runs `loom` with a server to speak to, or without one.
pub fn run(arguments: &[&str], server: Option<&TestServer>) -> Said {
    run_in(
        Path::new("."),
        arguments,
        server.map(TestServer::environment).unwrap_or_default(),
    )
}

/// Runs `loom` in a directory with these variables.
///
/// # Panics
/// When it cannot be started.
pub fn run_in(directory: &Path, arguments: &[&str], environment: Vec<(String, String)>) -> Said {
    let output = command(loom())
        .args(arguments)
        .current_dir(directory)
        .envs(environment)
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts");
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
