//! The routes of dead letters: listed, published once more, dropped.

use axum::Json;
use axum::extract::State;
use loom_bridge::Streams;
use loom_proto::{EventId, TraceId, v1};
use loom_trace::api::{JsonBody, LoomProblem, Page, Path, Problem, Query};
use serde::{Deserialize, Serialize};
use tonic::{Code, Status};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::letter::{self, Shown};

/// Letters of one answer.
const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;
/// Names all groups: no group has this name.
const ALL_GROUPS: &str = "-";

/// `/api/v1/dead-letters` and what stands below it.
pub(super) fn routes() -> OpenApiRouter<Streams> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(show, drop_letters))
        .routes(routes!(redrive))
}

/// The conditions of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Params {
    /// The group that could not handle the event.
    group: Option<String>,
    /// A pattern of the topic that the event had.
    topic: Option<String>,
    /// The trace that the event belongs to.
    #[param(pattern = "^[0-9a-f]{32}$")]
    trace_id: Option<String>,
    /// Letters of this page at most; 50, unless told otherwise.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Which letters of a group are meant: all of them, where no ids are said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WhichLetters)]
struct Which {
    /// Null: all of the group.
    letter_ids: Option<Vec<String>>,
}

/// A page of letters.
#[derive(Debug, Serialize, ToSchema)]
struct Letters {
    #[serde(flatten)]
    page: Page<Shown>,
    /// Letters that are neither redriven nor dropped, whatever was asked for.
    open: u64,
}

/// What became of a redrive.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Redriven {
    /// Events that were published once more.
    redriven: u64,
    /// Those that could not be: their letters stay open.
    failed: Vec<NotRedriven>,
}

/// Why an event could not be published once more.
#[derive(Debug, Serialize, ToSchema)]
struct NotRedriven {
    /// Its letter.
    letter_id: String,
    /// As in `docs/errors.md`.
    code: &'static str,
    /// What it is, for people.
    detail: String,
}

/// What became of a drop.
#[derive(Debug, Serialize, ToSchema)]
struct Dropped {
    /// Letters that are gone.
    dropped: usize,
}

/// Open dead letters, the newest first
#[utoipa::path(
    get,
    path = "/api/v1/dead-letters",
    operation_id = "listDeadLetters",
    tag = "dead letters",
    params(Params),
    responses((status = 200, description = "The letters.", body = Letters), LoomProblem),
)]
async fn list(
    State(streams): State<Streams>,
    Query(params): Query<Params>,
) -> Result<Json<Letters>, LoomProblem> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let mut request = v1::ListDeadLettersRequest {
        filter: Some(v1::DeadLetterFilter {
            ids: Vec::new(),
            topic: params.topic.unwrap_or_default(),
            trace_id: trace_id(params.trace_id.as_deref())?,
            group: group(params.group.as_deref().unwrap_or_default()),
        }),
        before: cursor(params.cursor.as_deref())?,
        limit,
        with_payload: false,
    };
    let mut items = Vec::new();
    // A page may be empty and not the last.
    let (next, open) = loop {
        let page = streams.list_letters(request.clone()).await;
        let page = page.map_err(|status| problem(&status))?;
        items.extend(page.letters.iter().map(Shown::of));
        request.before = page.before;
        request.limit = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(limit));
        if request.before == 0 || request.limit == 0 {
            break (request.before, page.open);
        }
    };
    let next = (next > 0).then(|| next.to_string());
    let page = Page {
        items,
        truncated: next.is_some(),
        next_cursor: next,
    };
    Ok(Json(Letters { page, open }))
}

/// One letter with its payload, by its own id or that of its event
#[utoipa::path(
    get,
    path = "/api/v1/dead-letters/{id}",
    operation_id = "getDeadLetter",
    tag = "dead letters",
    params(("id" = String, Path, description = "Id of the letter or of its event.")),
    responses((status = 200, description = "The letter.", body = Shown), LoomProblem),
)]
async fn show(
    State(streams): State<Streams>,
    Path(id): Path<String>,
) -> Result<Json<Shown>, LoomProblem> {
    let mut request = v1::ListDeadLettersRequest {
        filter: Some(v1::DeadLetterFilter {
            ids: vec![event_id(&id)?],
            ..v1::DeadLetterFilter::default()
        }),
        limit: 1,
        with_payload: true,
        ..v1::ListDeadLettersRequest::default()
    };
    loop {
        let page = streams.list_letters(request.clone()).await;
        let page = page.map_err(|status| problem(&status))?;
        if let Some(found) = page.letters.first() {
            return Ok(Json(Shown::whole(found)));
        }
        request.before = page.before;
        if page.before == 0 {
            return Err(Problem::not_found("no open dead letter has this id").into());
        }
    }
}

