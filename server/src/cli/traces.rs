//! `loom traces`.

use serde::Deserialize;
use serde_json::Value;

use super::remote::{HttpArgs, block_on};
use super::terminal::clean;
use super::{Exit, Failure, Terminal};
use crate::client::HttpClient;
use crate::config::Period;
use crate::env::Environment;
use crate::percent::encode;

/// Arguments of `loom traces`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom traces                                        the newest twenty
  loom traces --agent processor-agent --errors       what went wrong there
  loom traces --since 15m --min-duration 250ms       what was slow lately
  loom traces --json --limit 1 | jq -r '.items[0].trace_id'")]
pub struct Args {
    /// Only traces with a span of this service
    #[arg(long)]
    service: Option<String>,
    /// Only traces with a span about this agent
    #[arg(long)]
    agent: Option<String>,
    /// Only traces with a span of this name
    #[arg(long)]
    operation: Option<String>,
    /// Only what started in this time until now, like 15m, 24h, 7d [default: 2days]
    #[arg(long, value_name = "DURATION")]
    since: Option<Period>,
    /// Only spans that took at least this long, like 250ms
    #[arg(long, value_name = "DURATION")]
    min_duration: Option<Period>,
    /// Only spans that failed
    #[arg(long)]
    errors: bool,
    /// How many, at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: HttpArgs,
}

/// A line of the list, as the API gives it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Item {
    pub(super) trace_id: String,
    pub(super) root_name: String,
    pub(super) root_service: String,
    pub(super) start_time: String,
    pub(super) duration_ns: String,
    pub(super) spans: u64,
    pub(super) errors: u64,
    pub(super) orphans: u64,
    pub(super) services: Vec<String>,
}

/// The list, as the API gives it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct List {
    pub(super) items: Vec<Item>,
    pub(super) truncated: bool,
}

pub(super) fn execute(
    args: &Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let client = args.server.client(environment)?;
    block_on(async {
        let path = path(args, loom_telemetry::ids::now_unix_nano() / 1000);
        if args.json {
            let list: Value = client.get_json(&path).await?;
            terminal.print(&list.to_string())?;
            return Ok(Exit::Ok);
        }
        let list: List = client.get_json(&path).await?;
        if list.items.is_empty() {
            terminal.note("no such trace; `loom doctor` tells whether spans arrive");
            return Ok(Exit::Ok);
        }
        terminal.print(&table(&list, terminal))?;
        if list.truncated {
            terminal.note(&format!(
                "there are more: --limit {}",
                args.limit.saturating_mul(5).min(1000)
            ));
        }
        Ok(Exit::Ok)
    })
}

/// The newest traces since `start_us`, for other commands.
pub(super) async fn newest(
    client: &HttpClient,
    start_us: u64,
    limit: u32,
) -> Result<List, Failure> {
    Ok(client
        .get_json(&format!("/api/v1/traces?start={start_us}&limit={limit}"))
        .await?)
}

/// Microseconds, as Jaeger's search has them.
fn path(args: &Args, now_us: u64) -> String {
    let mut query = form_urlencoded(&[
        ("service", args.service.clone()),
        ("agent", args.agent.clone()),
        ("operation", args.operation.clone()),
        (
            "minDuration",
            args.min_duration
                .map(|period| format!("{}us", period.0.as_micros())),
        ),
        (
            "start",
            args.since.map(|period| {
                now_us
                    .saturating_sub(period.0.as_micros() as u64)
                    .to_string()
            }),
        ),
        ("errors", args.errors.then(|| "true".to_owned())),
        ("limit", Some(args.limit.to_string())),
    ]);
    query.insert_str(0, "/api/v1/traces?");
    query
}

fn form_urlencoded(pairs: &[(&str, Option<String>)]) -> String {
    let encoded = pairs
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", encode(value.as_ref()?))));
    encoded.collect::<Vec<_>>().join("&")
}

fn table(list: &List, terminal: &Terminal) -> String {
    let rows: Vec<_> = list
        .items
        .iter()
        .map(|item| {
            let duration = item
                .duration_ns
                .parse()
                .map_or_else(|_| "?".to_owned(), loom_trace::time_text::duration);
            let faults = match (item.errors, item.orphans) {
                (0, 0) => String::new(),
                (errors, 0) => format!("{errors} errors"),
                (0, orphans) => format!("{orphans} orphans"),
                (errors, orphans) => format!("{errors} errors, {orphans} orphans"),
            };
            [
                item.trace_id.clone(),
                item.start_time.clone(),
                duration,
                item.spans.to_string(),
                clean(&item.root_service),
                clean(&item.root_name),
                faults,
            ]
        })
        .collect();
    terminal.table(
        ["TRACE", "START", "DURATION", "SPANS", "SERVICE", "ROOT", ""],
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn flags_become_parameters() {
        let line = [
            "loom",
            "--service",
            "a b&c",
            "--since",
            "1s",
            "--min-duration",
            "2ms",
            "--errors",
            "--limit",
            "3",
        ];
        let args = Line::parse_from(line).args;
        assert_eq!(
            path(&args, 5_000_000),
            "/api/v1/traces?service=a%20b%26c&minDuration=2000us&start=4000000&errors=true&limit=3"
        );
    }
}
