//! What an agent, a workflow, or everything has cost in a time: `…/metrics`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::error::{LoomProblem, Problem};
use super::extract::Path;
use super::parameters::{During, Step};
use super::params::Params;
use super::period::{Period, time_range};
use crate::error::QueryError;
use crate::indexer::now_ms;
use crate::query::Whose;
use crate::query::metrics::{Counts, Grid, Metrics, ModelCalls, Series, Share};
use crate::time_text::rfc3339;

/// How far back is looked, unless told otherwise.
const DEFAULT_RANGE: &str = "24h";
const DEFAULT_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// What was measured in a time.
#[derive(Debug, Serialize, ToSchema)]
struct Measured {
    /// The range that was asked for; null where `from` or `to` say the time.
    time_range: Option<String>,
    /// Begin of the time that was asked for: RFC 3339, UTC.
    from: String,
    /// Its end.
    to: String,
    /// Seconds before the end that were looked at: all of the time, if `complete`.
    window_s: f64,
    /// Handlers and model calls that the figures are of.
    sample_count: u64,
    /// Everything of the time was looked at. Otherwise its begin is missing.
    complete: bool,
    /// Handlers that began.
    executions: Counts,
    /// Milliseconds of all executions in each phase, by its name and `_ms`.
    phases: BTreeMap<String, f64>,
    /// Calls of models.
    model_calls: ModelCalls,
    /// Seconds from point to point of the series.
    step_s: u64,
    /// The same along the time.
    series: Series,
}

/// What was measured of an agent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AgentMetrics {
    /// Its id.
    agent_id: String,
    #[serde(flatten)]
    measured: Measured,
}

/// What was measured of a workflow.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WorkflowMetrics {
    /// Its id.
    workflow_id: String,
    #[serde(flatten)]
    measured: Measured,
}

/// What was measured of everything.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AllMetrics {
    /// Agents with the most executions.
    by_agent: Vec<OfAgent>,
    /// The same of workflows.
    by_workflow: Vec<OfWorkflow>,
    #[serde(flatten)]
    measured: Measured,
}

/// What an agent has done of everything.
#[derive(Debug, Serialize, ToSchema)]
struct OfAgent {
    /// Its id.
    agent_id: String,
    #[serde(flatten)]
    share: Part,
}

/// What a workflow has done of everything.
#[derive(Debug, Serialize, ToSchema)]
struct OfWorkflow {
    /// Its id.
    workflow_id: String,
    #[serde(flatten)]
    share: Part,
}

/// A part of all executions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartOfAll)]
struct Part {
    /// Handlers that began.
    count: u64,
    /// Those of them that failed.
    errors: u64,
    /// 95 of 100 took less, in ms; null where nobody has measured one.
    p95_ms: Option<f64>,
}

impl Part {
    fn of(share: Share) -> (String, Self) {
        let part = Self {
            count: share.counts.count,
            errors: share.counts.errors,
            p95_ms: share.counts.duration_ms.map(|duration| duration.p95),
        };
        (share.id, part)
    }
}

/// What an agent has done and cost in a time
#[utoipa::path(
    get,
    path = "/api/v1/agents/{id}/metrics",
    operation_id = "getAgentMetrics",
    tag = "metrics",
    params(("id" = String, Path, description = "Its id."), During, Step),
    responses((status = 200, description = "What was measured.", body = AgentMetrics), LoomProblem),
)]
pub(super) async fn agent(
    State(api): State<Api>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<AgentMetrics>, LoomProblem> {
    let asked = Asked::of(&uri)?;
    let metrics = asked.metrics(&api, Whose::Agent(id.clone())).await?;
    Ok(Json(AgentMetrics {
        agent_id: id,
        measured: asked.measured(metrics),
    }))
}

/// The same as `/api/v1/agents/{id}/metrics`
#[utoipa::path(
    get,
    path = "/api/v1/observability/agents/{id}/metrics",
    operation_id = "getObservedAgentMetrics",
    tag = "metrics",
    params(("id" = String, Path, description = "Its id."), During, Step),
    responses((status = 200, description = "What was measured.", body = AgentMetrics), LoomProblem),
)]
pub(super) async fn observed_agent(
    api: State<Api>,
    id: Path<String>,
    uri: Uri,
) -> Result<Json<AgentMetrics>, LoomProblem> {
    agent(api, id, uri).await
}

