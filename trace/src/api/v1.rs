//! Loom's own routes.

mod columns;
pub(super) mod compare;
pub(super) mod events;
pub(super) mod names;
pub(super) mod span;
pub(super) mod topology;
pub(super) mod trace;
pub(super) mod traces;
pub(super) mod workflows;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{LoomProblem, Problem};
use super::extract::Path;
use super::params::Params;
use super::{Api, off_thread};
use crate::check::{self, Finding, check as check_spans};
use crate::model::TraceId;
use crate::tree::waterfall::{Options, waterfall as draw};

/// Beyond it a line is no line any more.
const MAX_WIDTH: usize = 1_000;

/// What is wrong with a trace.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Checked {
    /// The trace.
    trace_id: TraceId,
    /// Its spans that were looked at.
    spans: usize,
    /// These were all: without them a parent may be missing only here.
    complete: bool,
    /// All spans were looked at, and nothing is wrong.
    ok: bool,
    /// The faults.
    findings: Vec<Finding>,
}

/// What is wrong with a trace
#[utoipa::path(
    get,
    path = "/api/v1/traces/{id}/check",
    operation_id = "checkTrace",
    tag = "traces",
    params(("id" = TraceId, Path, description = "Id of the trace.")),
    responses((status = 200, description = "What was found.", body = Checked), LoomProblem),
)]
pub(super) async fn check(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Checked>, LoomProblem> {
    let id = trace::trace_id(&id)?;
    let trace = api.store.query().trace(id, api.config.max_spans).await?;
    let trace = trace.ok_or_else(|| Problem::not_found("trace not found"))?;
    let report = off_thread(move || {
        let findings = check_spans(&trace.spans, &check::Options::default());
        Checked {
            trace_id: trace.id,
            spans: trace.spans.len(),
            complete: !trace.truncated,
            ok: findings.is_empty() && !trace.truncated,
            findings,
        }
    });
    Ok(Json(report.await?))
}

/// The trace as `loom trace` shows it
#[utoipa::path(
    get,
    path = "/api/v1/traces/{id}/waterfall",
    operation_id = "drawTrace",
    tag = "traces",
    params(
        ("id" = TraceId, Path, description = "Id of the trace."),
        ("width" = Option<u32>, Query, description = "Columns of a line; 120, unless told otherwise."),
        ("color" = Option<bool>, Query, description = "With ANSI's colours."),
    ),
    responses((status = 200, description = "Lines of text.", body = String, content_type = "text/plain"), LoomProblem),
)]
pub(super) async fn waterfall(
    State(api): State<Api>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<String, LoomProblem> {
    let id = trace::trace_id(&id)?;
    let params = Params::of(&uri)?;
    let width = params.text("width").map(|text| text.parse()).transpose();
    let width = width.map_err(|_| Problem::parameter("width", "is a number of columns"))?;
    let options = Options {
        width: width.unwrap_or(120).min(MAX_WIDTH),
        color: params.text("color").is_some_and(|text| text == "true"),
    };
    let trace = api.store.query().trace(id, api.config.max_spans).await?;
    let trace = trace.ok_or_else(|| Problem::not_found("trace not found"))?;
    Ok(off_thread(move || draw(&trace, &options)).await?)
}
