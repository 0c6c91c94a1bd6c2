//! `loom groups`.

use clap::Subcommand;
use loom_proto::v1;
use serde_json::{Value, json};

use super::position::position;
use super::remote::{AnswerArgs, block_on};
use super::terminal::clean;
use super::{Exit, Failure, Terminal};
use crate::client::BridgeClient;
use crate::env::Environment;

/// Arguments of `loom groups`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom groups ls                                        every group, and how far behind it is
  loom groups reset workers --to oldest                 let it handle all that its stream has once more
  loom groups reset workers --to 2026-11-01T00:00:00Z   the same from a time on
  loom groups reset workers --stream orders --to 1042   or from an offset on
A group is moved only while it has no members: stop its agents first.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the groups of all streams
    Ls {
        #[command(flatten)]
        shared: AnswerArgs,
    },
    /// Move a group to another place of its stream
    Reset {
        /// The group
        group: String,
        /// Where it goes on: `oldest`, `next`, an offset, or a time (RFC 3339)
        #[arg(long, value_name = "POSITION", value_parser = position)]
        to: v1::Position,
        /// Its stream, where several have a group of this name
        #[arg(long, default_value = "")]
        stream: String,
        #[command(flatten)]
        shared: AnswerArgs,
    },
}

pub(super) fn execute(
    args: &Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    match &args.action {
        Action::Ls { shared } => block_on(async {
            let client = shared.server.connect(environment).await?;
            list(&client, shared.json, terminal).await
        }),
        Action::Reset {
            group,
            to,
            stream,
            shared,
        } => block_on(async {
            let client = shared.server.connect(environment).await?;
            let stream = stream_of(&client, group, stream).await?;
            let offset = client.reset_group(&stream, group, *to).await?;
            let said = if shared.json {
                json!({ "stream": stream, "group": group, "offset": offset }).to_string()
            } else {
                format!("{} goes on at {offset} of {}", clean(group), clean(&stream))
            };
            terminal.print(&said)?;
            Ok(Exit::Ok)
        }),
    }
}

async fn list(client: &BridgeClient, json: bool, terminal: &Terminal) -> Result<Exit, Failure> {
    let groups = client.groups().await?;
    if json {
        let items: Vec<_> = groups.iter().map(as_json).collect();
        let page = json!({ "items": items, "next_cursor": null, "truncated": false });
        terminal.print(&page.to_string())?;
    } else if groups.is_empty() {
        terminal.note("no group has taken anything from a stream");
    } else {
        let headings = [
            "GROUP", "STREAM", "PATTERN", "MEMBERS", "AT", "BEHIND", "DEAD",
        ];
        let rows: Vec<_> = groups.iter().map(row).collect();
        terminal.print(&terminal.table(headings, &rows))?;
    }
    Ok(Exit::Ok)
}

/// The stream that was said, else the only one with such a group.
async fn stream_of(client: &BridgeClient, group: &str, said: &str) -> Result<String, Failure> {
    if !said.is_empty() {
        return Ok(said.to_owned());
    }
    let groups = client.groups().await?;
    let mut streams = groups.into_iter().filter(|one| one.name == group);
    match (streams.next(), streams.next()) {
        (Some(one), None) => Ok(one.stream),
        (Some(one), Some(other)) => Err(Failure::usage(format!(
            "the streams {} and {} both have a group {group}: say which by --stream",
            one.stream, other.stream
        ))),
        (None, _) => Err(Failure::not_found(format!(
            "there is no group {group}: `loom groups ls` shows those that there are"
        ))),
    }
}

fn row(group: &v1::GroupInfo) -> [String; 7] {
    let active = group.active.as_ref();
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    [
        clean(&group.name),
        clean(&group.stream),
        or_dash(active.map(|active| clean(&active.pattern))),
        active.map_or(0, |active| active.members).to_string(),
        group.floor.to_string(),
        group.end.saturating_sub(group.floor).to_string(),
        or_dash(active.map(|active| active.dead.to_string())),
    ]
}

fn as_json(group: &v1::GroupInfo) -> Value {
    let active = group.active.as_ref().map(|active| {
        json!({
            "pattern": active.pattern,
            "members": active.members,
            "acked": active.acked,
            "retried": active.retried,
            "dead": active.dead,
            "open": active.open,
        })
    });
    json!({
        "group": group.name,
        "stream": group.stream,
        "floor": group.floor,
        "end": group.end,
        "lag": group.end.saturating_sub(group.floor),
        "active": active,
    })
}
