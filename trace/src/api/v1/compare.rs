//! Two traces side by side.

use axum::extract::State;
use axum::response::Response;

use super::super::error::{LoomProblem, Problem};
use super::super::extract::Path;
use super::super::{Api, json_text, off_thread};
use crate::model::TraceId;
use crate::model::value::to_json;
use crate::query::compare::{Comparison, compare};

/// What two traces have in common, and what one of them has alone
#[utoipa::path(
    get,
    path = "/api/v1/traces/{a}/compare/{b}",
    operation_id = "compareTraces",
    tag = "traces",
    params(
        ("a" = TraceId, Path, description = "Id of one trace."),
        ("b" = TraceId, Path, description = "Id of the other."),
    ),
    responses((status = 200, description = "Where they differ.", body = Comparison), LoomProblem),
)]
pub(in super::super) async fn show(
    State(api): State<Api>,
    Path((a, b)): Path<(String, String)>,
) -> Result<Response, LoomProblem> {
    let id = |name, text: String| -> Result<TraceId, Problem> {
        text.parse()
            .map_err(|error| Problem::path(name, format!("{error}, got {text:?}")))
    };
    let (a, b) = (id("a", a)?, id("b", b)?);
    let max = api.config.max_spans;
    let outline = async |id: TraceId| {
        let found = api.store.query().outline(id, max).await?;
        found.ok_or_else(|| Problem::not_found(format!("trace {id} not found")))
    };
    let (a, b) = (outline(a).await?, outline(b).await?);
    let body = off_thread(move || to_json(&compare(&a, &b)));
    Ok(json_text(body.await?))
}
