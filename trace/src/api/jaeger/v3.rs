//! Jaeger's API v3 over HTTP, which Jaeger UI asks from 2.15 on: OTLP out, errors as gRPC's gateway writes them.
//!
//! Names of parameters are lowerCamelCase or `snake_case`, unknown ones are ignored.

mod search;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::error::{Problem, V3Problem};
use super::super::params::Params;
use super::super::{Api, json_text, off_thread};
use super::find::{self, FoundIds};
use super::flag::flag;
use super::id::trace_id;
use super::incomplete;
use crate::model::value::to_json;
use crate::model::{SpanKind, Trace, TraceId};
use crate::otlp::to_json::TracesData;
use crate::query::{Operation, ServicePart, Summary};

type Body = Result<Bytes, BytesRejection>;

/// A search has a few hundred bytes.
const MAX_BODY: usize = 64 << 10;

/// The routes below `/api/v3`.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v3/services", get(services))
        .route("/api/v3/operations", get(operations))
        .route(
            "/api/v3/trace-summaries",
            get(summaries).post(summaries_posted),
        )
        .route("/api/v3/traces", get(traces).post(traces_posted))
        .route("/api/v3/traces/{id}", get(trace))
        .route("/api/v3/dependencies", get(dependencies))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

async fn services(State(api): State<Api>) -> Result<Json<Value>, V3Problem> {
    let services = api.store.query().services().await?;
    Ok(Json(json!({ "services": services })))
}

/// An operation; Jaeger's UI wants both, and a kind that nobody has said is `internal`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NamedOperation {
    name: String,
    span_kind: &'static str,
}

impl From<Operation> for NamedOperation {
    fn from(operation: Operation) -> Self {
        let kind = operation.kind.name();
        Self {
            name: operation.name,
            span_kind: kind.or(SpanKind::Internal.name()).unwrap_or_default(),
        }
    }
}

async fn operations(State(api): State<Api>, uri: Uri) -> Result<Json<Value>, V3Problem> {
    let params = Params::of(&uri)?;
    let service = params
        .text("service")
        .ok_or_else(|| Problem::parameter("service", "is required"))?;
    let kind = match search::named(&params, ["spanKind", "span_kind"]) {
        None => None,
        Some((name, text)) => {
            let kind = SpanKind::from_name(&text).and_then(SpanKind::name);
            let unknown = || Problem::parameter(name, format!("unknown kind {text:?}"));
            Some(kind.ok_or_else(unknown)?)
        }
    };
    let found = api.store.query().operations(service).await?;
    let mut operations: Vec<_> = found.into_iter().map(NamedOperation::from).collect();
    operations.retain(|operation| kind.is_none_or(|kind| operation.span_kind == kind));
    Ok(Json(json!({ "operations": operations })))
}

/// A line of the list of traces. Times are text, as protobuf's JSON has 64-bit integers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TraceSummary {
    trace_id: TraceId,
    root_service_name: String,
    root_operation_name: String,
    min_start_time_unix_nano: String,
    max_end_time_unix_nano: String,
    span_count: u64,
    error_span_count: u64,
    orphan_span_count: u64,
    services: Vec<ServiceSummary>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceSummary {
    name: String,
    span_count: u64,
    error_span_count: u64,
}

impl From<Summary> for TraceSummary {
    fn from(summary: Summary) -> Self {
        Self {
            trace_id: summary.trace_id,
            root_service_name: summary.root_service,
            root_operation_name: summary.root_name,
            min_start_time_unix_nano: summary.start_ns.to_string(),
            max_end_time_unix_nano: summary.end_ns.to_string(),
            span_count: summary.spans,
            error_span_count: summary.errors,
            orphan_span_count: summary.orphans,
            services: summary
                .services
                .into_iter()
                .map(ServiceSummary::from)
                .collect(),
        }
    }
}

