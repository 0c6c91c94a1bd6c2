//! Jaeger's legacy routes: parse the request, ask the query, shape the answer.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;

use super::super::error::{JaegerProblem, Problem};
use super::super::params::Params;
use super::super::{Api, json_text, off_thread};
use super::{Envelope, ErrorItem, JaegerTrace};
use crate::indexer::now_ms;
use crate::model::value::to_json;
use crate::model::{SpanKind, Trace, TraceId};
use crate::query::Operation;

type Answer<T> = Result<Json<Envelope<T>>, JaegerProblem>;

pub(in super::super) async fn services(State(api): State<Api>) -> Answer<Vec<String>> {
    let services = api.store.query().services().await?;
    let total = services.len();
    Ok(Json(Envelope::new(services, total)))
}

pub(in super::super) async fn service_operations(
    State(api): State<Api>,
    Path(rest): Path<String>,
) -> Answer<Vec<String>> {
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
pub(in super::super) struct NamedOperation {
    name: String,
    span_kind: &'static str,
}

pub(in super::super) async fn operations(
    State(api): State<Api>,
    uri: Uri,
) -> Answer<Vec<NamedOperation>> {
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

pub(in super::super) async fn search(
    State(api): State<Api>,
    uri: Uri,
) -> Result<Response, JaegerProblem> {
    let params = Params::of(&uri)?;
    let ids: Vec<TraceId> = params
        .all("traceID")
        .map(trace_id)
        .collect::<Result<_, _>>()?;
    let query = api.store.query();
    let by_id = !ids.is_empty();
    let ids = if by_id {
        ids
    } else {
        let found = query.search(params.search(now_ms() * 1_000_000)?).await?;
        found
            .items
            .into_iter()
            .map(|found| found.trace_id)
            .collect()
    };
    let mut traces = Vec::new();
    let mut errors = Vec::new();
    let mut room = api.config.max_spans;
    for id in ids {
        if room == 0 {
            // What is newest stands first; the rest can be had by a narrower search.
            break;
        }
        match query.trace(id, room).await? {
            Some(trace) => {
                room -= trace.spans.len();
                traces.push(trace);
            }
            None if by_id => errors.push(ErrorItem {
                msg: "trace not found".to_owned(),
                trace_id: id.to_string(),
            }),
            // Expired since it was found.
            None => {}
        }
    }
    Ok(answer(traces, errors).await?)
}

/// `start` and `end` are hints for back ends that cannot find a trace without, and Grafana sends them in another unit
/// than Jaeger: they are not needed here and not read.
pub(in super::super) async fn trace(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, JaegerProblem> {
    let id = trace_id(&id)?;
    let trace = api.store.query().trace(id, api.config.max_spans).await?;
    let trace = trace.ok_or_else(|| Problem::not_found("trace not found"))?;
    Ok(answer(vec![trace], Vec::new()).await?)
}

async fn answer(traces: Vec<Trace>, errors: Vec<ErrorItem>) -> Result<Response, Problem> {
    let body = off_thread(move || {
        let traces: Vec<_> = traces.iter().map(JaegerTrace::from).collect();
        to_json(&Envelope::new(traces, 0).with_errors(errors))
    });
    Ok(json_text(body.await?))
}

fn trace_id(text: &str) -> Result<TraceId, Problem> {
    text.parse()
        .map_err(|error| Problem::bad_request(format!("trace id {text:?}: {error}")))
}
