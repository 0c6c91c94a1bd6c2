//! Agents, topics and what goes between them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::Api;
use super::super::error::LoomProblem;
use super::super::params::Params;
use super::super::period::time_range;
use crate::indexer::now_ms;
use crate::query::topology::{AgentRate, Edge, TopicRate};

const DEFAULT_WINDOW: Duration = Duration::from_secs(60);

/// What happened in a window of time.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Topology {
    /// Seconds that it covers: fewer than were asked for where more happened than is looked at.
    window_s: f64,
    /// Its end, RFC 3339, UTC.
    at: String,
    /// Rises from answer to answer: ns since the Unix epoch, as text.
    seq: String,
    /// Agents that did something, and those that are connected.
    agents: Vec<TopologyAgent>,
    /// Topics on which something was published or handled.
    topics: Vec<TopicRate>,
    /// What went from whom to whom.
    edges: Vec<Edge>,
}

/// An agent, and how busy it was.
#[derive(Debug, Serialize, ToSchema)]
struct TopologyAgent {
    #[serde(flatten)]
    rate: AgentRate,
    /// Whether it is there; null where nobody knows.
    state: Option<Presence>,
}

/// Whether an agent is there.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It is connected.
    Connected,
    /// It is not.
    Gone,
}

/// Agents, topics and what goes between them
#[utoipa::path(
    get,
    path = "/api/v1/topology",
    operation_id = "getTopology",
    tag = "topology",
    params(
        ("window" = Option<String>, Query, description = "Like `90s` or `15m`, until now; `60s`, unless told otherwise."),
        ("workflow" = Option<String>, Query, description = "Of this workflow alone."),
    ),
    responses((status = 200, description = "What happened.", body = Topology), LoomProblem),
)]
pub(in super::super) async fn topology(
    State(api): State<Api>,
    uri: Uri,
) -> Result<Json<Topology>, LoomProblem> {
    let params = Params::of(&uri)?;
    let window = params.parse("window", time_range)?;
    let window = window.unwrap_or(DEFAULT_WINDOW);
    let workflow = params.text("workflow");
    let is_whole = workflow.is_none();
    let now_ns = now_ms().saturating_mul(1_000_000);
    let from_ns = now_ns.saturating_sub(window.as_nanos() as u64);
    let found = api
        .store
        .query()
        .topology(from_ns, now_ns, workflow)
        .await?;
    let connected = api.extension.connected.as_ref();
    let connected: Option<BTreeSet<String>> = connected.map(|ids| ids().into_iter().collect());
    let mut rates: BTreeMap<String, AgentRate> = found
        .agents
        .into_iter()
        .map(|rate| (rate.agent_id.clone(), rate))
        .collect();
    // Who is there and does nothing is there too.
    for id in connected.iter().flatten().filter(|_| is_whole) {
        rates.entry(id.clone()).or_insert_with(|| AgentRate {
            agent_id: id.clone(),
            executions_per_s: 0.0,
            errors_per_s: 0.0,
            p95_ms: None,
        });
    }
    let agents = rates.into_values().map(|rate| TopologyAgent {
        state: connected.as_ref().map(|connected| {
            if connected.contains(&rate.agent_id) {
                Presence::Connected
            } else {
                Presence::Gone
            }
        }),
        rate,
    });
    Ok(Json(Topology {
        window_s: found.window_s,
        at: found.at,
        seq: now_ns.to_string(),
        agents: agents.collect(),
        topics: found.topics,
        edges: found.edges,
    }))
}
