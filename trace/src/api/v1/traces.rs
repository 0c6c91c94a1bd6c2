//! The list of traces.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::Api;
use super::super::cursor::Cursors;
use super::super::error::{LoomProblem, Problem};
use super::super::page::Page;
use super::super::parameters::{During, OfSpans, PageOf};
use super::super::params::{Params, duration, go_duration};
use super::super::period::Period;
use crate::indexer::now_ms;
use crate::model::{StatusCode, TraceId};
use crate::query::{Field, Predicate, Search, Sort, Summary};
use crate::time_text::rfc3339;

/// How far back is searched, unless told otherwise; as Jaeger does.
const DEFAULT_PERIOD: Duration = Duration::from_secs(48 * 3600);
const DEFAULT_LIMIT: usize = 50;
/// Traces of one answer at most.
const MAX_LIMIT: usize = 1_000;

/// One line of the list of traces.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct TraceSummary {
    /// Its id.
    trace_id: TraceId,
    /// The name of its first span without a parent.
    root_name: String,
    /// The service of that span.
    root_service: String,
    /// RFC 3339, UTC.
    start_time: String,
    /// ns since the Unix epoch, as text because a browser would round it.
    start_ns: String,
    /// ns, as text.
    duration_ns: String,
    /// How many.
    spans: u64,
    /// Spans that failed.
    errors: u64,
    /// Spans whose parent is not there.
    orphans: u64,
    /// Services of its spans.
    services: Vec<String>,
    /// Agents that its spans are about.
    agents: Vec<String>,
    /// Of its earliest span that has one.
    workflow_id: Option<String>,
}

impl From<Summary> for TraceSummary {
    fn from(summary: Summary) -> Self {
        Self {
            start_time: rfc3339(summary.start_ns),
            start_ns: summary.start_ns.to_string(),
            duration_ns: (summary.end_ns - summary.start_ns).to_string(),
            trace_id: summary.trace_id,
            root_name: summary.root_name,
            root_service: summary.root_service,
            spans: summary.spans,
            errors: summary.errors,
            orphans: summary.orphans,
            services: summary.services.into_keys().collect(),
            agents: summary.agents.into_iter().collect(),
            workflow_id: summary.workflow_id,
        }
    }
}

/// Which traces come first.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "a description")]
enum Order {
    /// By the start of a trace's newest match.
    Newest,
    /// Of the newest traces that match.
    Slowest,
}

/// Traces that hold one span which meets all conditions
///
/// Those of Jaeger's search are understood too. A page may end before it is full: then `truncated` is true, and
/// `next_cursor` goes on from there.
#[utoipa::path(
    get,
    path = "/api/v1/traces",
    operation_id = "listTraces",
    tag = "traces",
    params(OfSpans, During, PageOf, ("sort" = inline(Option<Order>), Query, description = "Which traces come first; the newest, unless told otherwise.")),
    responses((status = 200, description = "The traces.", body = Page<TraceSummary>), LoomProblem),
)]
pub(in super::super) async fn list(
    State(api): State<Api>,
    uri: Uri,
) -> Result<Json<Page<TraceSummary>>, LoomProblem> {
    let params = Params::of(&uri)?;
    let cursors = Cursors::of("traces", &params);
    let search = search(&params, cursors, now_ms() * 1_000_000)?;
    let query = api.store.query();
    let found = query.search(search).await?;
    let ids = found
        .items
        .into_iter()
        .map(|found| found.trace_id)
        .collect();
    let summaries = query.summaries(ids).await?;
    Ok(Json(Page {
        items: summaries.into_iter().map(TraceSummary::from).collect(),
        next_cursor: found.next.map(|place| cursors.write(&place)),
        truncated: found.truncated,
    }))
}

fn search(params: &Params, cursors: Cursors, now_ns: u64) -> Result<Search, Problem> {
    let mut all = params.conditions()?;
    for (field, name) in [
        (Field::Workflow, "workflow"),
        (Field::Session, "session"),
        (Field::User, "user"),
        (Field::Tenant, "tenant"),
        (Field::Thread, "thread"),
        (Field::Topic, "topic"),
    ] {
        all.extend(Predicate::optional(field, params.text(name)));
    }
    let min_ns = params.parse("min_duration", go_duration)?;
    let max_ns = params.parse("max_duration", go_duration)?;
    all.extend(duration(min_ns, max_ns, "max_duration")?);
    all.extend(params.words("q")?.map(Predicate::Holds));
    let mut no_errors = false;
    match params.text("status").as_deref() {
        None => {}
        Some("error") => all.push(Predicate::Status(StatusCode::Error)),
        Some("ok") => no_errors = true,
        Some(other) => {
            let why = format!("must be ok or error, got {other:?}");
            return Err(Problem::parameter("status", why));
        }
    }
    // As the older routes name it, in microseconds.
    if params.text("start").is_some() || params.text("end").is_some() {
        all.extend(params.jaeger_period(now_ns)?);
    } else {
        let period = Period::of(params, DEFAULT_PERIOD, now_ns)?;
        all.push(Predicate::From(period.from_ns));
        all.extend(period.to_ns.map(Predicate::To));
    }
    let sort = match params.text("sort").as_deref() {
        None | Some("newest") => Sort::Newest,
        Some("slowest") => Sort::Slowest,
        Some(other) => {
            let why = format!("must be newest or slowest, got {other:?}");
            return Err(Problem::parameter("sort", why));
        }
    };
    Ok(Search {
        matching: Predicate::All(all),
        no_errors,
        sort,
        after: cursors.read(params)?,
        limit: params.limit(DEFAULT_LIMIT, MAX_LIMIT)?,
    })
}
