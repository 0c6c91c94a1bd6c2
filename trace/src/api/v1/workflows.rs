//! Workflows, and the steps of one.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::Api;
use super::super::error::{LoomProblem, Problem};
use super::super::extract::Path;
use super::super::page::Page;
use super::super::parameters::During;
use super::super::params::Params;
use super::super::period::Period;
use crate::indexer::now_ms;
use crate::query::activity::{Activity, By};
use crate::query::topology::Edge;
use crate::time_text::rfc3339;

/// How far back is looked, unless told otherwise.
const DEFAULT_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// What a workflow did in a time.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Workflow {
    /// Its id.
    workflow_id: String,
    /// Traces with a handler or a model call of it.
    traces: u64,
    /// Handlers that began.
    executions: u64,
    /// Those of them that failed.
    errors: u64,
    /// Share of those that failed, from 0 to 1; null where none ran.
    error_rate: Option<f64>,
    /// Half of the handlers took less, in ms.
    p50_ms: Option<f64>,
    /// 95 of 100 took less, in ms.
    p95_ms: Option<f64>,
    /// When the newest handler or model call began, RFC 3339, UTC.
    last_at: String,
    /// Agents that worked for it.
    agents: Vec<String>,
}

impl Workflow {
    fn new(workflow_id: String, activity: Activity) -> Self {
        Self {
            workflow_id,
            error_rate: activity.error_rate(),
            traces: activity.traces,
            executions: activity.executions,
            errors: activity.errors,
            p50_ms: activity.p50_ms,
            p95_ms: activity.p95_ms,
            last_at: rfc3339(activity.last_ns),
            agents: activity.agents.into_iter().collect(),
        }
    }
}

/// A workflow and what goes on in it.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct OneWorkflow {
    #[serde(flatten)]
    workflow: Workflow,
    /// As of the topology, of this workflow alone.
    steps: Vec<Edge>,
}

/// First and last moment that is asked for, ns since the Unix epoch.
fn during(uri: &Uri) -> Result<(u64, u64), Problem> {
    let now_ns = now_ms().saturating_mul(1_000_000);
    let period = Period::of(&Params::of(uri)?, DEFAULT_PERIOD, now_ns)?;
    // What begins in this very millisecond belongs to it.
    let to_ns = period.to_ns.unwrap_or(now_ns.saturating_add(1_000_000));
    Ok((period.from_ns, to_ns))
}

/// The workflows of a time, by default of the last day
///
/// `truncated`: more happened than is looked at, and the oldest of the time is left out.
#[utoipa::path(
    get,
    path = "/api/v1/workflows",
    operation_id = "listWorkflows",
    tag = "workflows",
    params(During),
    responses((status = 200, description = "By id.", body = Page<Workflow>), LoomProblem),
)]
pub(in super::super) async fn list(
    State(api): State<Api>,
    uri: Uri,
) -> Result<Json<Page<Workflow>>, LoomProblem> {
    let (from_ns, to_ns) = during(&uri)?;
    let query = api.store.query();
    let found = query.activity(By::Workflow, None, from_ns, to_ns).await?;
    let items = found.of.into_iter();
    Ok(Json(Page {
        items: items
            .map(|(id, activity)| Workflow::new(id, activity))
            .collect(),
        next_cursor: None,
        truncated: found.truncated,
    }))
}

/// One workflow in a time
#[utoipa::path(
    get,
    path = "/api/v1/workflows/{id}",
    operation_id = "getWorkflow",
    tag = "workflows",
    params(("id" = String, Path, description = "Its id."), During),
    responses((status = 200, description = "The workflow.", body = OneWorkflow), LoomProblem),
)]
pub(in super::super) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<OneWorkflow>, LoomProblem> {
    let (from_ns, to_ns) = during(&uri)?;
    let query = api.store.query();
    let only = Some(id.clone());
    let mut found = query.activity(By::Workflow, only, from_ns, to_ns).await?;
    let activity = found.of.remove(&id);
    let activity = activity
        .ok_or_else(|| Problem::not_found("nothing of this workflow is stored of that time"))?;
    let topology = query.topology(from_ns, to_ns, Some(id.clone())).await?;
    Ok(Json(OneWorkflow {
        workflow: Workflow::new(id, activity),
        steps: topology.edges,
    }))
}
