//! `loom executions`.

use clap::Subcommand;
use loom_core::execution::State;
use owo_colors::Style;
use serde::Deserialize;
use serde_json::Value;

use super::remote::{HttpArgs, block_on};
use super::terminal::clean;
use super::{Exit, Failure, Terminal};
use crate::client::HttpClient;
use crate::config::Period;
use crate::env::Environment;
use crate::percent::encode;

/// Objects in an execution: their fields are shown by their paths.
const INNER: [&str; 2] = ["timing", "metadata"];

/// Arguments of `loom executions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom executions ls                                  what runs, and what ended last
  loom executions ls --state FAILED --state TIMEOUT --since 1h
  loom executions ls --agent processor-agent --json | jq -r '.items[].trace_id'
  loom executions show 00f067aa0ba902b7               one of them, with all that its span says")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List executions, the open ones first and then the newest, and count them by state
    Ls(Ls),
    /// Show one execution
    Show(Show),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "States:
  PENDING    waits for its agent
  RUNNING    with its agent
  COMPLETED  handled
  FAILED     its handler failed
  TIMEOUT    its time was up
  DEAD       its process was lost

Examples:
  loom executions ls
  loom executions ls --state RUNNING
  loom executions ls --state DEAD --since 7d --limit 100")]
struct Ls {
    /// Only executions in this state; can be given more than once
    #[arg(long)]
    state: Vec<State>,
    /// Only executions of this agent
    #[arg(long)]
    agent: Option<String>,
    /// Only executions of this workflow; those that have not ended are not among them
    #[arg(long)]
    workflow: Option<String>,
    /// Only what started in this time until now, like 15m, 24h, 7d
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    since: Period,
    /// How many, at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: HttpArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom executions show 00f067aa0ba902b7
  loom executions show 00f067aa0ba902b7 --json | jq .metadata")]
struct Show {
    /// The execution's id: 16 hex digits
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: HttpArgs,
}

#[derive(Debug, Deserialize)]
struct List {
    items: Vec<Item>,
    truncated: bool,
}

/// An execution, as the API gives it.
#[derive(Debug, Deserialize)]
struct Item {
    execution_id: String,
    trace_id: String,
    agent_name: Option<String>,
    operation: Option<String>,
    state: State,
    attempt: u64,
    start_time: String,
    duration_ms: Option<f64>,
    error_message: Option<String>,
}

/// How many there are in each state.
#[derive(Debug, Deserialize)]
struct Counts {
    states: std::collections::BTreeMap<State, u64>,
}

pub(super) fn execute(
    args: &Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    match &args.what {
        What::Ls(args) => {
            let client = args.server.client(environment)?;
            block_on(list(args, &client, terminal))
        }
        What::Show(args) => {
            let client = args.server.client(environment)?;
            block_on(show(args, &client, terminal))
        }
    }
}

async fn list(args: &Ls, client: &HttpClient, terminal: &Terminal) -> Result<Exit, Failure> {
    let conditions = conditions(args, loom_telemetry::ids::now_unix_nano());
    let path = format!("/api/v1/executions?{conditions}&limit={}", args.limit);
    if args.json {
        let list: Value = client.get_json(&path).await?;
        terminal.print(&list.to_string())?;
        return Ok(Exit::Ok);
    }
    let list: List = client.get_json(&path).await?;
    if list.items.is_empty() {
        terminal.note(
            "no such execution; `loom agents` tells who is connected, --since looks further back",
        );
        return Ok(Exit::Ok);
    }
    let rows: Vec<_> = list.items.iter().map(|item| row(item, terminal)).collect();
    let headings = [
        "EXECUTION",
        "STATE",
        "START",
        "TOOK",
        "AGENT",
        "OPERATION",
        "TRY",
        "TRACE",
        "",
    ];
    terminal.print(&terminal.table(headings, &rows))?;
    let counts: Counts = client
        .get_json(&format!("/api/v1/executions/states?{conditions}"))
        .await?;
    let counts: Vec<_> = counts
        .states
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    terminal.note(&counts.join(", "));
    if list.truncated {
        terminal.note(&format!(
            "there are more: --limit {}",
            args.limit.saturating_mul(5).min(1000)
        ));
    }
    Ok(Exit::Ok)
}

async fn show(args: &Show, client: &HttpClient, terminal: &Terminal) -> Result<Exit, Failure> {
    let is_id = args.id.len() == 16 && args.id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id {
        return Err(Failure::usage(format!(
            "`{}` is no execution id: it has 16 hex digits, as `loom executions ls` shows them",
            clean(&args.id)
        )));
    }
    let execution: Value = client
        .get_json(&format!("/api/v1/executions/{}", args.id))
        .await?;
    if args.json {
        terminal.print(&execution.to_string())?;
        return Ok(Exit::Ok);
    }
    let fields = execution.as_object().into_iter().flatten();
    let inner = INNER.into_iter().flat_map(|of| {
        let fields = execution[of].as_object().into_iter().flatten();
        fields.map(move |(key, value)| (format!("{of}.{key}"), value))
    });
    let rows: Vec<_> = fields
        .filter(|(key, value)| !INNER.contains(&key.as_str()) && !value.is_null())
        .map(|(key, value)| (key.clone(), value))
        .chain(inner)
        .map(|(key, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            [clean(&key), clean(&text)]
        })
        .collect();
    terminal.print(&terminal.table(["FIELD", "VALUE"], &rows))?;
    Ok(Exit::Ok)
}

/// The parameters that both routes understand.
fn conditions(args: &Ls, now_unix_nano: u64) -> String {
    let since = u64::try_from(args.since.0.as_nanos()).unwrap_or(u64::MAX);
    let mut pairs = vec![format!("from={}", now_unix_nano.saturating_sub(since))];
    pairs.extend(args.state.iter().map(|state| format!("state={state}")));
    for (name, value) in [("agent", &args.agent), ("workflow", &args.workflow)] {
        pairs.extend(
            value
                .as_ref()
                .map(|value| format!("{name}={}", encode(value))),
        );
    }
    pairs.join("&")
}

fn row(item: &Item, terminal: &Terminal) -> [String; 9] {
    let text = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), clean);
    let took = item.duration_ms.map_or_else(
        || "-".to_owned(),
        |ms| loom_trace::time_text::duration((ms * 1e6) as u64),
    );
    let error = item.error_message.as_deref().unwrap_or_default();
    let error = error.lines().next().unwrap_or_default();
    [
        item.execution_id.clone(),
        item.state.to_string(),
        item.start_time.clone(),
        took,
        text(&item.agent_name),
        text(&item.operation),
        item.attempt.to_string(),
        item.trace_id.clone(),
        terminal.paint(&clean(error), Style::new().red()),
    ]
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
        let line = "loom ls --state failed --state DEAD --agent a&b --since 1s";
        let What::Ls(args) = Line::parse_from(line.split(' ')).args.what else {
            panic!("ls was said");
        };
        assert_eq!(
            conditions(&args, 5_000_000_000),
            "from=4000000000&state=FAILED&state=DEAD&agent=a%26b"
        );
    }

    #[test]
    fn a_state_that_is_none_is_refused() {
        let error =
            Line::try_parse_from(["loom", "ls", "--state", "ZOMBIE"]).expect_err("no state");
        assert!(
            error.to_string().contains("use PENDING, RUNNING"),
            "{error}"
        );
    }
}