impl From<(String, ServicePart)> for ServiceSummary {
    fn from((name, part): (String, ServicePart)) -> Self {
        Self {
            name,
            span_count: part.spans,
            error_span_count: part.errors,
        }
    }
}

async fn summaries(State(api): State<Api>, uri: Uri) -> Result<Response, V3Problem> {
    found_summaries(&api, &Params::of(&uri)?).await
}

async fn summaries_posted(State(api): State<Api>, body: Body) -> Result<Response, V3Problem> {
    found_summaries(&api, &search::posted(&body?)?).await
}

async fn found_summaries(api: &Api, params: &Params) -> Result<Response, V3Problem> {
    let query = api.store.query();
    let FoundIds { ids, is_cut } = find::ids(&query, search::search(params)?).await?;
    let summaries = query.summaries(ids).await?;
    let summaries: Vec<_> = summaries.into_iter().map(TraceSummary::from).collect();
    let answer = Json(json!({ "summaries": summaries }));
    Ok((incomplete(is_cut), answer).into_response())
}

async fn traces(State(api): State<Api>, uri: Uri) -> Result<Response, V3Problem> {
    found_traces(&api, &Params::of(&uri)?).await
}

async fn traces_posted(State(api): State<Api>, body: Body) -> Result<Response, V3Problem> {
    found_traces(&api, &search::posted(&body?)?).await
}

async fn found_traces(api: &Api, params: &Params) -> Result<Response, V3Problem> {
    let raw = flag(params, ["query.rawTraces", "query.raw_traces"])?;
    let query = api.store.query();
    let FoundIds { ids, is_cut } = find::ids(&query, search::search(params)?).await?;
    let loaded = find::load(&query, ids, api.config.max_spans).await?;
    if loaded.traces.is_empty() {
        // So has Jaeger it, unlike its summaries.
        return Err(Problem::not_found("No traces found").into());
    }
    let headers = incomplete(is_cut || loaded.is_cut());
    answer(headers, loaded.traces, raw).await
}

/// The times are hints for back ends that cannot find a trace without, and are checked only.
async fn trace(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, V3Problem> {
    let Path(id) = id?;
    let params = Params::of(&uri)?;
    for names in [["startTime", "start_time"], ["endTime", "end_time"]] {
        search::time(&params, names)?;
    }
    let raw = flag(&params, ["rawTraces", "raw_traces"])?;
    let id = trace_id(&id).map_err(Problem::bad_request)?;
    let trace = api.store.query().trace(id, api.config.max_spans).await?;
    let trace = trace.ok_or_else(|| Problem::not_found("No traces found"))?;
    answer(incomplete(trace.truncated), vec![trace], raw).await
}

/// `raw` is without anything that was not stored.
async fn answer(
    headers: HeaderMap,
    mut traces: Vec<Trace>,
    raw: bool,
) -> Result<Response, V3Problem> {
    #[derive(Serialize)]
    struct Wrapped<'a> {
        result: TracesData<'a>,
    }

    let body = off_thread(move || {
        if !raw {
            traces.iter_mut().for_each(find::warn);
        }
        let result = TracesData(&traces);
        to_json(&Wrapped { result })
    });
    Ok((headers, json_text(body.await?)).into_response())
}

/// An edge of Jaeger's graph of services.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    parent: String,
    child: String,
    call_count: String,
}

async fn dependencies(State(api): State<Api>, uri: Uri) -> Result<Json<Value>, V3Problem> {
    let params = Params::of(&uri)?;
    let start = search::time(&params, ["startTime", "start_time"])?;
    let end = search::time(&params, ["endTime", "end_time"])?;
    let (from, until) = search::period(start, end, ["startTime", "endTime"])?;
    let found = api.store.query().dependencies(from, until).await?;
    let edges = found.into_iter().map(|edge| Dependency {
        parent: edge.parent,
        child: edge.child,
        call_count: edge.calls.to_string(),
    });
    let edges: Vec<_> = edges.collect();
    Ok(Json(json!({ "dependencies": edges })))
}
