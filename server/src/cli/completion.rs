//! `loom completion`.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Exit, Failure, Terminal};

/// Arguments of `loom completion`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom completion bash > ~/.local/share/bash-completion/completions/loom
  loom completion zsh > \"${fpath[1]}/_loom\"
  loom completion fish > ~/.config/fish/completions/loom.fish")]
pub struct Args {
    /// Whose completion
    shell: Shell,
}

pub(super) fn execute(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "loom", &mut script);
    script.flush()?;
    terminal.print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Ok)
}
