//! `loom doctor`.

mod checks;
mod report;

use owo_colors::Style;
use serde_json::json;

use super::remote::{BridgeArgs, HttpArgs, SecretArgs, block_on};
use super::{Exit, Failure, Terminal};
use crate::env::Environment;
use checks::Patient;
use report::{Outcome, Report};

/// Arguments of `loom doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom doctor
  loom doctor --json | jq '.checks[] | select(.outcome != \"good\")'
  loom doctor --address 192.0.2.7:50051 --http 192.0.2.7:8080")]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The server's bridge [env: `LOOM_ADDRESS`] [default: 127.0.0.1:50051]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Server")]
    address: Option<String>,
    /// The server's HTTP API [env: `LOOM_HTTP`] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Server")]
    http: Option<String>,
    #[command(flatten)]
    secret: SecretArgs,
}

pub(super) fn execute(
    args: &Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let bridge = BridgeArgs {
        address: args.address.clone(),
        secret: args.secret.clone(),
    };
    let http = HttpArgs {
        http: args.http.clone(),
        secret: args.secret.clone(),
    };
    let patient = Patient {
        environment,
        bridge: bridge.address(environment),
        http: http.client(environment)?,
        token: args.secret.token(environment)?,
    };
    let report = block_on(async { Ok(patient.examine().await) })?;
    if args.json {
        let ok = report
            .checks
            .iter()
            .all(|check| check.outcome != Outcome::Bad);
        terminal.print(&json!({ "ok": ok, "checks": report.checks }).to_string())?;
    } else {
        terminal.print(&text(&report, terminal))?;
    }
    Ok(report.exit())
}

fn text(report: &Report, terminal: &Terminal) -> String {
    let mut lines = Vec::new();
    for check in &report.checks {
        let mark = match check.outcome {
            Outcome::Good => terminal.paint("ok  ", Style::new().green()),
            Outcome::Doubtful => terminal.paint("hint", Style::new().yellow()),
            Outcome::Bad => terminal.paint("FAIL", Style::new().red().bold()),
        };
        lines.push(format!("{mark}  {}: {}", check.name, check.detail));
        if let Some(fix) = &check.fix {
            lines.push(format!("      {fix}"));
        }
    }
    lines.join("\n")
}
