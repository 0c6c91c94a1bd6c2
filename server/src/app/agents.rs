//! The routes of agents: those that are connected, and those that were.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use loom_core::{AgentEntry, Qos};
use loom_telemetry::ids::now_unix_nano;
use loom_trace::api::{LoomProblem, Page, Path, Presence, Problem, Query};
use loom_trace::query::activity::{Activity, By};
use loom_trace::time_text::rfc3339;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Parts;

/// The time that `activity` is about.
const ACTIVE: Duration = Duration::from_secs(3600);
/// An agent that has gone is shown for so long after it did something.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// `/api/v1/agents` and what stands below it.
pub(super) fn routes() -> OpenApiRouter<Parts> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(show))
}

#[derive(Debug, Deserialize)]
struct Params {
    state: Option<Wanted>,
}

/// Which agents are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    /// Those that are connected; the default.
    Connected,
    /// Those that are not, and did something in the last day.
    Gone,
    /// Both.
    All,
}

/// An agent, and what it did in the last hour.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Agent)]
struct AgentItem {
    /// Its id.
    agent_id: String,
    /// Whether it is there.
    state: Presence,
    /// Of this process of the agent; null of one that has gone.
    instance_id: Option<String>,
    /// Name and version of its SDK.
    client: Option<String>,
    /// What it wants.
    subscriptions: Vec<SubscriptionOf>,
    /// What it can be called for.
    capabilities: Vec<CapabilityOf>,
    /// RFC 3339, UTC.
    connected_at: Option<String>,
    /// When it last said something, or its newest handler began.
    last_seen_at: Option<String>,
    /// Of the last hour.
    activity: Active,
}

/// What an agent wants.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subscription)]
struct SubscriptionOf {
    /// Its number, in the agent's words.
    id: u32,
    /// A topic, or a pattern.
    pattern: String,
    /// What a full mailbox does, and who is served first.
    qos: QosOf,
}

/// The class of a subscription.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Qos)]
enum QosOf {
    /// Served first; a full mailbox drops its oldest event.
    Realtime,
    /// A full mailbox makes the publisher wait.
    Batched,
    /// Large, and served last; a full mailbox makes the publisher wait.
    Background,
}

impl From<Qos> for QosOf {
    fn from(qos: Qos) -> Self {
        match qos {
            Qos::Realtime => Self::Realtime,
            Qos::Batched => Self::Batched,
            Qos::Background => Self::Background,
        }
    }
}

/// What an agent can be called for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Capability)]
struct CapabilityOf {
    /// Its name.
    name: String,
    /// What it does.
    description: String,
    /// JSON schema of its arguments; null where it has none.
    #[schema(required)]
    input_schema: Option<serde_json::Value>,
}

/// What an agent did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AgentActivity)]
struct Active {
    /// Handlers that began.
    executions: u64,
    /// Those of them that failed.
    errors: u64,
    /// Share of those that failed, from 0 to 1; null where none ran.
    error_rate: Option<f64>,
    /// Half of them took less, in ms.
    p50_ms: Option<f64>,
    /// 95 of 100 took less, in ms.
    p95_ms: Option<f64>,
    /// When the newest one began, RFC 3339, UTC.
    last_at: Option<String>,
}

/// Agents by id
#[utoipa::path(
    get,
    path = "/api/v1/agents",
    operation_id = "listAgents",
    tag = "agents",
    params(("state" = inline(Option<Wanted>), Query, description = "Which agents are meant; those that are connected, unless told otherwise.")),
    responses((status = 200, description = "The agents.", body = Page<AgentItem>), LoomProblem),
)]
async fn list(
    State(parts): State<Parts>,
    Query(params): Query<Params>,
) -> Result<Json<Page<AgentItem>>, LoomProblem> {
    let wanted = params.state.unwrap_or(Wanted::Connected);
    let active = activity(&parts, None, ACTIVE).await?;
    let mut items = BTreeMap::new();
    if wanted != Wanted::Connected {
        for (id, last) in activity(&parts, None, REMEMBERED).await? {
            let item = gone(&id, &last, active.get(&id));
            items.insert(id, item);
        }
    }
    for entry in parts.directory.list() {
        let id = entry.agent_id.clone();
        if wanted == Wanted::Gone {
            items.remove(&id);
        } else {
            let item = connected(&entry, active.get(&id));
            items.insert(id, item);
        }
    }
    Ok(Json(Page::whole(items.into_values().collect())))
}

