//! What an agent or a workflow has cost in a time: `/api/v1/observability/…/metrics`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde_json::{Value, json};

use super::Api;
use super::error::{LoomProblem, Problem};
use super::params::Params;
use super::period::time_range;
use crate::indexer::now_ms;
use crate::query::Whose;
use crate::time_text::rfc3339;

const DEFAULT_RANGE: &str = "24h";

/// `time_range=24h`: metrics of an agent until now.
pub(super) async fn agent(
    State(api): State<Api>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, LoomProblem> {
    let subject = json!({ "agent_id": id });
    answer(&api, subject, Whose::Agent(id), &uri).await
}

/// The same of a workflow.
pub(super) async fn workflow(
    State(api): State<Api>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, LoomProblem> {
    let subject = json!({ "workflow_id": id });
    answer(&api, subject, Whose::Workflow(id), &uri).await
}

async fn answer(
    api: &Api,
    mut answer: Value,
    whose: Whose,
    uri: &Uri,
) -> Result<Json<Value>, LoomProblem> {
    let params = Params::of(uri)?;
    let text = params.text("time_range");
    let range = text.as_deref().unwrap_or(DEFAULT_RANGE);
    let period = time_range(range).map_err(|why| Problem::parameter("time_range", why))?;
    let now_ns = now_ms().saturating_mul(1_000_000);
    // What begins in this very millisecond belongs to it.
    let end_ns = now_ns.saturating_add(1_000_000);
    let from_ns = now_ns.saturating_sub(period.as_nanos() as u64);
    let metrics = api.store.query().metrics(whose, from_ns..end_ns).await?;
    answer["time_range"] = range.into();
    answer["from"] = rfc3339(from_ns).into();
    answer["to"] = rfc3339(now_ns).into();
    for (key, part) in [
        ("executions", json!(metrics.executions)),
        ("phases", json!(metrics.phases)),
        ("model_calls", json!(metrics.model_calls)),
    ] {
        answer[key] = part;
    }
    Ok(Json(answer))
}
