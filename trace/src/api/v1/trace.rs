//! One trace: all of it in columns, one span with everything, spans by words, the critical path.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::error::{LoomProblem, Problem};
use super::super::extract::Path;
use super::super::params::Params;
use super::super::{Api, json_text, off_thread};
use super::columns;
use super::span;
use crate::critical_path::{Part, Summary, critical_path};
use crate::model::value::to_json;
use crate::model::{SpanId, TraceId};
use crate::outline::Outline;

/// Spans that a search within a trace finds, unless told otherwise, and at most.
const DEFAULT_FOUND: usize = 500;
const MAX_FOUND: usize = 5_000;

/// The id of a trace in a path.
pub(super) fn trace_id(text: &str) -> Result<TraceId, Problem> {
    text.parse()
        .map_err(|error| Problem::path("id", format!("{error}, got {text:?}")))
}

fn no_trace() -> Problem {
    Problem::not_found("trace not found")
}

async fn outline(api: &Api, id: TraceId) -> Result<Outline, Problem> {
    let outline = api.store.query().outline(id, api.config.max_spans).await?;
    outline.ok_or_else(no_trace)
}

/// The whole trace without the bodies of its spans, in columns
#[utoipa::path(
    get,
    path = "/api/v1/traces/{id}",
    operation_id = "getTrace",
    tag = "traces",
    params(("id" = TraceId, Path, description = "Id of the trace.")),
    responses((status = 200, description = "The trace.", body = columns::TraceColumns), LoomProblem),
)]
pub(in super::super) async fn trace(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, LoomProblem> {
    let id = trace_id(&id)?;
    let outline = outline(&api, id).await?;
    let linked_from = api.store.query().linked_from(id).await?;
    let body = off_thread(move || columns::body(&outline, &linked_from)).await?;
    Ok(json_text(body))
}

/// One span with all that is known of it
#[utoipa::path(
    get,
    path = "/api/v1/traces/{id}/spans/{span_id}",
    operation_id = "getSpan",
    tag = "traces",
    params(("id" = TraceId, Path, description = "Id of the trace."), ("span_id" = SpanId, Path, description = "Id of the span.")),
    responses((status = 200, description = "The span.", body = span::WholeSpan), LoomProblem),
)]
pub(in super::super) async fn span(
    State(api): State<Api>,
    Path((id, span)): Path<(String, String)>,
) -> Result<Response, LoomProblem> {
    let id = trace_id(&id)?;
    let span: SpanId = span
        .parse()
        .map_err(|error| Problem::path("span_id", format!("{error}, got {span:?}")))?;
    let found = api.store.query().span(id, span).await?;
    let found = found.ok_or_else(|| Problem::not_found("span not found"))?;
    Ok(json_text(
        off_thread(move || to_json(&span::WholeSpan::of(&found))).await?,
    ))
}

/// Spans of a trace that hold some words.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Found {
    /// By start.
    span_ids: Vec<SpanId>,
    /// There are more.
    truncated: bool,
}

/// Spans of a trace that hold all of some words
#[utoipa::path(
    get,
    path = "/api/v1/traces/{id}/find",
    operation_id = "findSpans",
    tag = "traces",
    params(
        ("id" = TraceId, Path, description = "Id of the trace."),
        ("q" = String, Query, description = "Words in a span's name or that of an event, a value, its status message or an id."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 5000, description = "Spans at most; 500, unless told otherwise."),
    ),
    responses((status = 200, description = "The spans.", body = Found), LoomProblem),
)]
pub(in super::super) async fn find(
    State(api): State<Api>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Found>, LoomProblem> {
    let id = trace_id(&id)?;
    let params = Params::of(&uri)?;
    let limit = params.limit(DEFAULT_FOUND, MAX_FOUND)?;
    let words = params.words("q")?;
    let words = words.ok_or_else(|| Problem::parameter("q", "is required"))?;
    let query = api.store.query();
    let max = api.config.max_spans;
    let found = query.find_in_trace(id, words, max, limit).await?;
    let found = found.ok_or_else(no_trace)?;
    Ok(Json(Found {
        span_ids: found.span_ids,
        truncated: found.truncated,
    }))
}

/// A time of the critical path.
#[derive(Debug, Serialize, ToSchema)]
struct Segment {
    /// The span that ran, or that was waited for until it began.
    span_id: SpanId,
    /// ns after the trace's start.
    from: u64,
    /// ns after the trace's start; always after `from`.
    to: u64,
    /// What went on.
    kind: Part,
}

/// What the end of a trace had to wait for.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct CriticalPath {
    /// In order, without holes, from the trace's start to its end.
    segments: Vec<Segment>,
    /// The sums of them.
    summary: Summary,
}

/// What the trace's duration was spent on
///
/// The path goes through the bus: a handler follows from the publish before it.
#[utoipa::path(
    get,
    path = "/api/v1/traces/{id}/critical-path",
    operation_id = "getCriticalPath",
    tag = "traces",
    params(("id" = TraceId, Path, description = "Id of the trace.")),
    responses((status = 200, description = "The path.", body = CriticalPath), LoomProblem),
)]
pub(in super::super) async fn path(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, LoomProblem> {
    let outline = outline(&api, trace_id(&id)?).await?;
    let body = off_thread(move || {
        let path = critical_path(&outline);
        to_json(&CriticalPath {
            summary: Summary::of(&path),
            segments: path
                .into_iter()
                .map(|segment| Segment {
                    span_id: outline.spans[segment.span].span_id,
                    from: segment.from,
                    to: segment.to,
                    kind: segment.part,
                })
                .collect(),
        })
    });
    Ok(json_text(body.await?))
}
