//! `loom agents`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loom_proto::v1::{AgentInfo, Qos};
use serde_json::{Value, json};

use super::remote::{BridgeArgs, block_on};
use super::terminal::clean;
use super::{Exit, Failure, Terminal};
use crate::env::Environment;

/// Arguments of `loom agents`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  loom agents
  loom agents --json | jq -r '.items[].agent_id'
  loom agents --address 192.0.2.7:50051 --token-file loom.token")]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: BridgeArgs,
}

pub(super) fn execute(
    args: &Args,
    environment: &dyn Environment,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    block_on(async {
        let agents = args.server.connect(environment).await?.agents().await?;
        if args.json {
            let items: Vec<_> = agents.iter().map(as_json).collect();
            terminal.print(
                &json!({ "items": items, "next_cursor": null, "truncated": false }).to_string(),
            )?;
        } else if agents.is_empty() {
            terminal.note("no agent is connected");
        } else {
            let now = SystemTime::now();
            let rows: Vec<_> = agents.iter().map(|agent| row(agent, now)).collect();
            terminal.print(&terminal.table(
                ["AGENT", "LISTENS TO", "PROVIDES", "SINCE", "SEEN", "CLIENT"],
                &rows,
            ))?;
        }
        Ok(Exit::Ok)
    })
}

fn row(agent: &AgentInfo, now: SystemTime) -> [String; 6] {
    let list = |names: Vec<&str>| {
        if names.is_empty() {
            "-".to_owned()
        } else {
            clean(&names.join(" "))
        }
    };
    [
        clean(&agent.agent_id),
        list(
            agent
                .subscriptions
                .iter()
                .map(|subscription| subscription.pattern.as_str())
                .collect(),
        ),
        list(
            agent
                .capabilities
                .iter()
                .map(|capability| capability.name.as_str())
                .collect(),
        ),
        ago(agent.connected_unix_nano, now),
        ago(agent.last_seen_unix_nano, now),
        clean(&agent.client),
    ]
}

fn ago(unix_nano: u64, now: SystemTime) -> String {
    let passed = now
        .duration_since(UNIX_EPOCH + Duration::from_nanos(unix_nano))
        .unwrap_or_default();
    humantime::format_duration(Duration::from_secs(passed.as_secs())).to_string()
}

fn as_json(agent: &AgentInfo) -> Value {
    let time = |nanos: u64| {
        humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(nanos)).to_string()
    };
    let qos = |qos: i32| match Qos::try_from(qos) {
        Ok(Qos::Realtime) => "realtime",
        Ok(Qos::Background) => "background",
        _ => "batched",
    };
    let subscriptions: Vec<_> = agent
        .subscriptions
        .iter()
        .map(|subscription| {
            json!({ "id": subscription.id, "pattern": subscription.pattern, "qos": qos(subscription.qos) })
        })
        .collect();
    let capabilities: Vec<_> = agent
        .capabilities
        .iter()
        .map(|capability| json!({ "name": capability.name, "description": capability.description }))
        .collect();
    json!({
        "agent_id": agent.agent_id,
        "instance_id": agent.instance_id,
        "client": agent.client,
        "subscriptions": subscriptions,
        "capabilities": capabilities,
        "connected_at": time(agent.connected_unix_nano),
        "last_seen_at": time(agent.last_seen_unix_nano),
    })
}
