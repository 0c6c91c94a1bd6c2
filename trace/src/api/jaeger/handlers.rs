//! Jaeger's legacy routes: parse the request, ask the query, shape the answer.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::super::error::{JaegerProblem, Problem};
use super::super::params::Params;
use super::super::{Api, json_text, off_thread};
use super::envelope::{Envelope, ErrorItem};
use super::find::{self, FoundIds};
use super::id::trace_id;
use super::incomplete;
use super::trace::JaegerTrace;
use crate::indexer::now_ms;
use crate::model::value::to_json;
use crate::model::{SpanKind, Trace, TraceId};
use crate::query::Operation;

type Answer<T> = Result<Json<Envelope<T>>, JaegerProblem>;

pub(super) async fn services(State(api): State<Api>) -> Answer<Vec<String>> {
    let services = api.store.query().services().await?;
    let total = services.len();
    Ok(Json(Envelope::new(services, total)))
}

pub(super) async fn service_operations(
    State(api): State<Api>,
    rest: Result<Path<String>, PathRejection>,
) -> Answer<Vec<String>> {
    let Path(rest) = rest?;
    let service = rest
        .strip_suffix("/operations")
        .ok_or_else(|| Problem::not_found("no such route"))?;
    let operations = api.store.query().operations(service.to_owned()).await?;
    let mut names: Vec<_> = operations
        .into_iter()
        .map(|operation| operation.name)
        .collect();
    // They are sorted; equal names differ in their kind.
    names.dedup();
    let total = names.len();
    Ok(Json(Envelope::new(names, total)))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NamedOperation {
    name: String,
    span_kind: &'static str,
}

pub(super) async fn operations(State(api): State<Api>, uri: Uri) -> Answer<Vec<NamedOperation>> {
    let params = Params::of(&uri)?;
    let service = params
        .text("service")
        .ok_or_else(|| Problem::bad_request("parameter 'service' is required"))?;
    let kind = match params.text("spanKind") {
        None => None,
        Some(name) => Some(
            SpanKind::from_name(&name)
                .ok_or_else(|| Problem::bad_request(format!("spanKind: unknown kind {name:?}")))?,
        ),
    };
    let wanted = |operation: &Operation| kind.is_none_or(|kind| operation.kind == kind);
    let operations: Vec<_> = api
        .store
        .query()
        .operations(service)
        .await?
        .into_iter()
        .filter(wanted)
        .map(|operation| NamedOperation {
            name: operation.name,
            span_kind: operation.kind.name().unwrap_or_default(),
        })
        .collect();
    let total = operations.len();
    Ok(Json(Envelope::new(operations, total)))
}

pub(super) async fn search(State(api): State<Api>, uri: Uri) -> Result<Response, JaegerProblem> {
    let params = Params::of(&uri)?;
    let ids: Vec<TraceId> = params
        .all("traceID")
        .map(trace_id)
        .collect::<Result<_, _>>()
        .map_err(Problem::bad_request)?;
    let query = api.store.query();
    let by_id = !ids.is_empty();
    let found = if by_id {
        FoundIds { ids, is_cut: false }
    } else {
        find::ids(&query, params.search(now_ms() * 1_000_000)?).await?
    };
    let loaded = find::load(&query, found.ids, api.config.max_spans).await?;
    let is_cut = found.is_cut || loaded.is_cut();
    let mut errors: Vec<_> = loaded.missing.into_iter().map(ErrorItem::missing).collect();
    if !by_id {
        // Expired since they were found.
        errors.clear();
    }
    Ok(answer(incomplete(is_cut), loaded.traces, errors).await?)
}

/// `start` and `end` are hints for back ends that cannot find a trace without, and Grafana sends them in another unit
/// than Jaeger: they are not needed here and not read.
pub(super) async fn trace(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, JaegerProblem> {
    let Path(id) = id?;
    let id = trace_id(&id).map_err(Problem::bad_request)?;
    let trace = api.store.query().trace(id, api.config.max_spans).await?;
    let trace = trace.ok_or_else(|| Problem::not_found("trace not found"))?;
    Ok(answer(incomplete(trace.truncated), vec![trace], Vec::new()).await?)
}

/// An edge of Jaeger's graph of services.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceEdge {
    parent: String,
    child: String,
    call_count: u64,
}

/// `endTs` and `lookback` in milliseconds: the day until now where nothing is said.
pub(super) async fn dependencies(State(api): State<Api>, uri: Uri) -> Answer<Vec<ServiceEdge>> {
    const DAY_MS: u64 = 24 * 3600 * 1_000;
    let params = Params::of(&uri)?;
    let ms = |name| {
        params.parse(name, |text| {
            let ms: Result<u64, _> = text.parse();
            ms.map_err(|error| format!("{error}, got {text:?}"))
        })
    };
    let end_ms = ms("endTs")?.unwrap_or_else(now_ms);
    let from_ms = end_ms.saturating_sub(ms("lookback")?.unwrap_or(DAY_MS));
    let ns = |ms: u64| ms.saturating_mul(1_000_000);
    let service = params.text("service");
    let found = api.store.query();
    let found = found.dependencies(ns(from_ms), ns(end_ms)).await?;
    let edges: Vec<_> = found
        .into_iter()
        .filter(|edge| {
            let wanted = |service: &String| *service == edge.parent || *service == edge.child;
            service.as_ref().is_none_or(wanted)
        })
        .map(|edge| ServiceEdge {
            parent: edge.parent,
            child: edge.child,
            call_count: edge.calls,
        })
        .collect();
    Ok(Json(Envelope::new(edges, 0)))
}

async fn answer(
    headers: HeaderMap,
    traces: Vec<Trace>,
    errors: Vec<ErrorItem>,
) -> Result<Response, Problem> {
    let body = off_thread(move || {
        let traces: Vec<_> = traces.iter().map(JaegerTrace::from).collect();
        to_json(&Envelope::new(traces, 0).with_errors(errors))
    });
    Ok((headers, json_text(body.await?)).into_response())
}
