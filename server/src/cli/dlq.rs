//! `loom dlq`.

mod view;

use clap::Subcommand;
use loom_proto::trace_context::TraceId;
use loom_proto::{EventId, v1};
use serde_json::json;

use super::remote::{AnswerArgs, block_on};
use super::{Exit, Failure, Terminal};
use crate::client::BridgeClient;
use crate::env::Environment;
use crate::letter::{self, Shown};

/// Arguments of `loom dlq`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom dlq ls                                  the newest dead letters that are open
  loom dlq ls --group workers --topic 'orders.>' --json
  loom dlq show 886313e1-3b8a-5372-9b90-0c9aee199e5d
  loom dlq redrive --group workers             publish their events once more
  loom dlq drop --trace 4bf92f3577b34da6a3ce929d0e0e4736
A letter is open until it is redriven or dropped.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List open dead letters, newest first
    Ls {
        #[command(flatten)]
        filter: Filter,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        #[command(flatten)]
        shared: AnswerArgs,
    },
    /// Show one dead letter: its attempts, headers and payload
    Show {
        /// Id of the letter, or of the event that is dead
        id: EventId,
        #[command(flatten)]
        shared: AnswerArgs,
    },
    /// Publish the events of dead letters once more, oldest first, and close the letters
    #[command(
        after_help = "Every group of the stream gets the event, and whoever listens to its topic: \
                            handlers that have seen it know it by the header loom-redriven-from."
    )]
    Redrive {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        shared: AnswerArgs,
    },
    /// Close dead letters without publishing anything
    Drop {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        shared: AnswerArgs,
    },
}

/// A letter must be all that is said.
#[derive(Clone, Debug, Default, clap::Args)]
struct Filter {
    /// Id of the letter, or of the event that is dead; can be given several times
    #[arg(long = "id", value_name = "UUID")]
    ids: Vec<EventId>,
    /// Pattern of the topic that the event had
    #[arg(long, value_name = "PATTERN", default_value = "")]
    topic: String,
    /// The event's trace
    #[arg(long, value_name = "TRACE_ID", value_parser = trace_id)]
    trace: Option<TraceId>,
    /// The group that could not handle it
    #[arg(long, value_name = "GROUP", default_value = "")]
    group: String,
}

/// What is changed is said, so that no empty variable in a script means every letter.
#[derive(Clone, Debug, clap::Args)]
struct Which {
    #[command(flatten)]
    filter: Filter,
    /// Every open letter
    #[arg(long, conflicts_with_all = ["ids", "topic", "trace", "group"])]
    all: bool,
}

pub(super) fn execute(
    args: &Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    match &args.action {
        Action::Ls {
            filter,
            limit,
            shared,
        } => block_on(async {
            let client = shared.server.connect(environment).await?;
            list(&client, filter, *limit, shared.json, terminal).await
        }),
        Action::Show { id, shared } => block_on(async {
            let client = shared.server.connect(environment).await?;
            show(&client, *id, shared.json, terminal).await
        }),
        Action::Redrive { which, shared } => {
            let filter = which.filter()?;
            block_on(async {
                let client = shared.server.connect(environment).await?;
                redrive(&client, filter, shared.json, terminal).await
            })
        }
        Action::Drop { which, shared } => {
            let filter = which.filter()?;
            block_on(async {
                let client = shared.server.connect(environment).await?;
                drop_letters(&client, filter, shared.json, terminal).await
            })
        }
    }
}

async fn list(
    client: &BridgeClient,
    filter: &Filter,
    limit: u32,
    json: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let mut request = v1::ListDeadLettersRequest {
        filter: Some(filter.message()),
        limit,
        ..v1::ListDeadLettersRequest::default()
    };
    let mut letters = Vec::new();
    let open = loop {
        let page = client.dead_letters(request.clone()).await?;
        letters.extend(page.letters);
        request.before = page.before;
        request.limit = limit.saturating_sub(u32::try_from(letters.len()).unwrap_or(u32::MAX));
        if request.before == 0 || request.limit == 0 {
            break page.open;
        }
    };
    let truncated = request.before > 0;
    if json {
        let items: Vec<_> = letters.iter().map(Shown::of).collect();
        let page =
            json!({ "items": items, "next_cursor": null, "truncated": truncated, "open": open });
        terminal.print(&page.to_string())?;
    } else if letters.is_empty() && open == 0 {
        terminal.note("no dead letter is open");
    } else if letters.is_empty() {
        terminal.note(&format!("none of {open} open dead letters is meant"));
    } else {
        let rows: Vec<_> = letters.iter().map(view::row).collect();
        terminal.print(&terminal.table(view::HEADINGS, &rows))?;
        if truncated {
            terminal.note(&format!(
                "{} shown; there may be more: --limit",
                letters.len()
            ));
        }
    }
    Ok(Exit::Ok)
}

