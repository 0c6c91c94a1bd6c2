//! The `loom` binary.

use std::process::ExitCode;

use clap::Parser;
use loom_server::cli::{Cli, execute};
use loom_server::env::ProcessEnvironment;
use mimalloc::MiMalloc;

/// Spans are made on one thread and freed on another, a few dozen small texts each: what the system's allocator is slowest at.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    execute(Cli::parse(), &ProcessEnvironment).into()
}
