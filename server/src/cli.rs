//! The command line: one file for each command.
//!
//! Exit codes are part of the contract: see [`Exit`].

mod agents;
mod completion;
mod db;
mod dlq;
mod doctor;
mod executions;
mod exit;
mod groups;
mod invoke;
mod mcp;
mod position;
mod publish;
mod remote;
mod run;
mod signals;
mod stats;
mod tail;
mod terminal;
mod trace;
mod traces;
mod up;
mod verify;

pub use exit::{Exit, Failure};
pub use terminal::Terminal;

use clap::{Parser, Subcommand};

use crate::env::Environment;

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  it failed
  2  wrong usage or settings
  3  the server cannot be reached
  4  what was asked for does not exist
  5  a check found something";

/// Loom: an event bus for agents that knows the trace.
#[derive(Debug, Parser)]
#[command(name = "loom", version, about, after_help = EXIT_CODES, propagate_version = true, args_override_self = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the server: bus, bridge, OTLP receiver, trace store and HTTP API in one process
    Up(up::Args),
    /// Start a project's agents, and the server unless one runs
    Run(run::Args),
    /// List traces, newest first
    Traces(traces::Args),
    /// Show one trace as a waterfall, and check that it is whole
    Trace(trace::Args),
    /// Prove that traces are whole, and that everything is there that the bus has accepted
    Verify(verify::Args),
    /// List the agents that are connected
    Agents(agents::Args),
    /// List what runs and what has run, and how it ended
    Executions(executions::Args),
    /// Show what became of the events, topic by topic
    Stats(stats::Args),
    /// Publish one event
    Publish(publish::Args),
    /// Print events as they pass
    Tail(tail::Args),
    /// Look at dead letters, publish their events once more, or drop them
    Dlq(dlq::Args),
    /// List groups of agents, or move one to another place of its stream
    Groups(groups::Args),
    /// Call a capability of an agent
    Invoke(invoke::Args),
    /// Serve the capabilities of agents as tools of the Model Context Protocol
    Mcp(mcp::Args),
    /// Look after the trace store: its size, its bounds, its soundness, its schema
    Db(db::Args),
    /// Find out what is wrong with a set-up, and how to mend it
    Doctor(doctor::Args),
    /// Print the completion script of a shell
    Completion(completion::Args),
}

/// Runs a command to its end.
pub fn execute(cli: Cli, environment: &dyn Environment) -> Exit {
    let terminal = Terminal::detect(environment);
    let result = match cli.command {
        Command::Up(args) => up::execute(args, environment, &terminal),
        Command::Run(args) => run::execute(&args, environment, &terminal),
        Command::Traces(args) => traces::execute(&args, environment, &terminal),
        Command::Trace(args) => trace::execute(&args, environment, &terminal),
        Command::Verify(args) => verify::execute(&args, environment, &terminal),
        Command::Agents(args) => agents::execute(&args, environment, &terminal),
        Command::Executions(args) => executions::execute(&args, environment, &terminal),
        Command::Stats(args) => stats::execute(&args, environment, &terminal),
        Command::Publish(args) => publish::execute(args, environment, &terminal),
        Command::Tail(args) => tail::execute(&args, environment, &terminal),
        Command::Dlq(args) => dlq::execute(&args, environment, &terminal),
        Command::Groups(args) => groups::execute(&args, environment, &terminal),
        Command::Invoke(args) => invoke::execute(args, environment, &terminal),
        Command::Mcp(args) => mcp::execute(args, environment),
        Command::Db(args) => db::execute(&args, environment, &terminal),
        Command::Doctor(args) => doctor::execute(&args, environment, &terminal),
        Command::Completion(args) => completion::execute(&args, &terminal),
    };
    result.unwrap_or_else(|failure| {
        terminal.error(&failure.message);
        failure.exit
    })
}
