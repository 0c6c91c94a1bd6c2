//! `loom mcp`: the door for clients of the Model Context Protocol. It is made of the protocol's official SDK, which is
//! Python's, so this command finds the project's Python and becomes `python -m loom.mcp`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Subcommand;

use super::remote::BridgeArgs;
use super::{Exit, Failure};
use crate::config::Period;
use crate::env::{self, Environment};
use crate::launcher::find_interpreter;

/// Says what is missing, without importing it: that takes seconds.
const LOOK: &str = "
import importlib.util, sys
def has(module):
    return importlib.util.find_spec(module) is not None
missing = [name for name, module in (('loom-agents', 'loom'), ('mcp', 'mcp')) if not has(module)]
sys.exit(' and '.join(missing) or 0)
";

/// Arguments of `loom mcp`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: McpCommand,
}

#[derive(Debug, Subcommand)]
enum McpCommand {
    /// Serve the capabilities of connected agents as tools, over stdio unless told otherwise
    Serve(Serve),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom mcp serve                            for a client that starts it, over stdio
  loom mcp serve --tool 'stock.*'           only these capabilities
  loom mcp serve --http 127.0.0.1:8765      at http://127.0.0.1:8765/mcp

It runs in the project's Python, as agents do: $LOOM_PYTHON, the active environment, or the next .venv.")]
struct Serve {
    /// Serve streamable HTTP here, at /mcp, instead of stdio; loopback only
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<String>,
    /// Only capabilities like this; can be given several times
    #[arg(long, value_name = "PATTERN")]
    tool: Vec<String>,
    /// How long a call may take [default: 30s]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Period>,
    /// The agent that makes the calls [default: mcp- and a random end]
    #[arg(long, value_name = "ID")]
    agent_id: Option<String>,
    /// The server's HTTP API [env: `LOOM_HTTP`] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Server")]
    api: Option<String>,
    #[command(flatten)]
    server: BridgeArgs,
}

pub(super) fn execute(args: Args, environment: &dyn Environment) -> Result<Exit, Failure> {
    let McpCommand::Serve(serve) = args.command;
    let directory = std::env::current_dir().unwrap_or_default();
    let interpreter = find_interpreter(&directory, environment);
    look(&interpreter)?;
    let mut command = Command::new(&interpreter);
    command.args(["-m", "loom.mcp", "serve"]);
    command.args(serve.arguments());
    if let Some(token) = serve.server.secret.token(environment)? {
        command.env(env::LOOM_TOKEN, token.expose());
    }
    // Nothing stands between the client and what serves it: not its pipes, not its signals, not its exit code.
    Err(cannot_run(&interpreter, &command.exec()))
}

impl Serve {
    fn arguments(&self) -> Vec<OsString> {
        let timeout = self
            .timeout
            .as_ref()
            .map(|period| period.0.as_secs_f64().to_string());
        let options = [
            ("--http", self.http.as_ref()),
            ("--timeout", timeout.as_ref()),
            ("--agent-id", self.agent_id.as_ref()),
            ("--api", self.api.as_ref()),
            ("--address", self.server.address.as_ref()),
        ];
        let once = options
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let tools = self.tool.iter().map(|pattern| ("--tool", pattern));
        // One word each, because a value may begin with a dash.
        once.chain(tools)
            .map(|(name, value)| format!("{name}={value}").into())
            .collect()
    }
}

fn look(interpreter: &Path) -> Result<(), Failure> {
    let looked = Command::new(interpreter)
        .args(["-c", LOOK])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| cannot_run(interpreter, &error))?;
    if looked.status.success() {
        return Ok(());
    }
    let shown = interpreter.display();
    let missing = String::from_utf8_lossy(&looked.stderr);
    let missing = missing.lines().last().unwrap_or("a package");
    Err(Failure::new(format!(
        "{shown} has no {missing}\n  pip install 'loom-agents[mcp]' there, or set LOOM_PYTHON to a Python that has it"
    )))
}

fn cannot_run(interpreter: &Path, error: &std::io::Error) -> Failure {
    let shown = interpreter.display();
    Failure::new(format!(
        "{shown} cannot be run: {error}\n  install Python 3.11 or newer, or set LOOM_PYTHON"
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{Cli, Command};

    use super::McpCommand;

    #[test]
    fn every_option_is_handed_on() {
        let line = "loom mcp serve --http 127.0.0.1:1 --tool a.* --tool -b --timeout 1m --agent-id me --api h:2 --address h:3";
        let line = line.replace("--tool -b", "--tool=-b");
        let cli = Cli::try_parse_from(line.split(' ')).expect("good");
        let Command::Mcp(args) = cli.command else {
            panic!("another command");
        };
        let McpCommand::Serve(serve) = args.command;
        assert_eq!(
            serve.arguments(),
            [
                "--http=127.0.0.1:1",
                "--timeout=60",
                "--agent-id=me",
                "--api=h:2",
                "--address=h:3",
                "--tool=a.*",
                "--tool=-b",
            ]
        );
    }
}