/// Publishes the events of a group's letters once more
#[utoipa::path(
    post,
    path = "/api/v1/dead-letters/{group}/redrive",
    operation_id = "redriveDeadLetters",
    tag = "dead letters",
    params(("group" = String, Path, description = "The group whose letters they are; `-`: all groups.")),
    request_body = Which,
    responses((status = 200, description = "What became of it.", body = Redriven), LoomProblem),
)]
async fn redrive(
    State(streams): State<Streams>,
    Path(group): Path<String>,
    JsonBody(which): JsonBody<Which>,
) -> Result<Json<Redriven>, LoomProblem> {
    let mut request = v1::RedriveDeadLettersRequest {
        filter: Some(filter(&group, which)?),
        ..v1::RedriveDeadLettersRequest::default()
    };
    let mut all = Redriven::default();
    loop {
        let page = streams.redrive_letters(request.clone()).await;
        let page = page.map_err(|status| problem(&status))?;
        for one in &page.redriven {
            match &one.error {
                None => all.redriven += 1,
                Some(error) => all.failed.push(NotRedriven {
                    letter_id: letter::id(&one.letter_id),
                    code: error.code().name(),
                    detail: error.message.clone(),
                }),
            }
        }
        (request.from, request.until) = (page.from, page.until);
        if page.from >= page.until {
            // What could not be published stays open.
            return Ok(Json(all));
        }
    }
}

/// Drops letters of a group
///
/// The path has a group here, and no letter: `letter_ids` says which of its letters are meant.
#[utoipa::path(
    delete,
    path = "/api/v1/dead-letters/{id}",
    operation_id = "dropDeadLetters",
    tag = "dead letters",
    params(("id" = String, Path, description = "The group whose letters they are, not the id of a letter; `-`: all groups.")),
    request_body = Which,
    responses((status = 200, description = "What became of it.", body = Dropped), LoomProblem),
)]
async fn drop_letters(
    State(streams): State<Streams>,
    Path(group): Path<String>,
    JsonBody(which): JsonBody<Which>,
) -> Result<Json<Dropped>, LoomProblem> {
    let mut request = v1::DropDeadLettersRequest {
        filter: Some(filter(&group, which)?),
        ..v1::DropDeadLettersRequest::default()
    };
    let mut dropped = 0;
    loop {
        let page = streams.drop_letters(request.clone()).await;
        let page = page.map_err(|status| problem(&status))?;
        dropped += page.letter_ids.len();
        (request.from, request.until) = (page.from, page.until);
        if page.from >= page.until {
            return Ok(Json(Dropped { dropped }));
        }
    }
}

fn filter(name: &str, which: Which) -> Result<v1::DeadLetterFilter, Problem> {
    let ids = match which.letter_ids {
        Some(ids) if ids.is_empty() => {
            return Err(Problem::bad_request(
                "letter_ids is empty: name some, or say null for all of the group",
            ));
        }
        Some(ids) => ids
            .iter()
            .map(|id| event_id(id))
            .collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    Ok(v1::DeadLetterFilter {
        ids,
        group: group(name),
        ..v1::DeadLetterFilter::default()
    })
}

fn group(name: &str) -> String {
    if name == ALL_GROUPS {
        String::new()
    } else {
        name.to_owned()
    }
}

fn event_id(text: &str) -> Result<bytes::Bytes, Problem> {
    let id: EventId = text
        .parse()
        .map_err(|error| Problem::bad_request(format!("letter id {text:?}: {error}")))?;
    Ok(id.0.to_vec().into())
}

fn trace_id(text: Option<&str>) -> Result<bytes::Bytes, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(bytes::Bytes::new());
    };
    match TraceId::from_hex(text) {
        Ok(id) if id.is_valid() => Ok(id.0.to_vec().into()),
        _ => Err(Problem::bad_request(format!(
            "trace_id: 32 lower-case hex digits, not all zero, got {text:?}"
        ))),
    }
}

fn cursor(text: Option<&str>) -> Result<u64, Problem> {
    match text.filter(|text| !text.is_empty()) {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| {
            Problem::bad_request(format!("cursor: it is of no earlier answer, got {text:?}"))
        }),
    }
}

fn problem(status: &Status) -> Problem {
    match status.code() {
        Code::InvalidArgument => Problem::bad_request(status.message()),
        Code::NotFound => Problem::not_found(status.message()),
        _ => Problem::unavailable(status.message()),
    }
}