/// One agent
#[utoipa::path(
    get,
    path = "/api/v1/agents/{id}",
    operation_id = "getAgent",
    tag = "agents",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The agent.", body = AgentItem), LoomProblem),
)]
async fn show(
    State(parts): State<Parts>,
    Path(id): Path<String>,
) -> Result<Json<AgentItem>, LoomProblem> {
    let active = activity(&parts, Some(id.clone()), ACTIVE).await?;
    let entries = parts.directory.list();
    if let Some(entry) = entries.iter().find(|entry| entry.agent_id == id) {
        return Ok(Json(connected(entry, active.get(&id))));
    }
    let remembered = activity(&parts, Some(id.clone()), REMEMBERED).await?;
    let last = remembered.get(&id).ok_or_else(|| {
        Problem::not_found("no agent of this id is connected, or did anything in the last day")
    })?;
    Ok(Json(gone(&id, last, active.get(&id))))
}

/// What agents did in the last time.
async fn activity(
    parts: &Parts,
    only: Option<String>,
    period: Duration,
) -> Result<BTreeMap<String, Activity>, LoomProblem> {
    let now = now_unix_nano();
    let from = now.saturating_sub(period.as_nanos() as u64);
    // What begins in this moment belongs to it.
    let end = now.saturating_add(1_000_000_000);
    let query = parts.store.query();
    let found = query.activity(By::Agent, only, from, end).await?;
    Ok(found.of)
}

fn connected(entry: &AgentEntry, activity: Option<&Activity>) -> AgentItem {
    let subscription = |subscription: &loom_core::Subscription| SubscriptionOf {
        id: subscription.id,
        pattern: subscription.pattern.clone(),
        qos: subscription.qos.into(),
    };
    let capability = |capability: &loom_core::Capability| CapabilityOf {
        name: capability.name.clone(),
        description: capability.description.clone(),
        // Text of the agent: what is no JSON is none.
        input_schema: serde_json::from_str(&capability.input_schema).ok(),
    };
    AgentItem {
        agent_id: entry.agent_id.clone(),
        state: Presence::Connected,
        instance_id: Some(entry.instance_id.clone()),
        client: Some(entry.client.clone()),
        subscriptions: entry.subscriptions.iter().map(subscription).collect(),
        capabilities: entry.capabilities.iter().map(capability).collect(),
        connected_at: Some(rfc3339(entry.connected_unix_nano)),
        last_seen_at: Some(rfc3339(entry.last_seen_unix_nano())),
        activity: activity.into(),
    }
}

fn gone(id: &str, last: &Activity, activity: Option<&Activity>) -> AgentItem {
    AgentItem {
        agent_id: id.to_owned(),
        state: Presence::Gone,
        instance_id: None,
        client: None,
        subscriptions: Vec::new(),
        capabilities: Vec::new(),
        connected_at: None,
        last_seen_at: Some(rfc3339(last.last_ns)),
        activity: activity.into(),
    }
}

impl From<Option<&Activity>> for Active {
    fn from(activity: Option<&Activity>) -> Self {
        Self {
            executions: activity.map_or(0, |activity| activity.executions),
            errors: activity.map_or(0, |activity| activity.errors),
            error_rate: activity.and_then(Activity::error_rate),
            p50_ms: activity.and_then(|activity| activity.p50_ms),
            p95_ms: activity.and_then(|activity| activity.p95_ms),
            last_at: activity.map(|activity| rfc3339(activity.last_ns)),
        }
    }
}
