//! `loom stats`.

use std::collections::BTreeMap;
use std::fmt::Write;

use loom_proto::topic;

use super::remote::{HttpArgs, block_on};
use super::terminal::clean;
use super::{Exit, Failure, Terminal};
use crate::accounts::{Account, Books, TopicAccount};
use crate::env::Environment;

const PATH: &str = "/api/v1/stats";
/// A delivery may be between two accounts for an instant; an error of the books stays.
const QUESTIONS: usize = 3;

/// Arguments of `loom stats`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom stats                                  the busiest topics, and all of them together
  loom stats --topic 'orders.>'               those of one part only
  loom stats --json | jq .bus.total.dropped   what was lost, by reason

For each topic: published = delivered + filtered + dead + expired + dropped + in flight.
Exit code 5 tells that the books of a quiet server do not add up.")]
pub struct Args {
    /// Only topics that this pattern matches
    #[arg(long, value_name = "PATTERN")]
    topic: Option<String>,
    /// How many topics, at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    limit: u32,
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
    if let Some(pattern) = &args.topic {
        topic::validate_pattern(pattern)
            .map_err(|error| Failure::usage(format!("--topic {pattern:?}: {error}")))?;
    }
    let client = args.server.client(environment)?;
    block_on(async {
        let mut stats: Books = client.get_json(PATH).await?;
        for _ in 1..QUESTIONS {
            if stats.bus.balanced || !stats.bus.quiet {
                break;
            }
            stats = client.get_json(PATH).await?;
        }
        if let Some(pattern) = &args.topic {
            // The inboxes share an account that has the name of a pattern.
            let topics = &mut stats.bus.topics;
            topics.retain(|row| topic::overlap(pattern, &row.topic));
        }
        let busiest =
            |row: &TopicAccount| std::cmp::Reverse((row.account.published, row.account.events));
        stats.bus.topics.sort_by_key(busiest);
        if args.json {
            let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
            stats.bus.topics.truncate(limit);
            let text =
                serde_json::to_string(&stats).map_err(|error| Failure::new(error.to_string()))?;
            terminal.print(&text)?;
        } else {
            show(args, &stats, terminal)?;
        }
        if stats.bus.balanced {
            return Ok(Exit::Ok);
        }
        if stats.bus.quiet {
            terminal.error(
                "the books do not add up: a delivery was lost or counted twice; please report it",
            );
            return Ok(Exit::CheckFailed);
        }
        terminal
            .note("events passed while the books were read: the figures are not all of one moment");
        Ok(Exit::Ok)
    })
}

fn show(args: &Args, stats: &Books, terminal: &Terminal) -> Result<(), Failure> {
    let topics = &stats.bus.topics;
    let shown = topics.len().min(args.limit as usize);
    let mut rows: Vec<_> = topics[..shown]
        .iter()
        .map(|row| cells(&row.topic, &row.account))
        .collect();
    if args.topic.is_none() {
        rows.push(cells("TOTAL", &stats.bus.total));
    }
    terminal.print(&terminal.table(
        [
            "TOPIC",
            "EVENTS",
            "PUBLISHED",
            "DELIVERED",
            "FILTERED",
            "DEAD",
            "EXPIRED",
            "DROPPED",
            "IN FLIGHT",
        ],
        &rows,
    ))?;
    if shown < topics.len() {
        terminal.note(&format!("there are {} topics: --limit", topics.len()));
    }
    let spans = &stats.spans;
    terminal.print(&format!(
        "\nspans: {} recorded = {} stored + {} sampled out + {} dropped + {} queued",
        spans.recorded,
        spans.stored,
        spans.sampled_out,
        lost(&spans.dropped),
        spans.queued
    ))?;
    Ok(())
}

fn cells(topic: &str, account: &Account) -> [String; 9] {
    [
        clean(topic),
        account.events.to_string(),
        account.published.to_string(),
        account.delivered.to_string(),
        account.filtered.to_string(),
        account.dead_lettered.to_string(),
        account.expired.to_string(),
        lost(&account.dropped),
        account.in_flight.to_string(),
    ]
}

/// How many, and why.
fn lost(dropped: &BTreeMap<String, u64>) -> String {
    let mut text = dropped.values().sum::<u64>().to_string();
    for (place, (reason, count)) in dropped.iter().enumerate() {
        let before = if place == 0 { " (" } else { ", " };
        // Writing to a String does not fail.
        _ = write!(text, "{before}{} {count}", clean(reason));
    }
    if !dropped.is_empty() {
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_shown_with_their_reasons() {
        assert_eq!(lost(&BTreeMap::new()), "0");
        let dropped = [("backpressure", 2), ("mailbox_full", 40)];
        let dropped = dropped
            .map(|(reason, count)| (reason.to_owned(), count))
            .into();
        assert_eq!(lost(&dropped), "42 (backpressure 2, mailbox_full 40)");
    }
}
