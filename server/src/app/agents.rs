//! The routes of agents: those that are connected, and those that were.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use loom_core::AgentEntry;
use loom_telemetry::ids::now_unix_nano;
use loom_trace::api::{LoomProblem, Problem};
use loom_trace::query::activity::{Activity, By};
use loom_trace::time_text::rfc3339;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Parts, metrics};

/// The time that `activity` is about.
const ACTIVE: Duration = Duration::from_secs(3600);
/// An agent that has gone is shown for so long after it did something.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// `/api/v1/agents` and what stands below it.
pub(super) fn routes(parts: Parts) -> Router {
    Router::new()
        .route("/api/v1/agents", get(list))
        .route("/api/v1/agents/{id}", get(show))
        .with_state(parts)
}

#[derive(Debug, Deserialize)]
struct Params {
    state: Option<Wanted>,
}

/// Which agents are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    /// Those that are connected; the default.
    Connected,
    /// Those that are not, and did something in the last day.
    Gone,
    /// Both.
    All,
}

async fn list(
    State(parts): State<Parts>,
    params: Result<Query<Params>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, LoomProblem> {
    let Query(params) = params.map_err(|error| Problem::bad_request(error.body_text()))?;
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
    let items: Vec<_> = items.into_values().collect();
    Ok(Json(
        json!({ "items": items, "next_cursor": null, "truncated": false }),
    ))
}

async fn show(
    State(parts): State<Parts>,
    Path(id): Path<String>,
) -> Result<Json<Value>, LoomProblem> {
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

fn connected(entry: &AgentEntry, activity: Option<&Activity>) -> Value {
    let mut item = metrics::agent_json(entry);
    item["state"] = "connected".into();
    item["activity"] = activity_json(activity);
    item
}

fn gone(id: &str, last: &Activity, activity: Option<&Activity>) -> Value {
    json!({
        "agent_id": id,
        "state": "gone",
        "instance_id": null,
        "client": null,
        "subscriptions": [],
        "capabilities": [],
        "connected_at": null,
        "last_seen_at": rfc3339(last.last_ns),
        "activity": activity_json(activity),
    })
}

/// Of the last hour.
fn activity_json(activity: Option<&Activity>) -> Value {
    let Some(activity) = activity else {
        return json!({
            "executions": 0, "errors": 0, "error_rate": null, "p50_ms": null, "p95_ms": null, "last_at": null,
        });
    };
    json!({
        "executions": activity.executions,
        "errors": activity.errors,
        "error_rate": activity.error_rate(),
        "p50_ms": activity.p50_ms,
        "p95_ms": activity.p95_ms,
        "last_at": rfc3339(activity.last_ns),
    })
}
