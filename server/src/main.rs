//! The `loom` binary.

use std::process::ExitCode;

use clap::Parser;
use loom_server::cli::{Cli, execute};
use loom_server::env::ProcessEnvironment;

fn main() -> ExitCode {
    execute(Cli::parse(), &ProcessEnvironment).into()
}
