//! `loom trace`.

use loom_trace::check::Finding;
use owo_colors::Style;
use serde::Deserialize;
use serde_json::Value;

use super::remote::{HttpArgs, block_on};
use super::traces::newest;
use super::{Exit, Failure, Terminal};
use crate::client::HttpClient;
use crate::env::Environment;

/// Arguments of `loom trace`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom trace 4bf92f3577b34da6a3ce929d0e0e4736
  loom trace 4bf9 --check          the start of an id is enough where only one trace has it; exit code 5 if anything is wrong
  loom trace last --json           Jaeger's JSON of the newest trace")]
pub struct Args {
    /// The trace id, the start of one, or `last`
    id: String,
    /// Also check that the trace is whole: no orphans, one root, children after their parents
    #[arg(long)]
    check: bool,
    /// Print JSON: the trace as Jaeger has it, with --check the findings
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: HttpArgs,
}

/// What the API says about a trace.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) ok: bool,
    pub(super) spans: u64,
    pub(super) complete: bool,
    pub(super) findings: Vec<Finding>,
}

/// Traces among which the start of an id is looked for.
const SEARCHED: u32 = 1000;
const SHORTEST_PREFIX: usize = 4;

pub(super) fn execute(
    args: &Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let client = args.server.client(environment)?;
    block_on(async {
        let id = resolve(&client, &args.id).await?;
        let path = format!("/api/v1/traces/{id}");
        match (args.json, args.check) {
            (true, false) => {
                let trace: Value = client.get_json(&format!("/api/traces/{id}")).await?;
                terminal.print(&trace.to_string())?;
                Ok(Exit::Ok)
            }
            (true, true) => {
                let report: Value = client.get_json(&format!("{path}/check")).await?;
                terminal.print(&report.to_string())?;
                Ok(if report["ok"] == true {
                    Exit::Ok
                } else {
                    Exit::CheckFailed
                })
            }
            (false, check) => {
                let (width, color) = (terminal.width, terminal.color);
                let drawn = client
                    .get_text(&format!("{path}/waterfall?width={width}&color={color}"))
                    .await?;
                terminal.print(drawn.trim_end())?;
                terminal.note(&format!("{}/trace/{id}", client.base_url()));
                if !check {
                    return Ok(Exit::Ok);
                }
                let report: Report = client.get_json(&format!("{path}/check")).await?;
                terminal.note(&verdict(&report, terminal));
                Ok(if report.ok {
                    Exit::Ok
                } else {
                    Exit::CheckFailed
                })
            }
        }
    })
}

/// The whole id of what the user wrote.
async fn resolve(client: &HttpClient, text: &str) -> Result<String, Failure> {
    let wanted = text.trim().to_ascii_lowercase();
    if wanted == "last" {
        let first = newest(client, 0, 1).await?.items.into_iter().next();
        return first
            .map(|item| item.trace_id)
            .ok_or_else(|| Failure::not_found("there is no trace yet"));
    }
    let is_id = wanted.len() <= 32
        && !wanted.is_empty()
        && wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id {
        return Err(Failure::usage(format!(
            "`{text}` is no trace id: write up to 32 hex digits, or `last`"
        )));
    }
    if wanted.len() == 32 {
        return Ok(wanted);
    }
    if wanted.len() < SHORTEST_PREFIX {
        return Err(Failure::usage(format!(
            "`{text}` is too short: write at least {SHORTEST_PREFIX} digits"
        )));
    }
    let list = newest(client, 0, SEARCHED).await?;
    let mut matching = list
        .items
        .into_iter()
        .map(|item| item.trace_id)
        .filter(|id| id.starts_with(&wanted));
    match (matching.next(), matching.next()) {
        (Some(id), None) => Ok(id),
        (Some(one), Some(other)) => Err(Failure::usage(format!(
            "several traces start with {wanted}, like {one} and {other}: write more digits"
        ))),
        (None, _) => Err(Failure::not_found(format!(
            "none of the newest {SEARCHED} traces starts with {wanted}"
        ))),
    }
}

fn verdict(report: &Report, terminal: &Terminal) -> String {
    if report.ok {
        let good = terminal.paint_stderr("whole", Style::new().green().bold());
        return format!(
            "{good}: {} spans, one root, every parent is there",
            report.spans
        );
    }
    let bad = terminal.paint_stderr("not whole", Style::new().red().bold());
    let mut lines = vec![format!(
        "{bad}: {} findings in {} spans",
        report.findings.len(),
        report.spans
    )];
    if !report.complete {
        lines.push(
            "  the trace has more spans than the server shows at once (api.max_spans)".to_owned(),
        );
    }
    for finding in &report.findings {
        lines.push(format!("  {}: {}", finding.span_id, finding.detail));
        lines.push(format!("    {}", finding.hint));
    }
    lines.join("\n")
}