async fn show(
    client: &BridgeClient,
    id: EventId,
    json: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let filter = Filter {
        ids: vec![id],
        ..Filter::default()
    };
    let mut request = v1::ListDeadLettersRequest {
        filter: Some(filter.message()),
        limit: 1,
        with_payload: true,
        ..v1::ListDeadLettersRequest::default()
    };
    let letter = loop {
        let page = client.dead_letters(request.clone()).await?;
        if let Some(letter) = page.letters.into_iter().next() {
            break letter;
        }
        request.before = page.before;
        if page.before == 0 {
            return Err(Failure::not_found(format!(
                "no open dead letter has this id or tells of the event {id}: `loom dlq ls` shows those that there are"
            )));
        }
    };
    if json {
        terminal.print(&json!(Shown::whole(&letter)).to_string())?;
    } else {
        terminal.print(&view::page(&letter, terminal))?;
    }
    Ok(Exit::Ok)
}

async fn redrive(
    client: &BridgeClient,
    filter: v1::DeadLetterFilter,
    json: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let mut request = v1::RedriveDeadLettersRequest {
        filter: Some(filter),
        ..v1::RedriveDeadLettersRequest::default()
    };
    let (mut done, mut failed) = (0_usize, 0_usize);
    loop {
        let page = client.redrive(request.clone()).await?;
        for one in &page.redriven {
            match one.error {
                Some(_) => failed += 1,
                None => done += 1,
            }
            terminal.print(&view::redriven(one, json))?;
        }
        (request.from, request.until) = (page.from, page.until);
        if page.from >= page.until {
            break;
        }
    }
    match (done, failed) {
        (0, 0) => Err(nothing_is_meant()),
        (_, 0) => {
            terminal.note(&format!("{done} redriven"));
            Ok(Exit::Ok)
        }
        _ => Err(Failure::new(format!(
            "{done} redriven; {failed} could not be, and stay open"
        ))),
    }
}

async fn drop_letters(
    client: &BridgeClient,
    filter: v1::DeadLetterFilter,
    json: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let mut request = v1::DropDeadLettersRequest {
        filter: Some(filter),
        ..v1::DropDeadLettersRequest::default()
    };
    let mut done = 0_usize;
    loop {
        let page = client.drop_dead_letters(request.clone()).await?;
        for id in &page.letter_ids {
            let id = letter::id(id);
            let line = if json {
                json!({ "letter_id": id }).to_string()
            } else {
                id
            };
            terminal.print(&line)?;
        }
        done += page.letter_ids.len();
        (request.from, request.until) = (page.from, page.until);
        if page.from >= page.until {
            break;
        }
    }
    if done == 0 {
        return Err(nothing_is_meant());
    }
    terminal.note(&format!("{done} dropped"));
    Ok(Exit::Ok)
}

fn nothing_is_meant() -> Failure {
    Failure::not_found("no open dead letter is meant: `loom dlq ls` shows those that there are")
}

fn trace_id(text: &str) -> Result<TraceId, String> {
    match TraceId::from_hex(text) {
        Ok(id) if id.is_valid() => Ok(id),
        _ => Err("a trace id has 32 lower-case hex digits, which are not all zero".to_owned()),
    }
}

impl Filter {
    fn message(&self) -> v1::DeadLetterFilter {
        v1::DeadLetterFilter {
            ids: self.ids.iter().map(|id| id.0.to_vec().into()).collect(),
            topic: self.topic.clone(),
            trace_id: self.trace.map_or_else(Vec::new, |id| id.0.to_vec()).into(),
            group: self.group.clone(),
        }
    }
}

impl Which {
    fn filter(&self) -> Result<v1::DeadLetterFilter, Failure> {
        let filter = self.filter.message();
        if !self.all && filter == v1::DeadLetterFilter::default() {
            return Err(Failure::usage(
                "which letters? Name them by --id, --topic, --trace or --group, or say --all",
            ));
        }
        Ok(filter)
    }
}
