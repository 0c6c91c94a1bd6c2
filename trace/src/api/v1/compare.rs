//! Two traces side by side.

use axum::extract::{Path, State};
use axum::response::Response;

use super::super::error::{LoomProblem, Problem};
use super::super::{Api, json_text, off_thread};
use crate::model::TraceId;
use crate::model::value::to_json;
use crate::query::compare::compare;

/// What the traces have in common, and what one of them has alone.
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
