//! Loom's own routes.

mod columns;
pub(super) mod compare;
pub(super) mod events;
pub(super) mod names;
mod span;
pub(super) mod topology;
pub(super) mod trace;
pub(super) mod traces;
pub(super) mod workflows;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::{LoomProblem, Problem};
use super::params::Params;
use super::{Api, off_thread};
use crate::check::{self, check as check_spans};
use crate::counters::CounterValues;
use crate::tree::waterfall::{Options, waterfall as draw};

/// Beyond it a line is no line any more.
const MAX_WIDTH: usize = 1_000;

pub(super) async fn check(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Value>, LoomProblem> {
    let id = trace::trace_id(&id)?;
    let trace = api.store.query().trace(id, api.config.max_spans).await?;
    let trace = trace.ok_or_else(|| Problem::not_found("trace not found"))?;
    let report = off_thread(move || {
        let findings = check_spans(&trace.spans, &check::Options::default());
        json!({
            "trace_id": trace.id,
            "spans": trace.spans.len(),
            // Without all spans, a parent may be missing only here.
            "complete": !trace.truncated,
            "ok": findings.is_empty() && !trace.truncated,
            "findings": findings,
        })
    });
    Ok(Json(report.await?))
}

/// The trace as `loom trace` shows it: `width` in columns, `color=true` for ANSI colours.
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

/// The counters, and what they are counted against.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    #[serde(flatten)]
    counters: CounterValues,
    store_bytes: u64,
    #[serde(flatten)]
    further: Map<String, Value>,
}

pub(super) async fn stats(State(api): State<Api>) -> Json<Stats> {
    Json(Stats {
        counters: api.store.counters(),
        store_bytes: api.store.disk_bytes(),
        further: api
            .extension
            .stats
            .map(|further| further())
            .unwrap_or_default(),
    })
}