/// What a workflow has done and cost in a time
#[utoipa::path(
    get,
    path = "/api/v1/workflows/{id}/metrics",
    operation_id = "getWorkflowMetrics",
    tag = "metrics",
    params(("id" = String, Path, description = "Its id."), During, Step),
    responses((status = 200, description = "What was measured.", body = WorkflowMetrics), LoomProblem),
)]
pub(super) async fn workflow(
    State(api): State<Api>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<WorkflowMetrics>, LoomProblem> {
    let asked = Asked::of(&uri)?;
    let metrics = asked.metrics(&api, Whose::Workflow(id.clone())).await?;
    Ok(Json(WorkflowMetrics {
        workflow_id: id,
        measured: asked.measured(metrics),
    }))
}

/// The same as `/api/v1/workflows/{id}/metrics`
#[utoipa::path(
    get,
    path = "/api/v1/observability/workflows/{id}/metrics",
    operation_id = "getObservedWorkflowMetrics",
    tag = "metrics",
    params(("id" = String, Path, description = "Its id."), During, Step),
    responses((status = 200, description = "What was measured.", body = WorkflowMetrics), LoomProblem),
)]
pub(super) async fn observed_workflow(
    api: State<Api>,
    id: Path<String>,
    uri: Uri,
) -> Result<Json<WorkflowMetrics>, LoomProblem> {
    workflow(api, id, uri).await
}

/// What everything has done and cost in a time
#[utoipa::path(
    get,
    path = "/api/v1/metrics",
    operation_id = "getMetrics",
    tag = "metrics",
    params(During, Step),
    responses((status = 200, description = "What was measured.", body = AllMetrics), LoomProblem),
)]
pub(super) async fn all(State(api): State<Api>, uri: Uri) -> Result<Json<AllMetrics>, LoomProblem> {
    let asked = Asked::of(&uri)?;
    let mut metrics = asked.metrics(&api, Whose::All).await?;
    let by_agent = std::mem::take(&mut metrics.by_agent).into_iter();
    let by_workflow = std::mem::take(&mut metrics.by_workflow).into_iter();
    Ok(Json(AllMetrics {
        by_agent: by_agent
            .map(Part::of)
            .map(|(agent_id, share)| OfAgent { agent_id, share })
            .collect(),
        by_workflow: by_workflow
            .map(Part::of)
            .map(|(workflow_id, share)| OfWorkflow { workflow_id, share })
            .collect(),
        measured: asked.measured(metrics),
    }))
}

/// `time_range=24h`, or `from=` and `to=`; `step=5m`.
struct Asked {
    time_range: Option<String>,
    during_ns: Range<u64>,
    grid: Grid,
}

impl Asked {
    fn of(uri: &Uri) -> Result<Self, Problem> {
        let params = Params::of(uri)?;
        // What begins in this very millisecond belongs to it.
        let now_ns = now_ms().saturating_add(1).saturating_mul(1_000_000);
        let period = Period::of(&params, DEFAULT_PERIOD, now_ns)?;
        let during_ns = period.from_ns..period.to_ns.unwrap_or(now_ns);
        let grid = match params.parse("step", time_range)? {
            None => Grid::of(&during_ns),
            Some(step) => Grid::with_step(&during_ns, step.as_secs())
                .map_err(|error| Problem::parameter("step", error.to_string()))?,
        };
        let is_range = params.text("from").is_none() && params.text("to").is_none();
        let range = || {
            let range = params.text("time_range");
            range.unwrap_or_else(|| DEFAULT_RANGE.to_owned())
        };
        Ok(Self {
            time_range: is_range.then(range),
            during_ns,
            grid,
        })
    }

    async fn metrics(&self, api: &Api, whose: Whose) -> Result<Metrics, QueryError> {
        let query = api.store.query();
        query
            .metrics(whose, self.during_ns.clone(), self.grid)
            .await
    }

    fn measured(self, metrics: Metrics) -> Measured {
        let Range { start, end } = self.during_ns;
        Measured {
            time_range: self.time_range,
            from: rfc3339(start),
            to: rfc3339(end),
            window_s: end.saturating_sub(metrics.since_ns) as f64 / 1e9,
            sample_count: metrics.executions.count + metrics.model_calls.counts.count,
            complete: metrics.is_complete,
            executions: metrics.executions,
            phases: metrics.phases,
            model_calls: metrics.model_calls,
            step_s: self.grid.step_s(),
            series: metrics.series,
        }
    }
}
