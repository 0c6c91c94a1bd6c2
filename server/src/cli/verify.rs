//! `loom verify`.

use std::time::Duration;

use loom_trace::model::TraceId;
use loom_trace::verify::{Report, self_test};
use owo_colors::Style;
use serde_json::{Value, json};

use super::remote::{HttpArgs, block_on};
use super::terminal::clean;
use super::{Exit, Failure, Terminal};
use crate::config::Period;
use crate::env::Environment;

/// Reading ten million spans takes this long on a slow machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// Arguments of `loom verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom verify                        the last hour: is every trace whole, and is everything there that the bus has accepted?
  loom verify --since 7d --json      a week, for a script; exit code 5 if anything is wrong
  loom verify --trace 4bf92f3577b34da6a3ce929d0e0e4736
  loom verify --enrichment           also: does every span say which agent and workflow it is about?
  loom verify --self-test            plant each kind of fault in a scratch store, and find exactly those")]
pub struct Args {
    /// Only this trace
    #[arg(long, value_name = "ID", conflicts_with = "since")]
    trace: Option<TraceId>,
    /// Traces that began in this time until now, like 15m, 24h, 7d
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    since: Period,
    /// A trace is judged this long after its last span
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    grace: Period,
    /// By how much a child may start before its parent, where clocks differ
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    clock_tolerance: Period,
    /// Spans without an agent or a workflow are faults too: count them, and name where they are from
    #[arg(long)]
    enrichment: bool,
    /// How many findings to show; all are counted
    #[arg(long, value_name = "N", default_value_t = 20)]
    samples: usize,
    /// Verify the verification: needs no server
    #[arg(long, conflicts_with_all = ["trace", "since", "enrichment"])]
    self_test: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: HttpArgs,
}

pub(super) fn execute(
    args: &Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    if args.self_test {
        return block_on(test_itself(args, terminal));
    }
    let client = args.server.client(environment)?.with_patience(PATIENCE);
    block_on(async {
        terminal.note("verifying …");
        let value: Value = client.get_json(&path(args)).await?;
        let report = serde_json::from_value::<Report>(value.clone());
        let report = report.map_err(|error| Failure::new(error.to_string()))?;
        let is_enriched = !args.enrichment || report.enrichment.is_complete();
        let is_good = report.is_clean() && is_enriched;
        if args.json {
            let mut value = value;
            value["clean"] = json!(is_good);
            terminal.print(&value.to_string())?;
        } else {
            terminal.print(&told(&report, args.enrichment, terminal))?;
        }
        Ok(if is_good { Exit::Ok } else { Exit::CheckFailed })
    })
}

fn path(args: &Args) -> String {
    let ms = |period: Period| period.0.as_millis();
    let what = match &args.trace {
        Some(trace) => format!("trace={trace}"),
        None => format!("since_ms={}&grace_ms={}", ms(args.since), ms(args.grace)),
    };
    format!(
        "/api/v1/verify?{what}&clock_tolerance_ms={}&samples={}",
        ms(args.clock_tolerance),
        args.samples
    )
}

async fn test_itself(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let test = self_test::run().await;
    let test = test.map_err(|error| Failure::new(format!("the self-test cannot run: {error}")))?;
    if args.json {
        let told = json!({
            "passed": test.is_passed(),
            "planted": test.planted,
            "found": test.report.faults,
        });
        terminal.print(&told.to_string())?;
    } else {
        let mut kinds: Vec<_> = test
            .planted
            .keys()
            .chain(test.report.faults.keys())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        let count = |counts: &std::collections::BTreeMap<_, u64>, kind| {
            counts.get(kind).copied().unwrap_or_default().to_string()
        };
        let rows: Vec<_> = kinds
            .into_iter()
            .map(|kind| {
                let (planted, found) = (&test.planted, &test.report.faults);
                [kind.to_string(), count(planted, kind), count(found, kind)]
            })
            .collect();
        terminal.print(&terminal.table(["FAULT", "PLANTED", "FOUND"], &rows))?;
        terminal.print(&if test.is_passed() {
            let good = terminal.paint("passed", Style::new().green().bold());
            format!("{good}: every planted fault was found, and nothing else")
        } else {
            terminal.paint("failed", Style::new().red().bold())
        })?;
    }
    Ok(if test.is_passed() {
        Exit::Ok
    } else {
        Exit::CheckFailed
    })
}

/// What was found, for a person.
fn told(report: &Report, enrichment: bool, terminal: &Terminal) -> String {
    let mut lines = vec![format!(
        "{} traces with {} spans; {} accepted events looked for",
        report.traces, report.spans, report.accepted
    )];
    let mut note = |count: u64, what: &str| {
        if count > 0 {
            lines.push(format!("  {count} {what}"));
        }
    };
    note(report.unsettled, "traces still grow and were not judged");
    note(
        report.stand_ins,
        "spans stand in for those of processes that were lost",
    );
    if !report.silent_agents.is_empty() {
        let names = report.silent_agents.join(", ");
        lines.push(format!(
            "  agents that tell no spans, so that their handlers cannot be looked for: {}",
            clean(&names)
        ));
    }
    if report.traces == 0 && report.accepted == 0 && report.is_clean() {
        lines.push("nothing to verify; `loom doctor` tells whether spans arrive".to_owned());
        return lines.join("\n");
    }
    if enrichment {
        lines.extend(told_enrichment(report, terminal));
    }
    if report.is_clean() {
        let good = terminal.paint("clean", Style::new().green().bold());
        lines.push(format!(
            "{good}: every trace is whole, and everything accepted is there"
        ));
        return lines.join("\n");
    }
    for (kind, count) in &report.faults {
        let kind_text = terminal.paint(&kind.to_string(), Style::new().red().bold());
        lines.push(format!("{count:>8}  {kind_text}"));
        lines.push(format!("          {}", kind.hint()));
    }
    for found in &report.findings {
        lines.push(format!(
            "trace {} span {}: {}",
            found.trace_id,
            found.finding.span_id,
            clean(&found.finding.detail)
        ));
    }
    lines.join("\n")
}

fn told_enrichment(report: &Report, terminal: &Terminal) -> Vec<String> {
    let of = &report.enrichment;
    let mut lines = vec![format!(
        "{} spans of agents' processes: {} have an agent, {} a workflow",
        of.spans, of.with_agent, of.with_workflow
    )];
    lines.extend(of.samples.iter().map(|sample| {
        format!(
            "  {}: agent {}, workflow {} (trace {} span {})",
            clean(&sample.name),
            clean(&sample.agent_id),
            clean(&sample.workflow_id),
            sample.trace_id,
            sample.span_id
        )
    }));
    if of.is_complete() {
        return lines;
    }
    let bad = terminal.paint("spans without", Style::new().red().bold());
    lines.push(format!("{bad} an agent or a workflow:"));
    let rows: Vec<_> = of
        .without
        .iter()
        .map(|kind| {
            [
                clean(&kind.service),
                clean(&kind.scope),
                clean(&kind.name),
                kind.without_agent.to_string(),
                kind.without_workflow.to_string(),
            ]
        })
        .collect();
    let columns = ["SERVICE", "SCOPE", "SPAN", "NO AGENT", "NO WORKFLOW"];
    lines.push(terminal.table(columns, &rows));
    lines
}
