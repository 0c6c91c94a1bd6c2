//! The routes of dead letters: listed, published once more, dropped.

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use loom_bridge::Streams;
use loom_proto::{EventId, TraceId, v1};
use loom_trace::api::{LoomProblem, Problem};
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::letter;

/// Letters of one answer.
const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;
/// Names all groups: no group has this name.
const ALL_GROUPS: &str = "-";

/// `/api/v1/dead-letters` and what stands below it.
pub(super) fn routes(streams: Streams) -> Router {
    Router::new()
        .route("/api/v1/dead-letters", get(list))
        .route("/api/v1/dead-letters/{id}", get(show).delete(drop_letters))
        .route("/api/v1/dead-letters/{id}/redrive", post(redrive))
        .with_state(streams)
}

/// The conditions of a list.
#[derive(Debug, Default, Deserialize)]
struct Params {
    group: Option<String>,
    /// A pattern of the topic that the event had.
    topic: Option<String>,
    trace_id: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Which letters of a group are meant: all of them, where no ids are said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    letter_ids: Option<Vec<String>>,
}

async fn list(
    State(streams): State<Streams>,
    params: Result<Query<Params>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, LoomProblem> {
    let Query(params) = params.map_err(|error| Problem::bad_request(error.body_text()))?;
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
        items.extend(page.letters.iter().map(letter::as_json));
        request.before = page.before;
        request.limit = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(limit));
        if request.before == 0 || request.limit == 0 {
            break (request.before, page.open);
        }
    };
    let next = (next > 0).then(|| next.to_string());
    Ok(Json(json!({
        "items": items,
        "truncated": next.is_some(),
        "next_cursor": next,
        "open": open,
    })))
}

/// One letter with its payload, by its own id or that of its event.
async fn show(
    State(streams): State<Streams>,
    Path(id): Path<String>,
) -> Result<Json<Value>, LoomProblem> {
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
            return Ok(Json(letter::whole_json(found)));
        }
        request.before = page.before;
        if page.before == 0 {
            return Err(Problem::not_found("no open dead letter has this id").into());
        }
    }
}

async fn redrive(
    State(streams): State<Streams>,
    Path(group): Path<String>,
    which: Result<Json<Which>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Value>, LoomProblem> {
    let mut request = v1::RedriveDeadLettersRequest {
        filter: Some(filter(&group, which)?),
        ..v1::RedriveDeadLettersRequest::default()
    };
    let (mut redriven, mut failed) = (0_u64, Vec::new());
    loop {
        let page = streams.redrive_letters(request.clone()).await;
        let page = page.map_err(|status| problem(&status))?;
        for one in &page.redriven {
            match &one.error {
                None => redriven += 1,
                Some(error) => failed.push(json!({
                    "letter_id": letter::id(&one.letter_id),
                    "code": error.code().name(),
                    "detail": error.message,
                })),
            }
        }
        (request.from, request.until) = (page.from, page.until);
        if page.from >= page.until {
            // What could not be published stays open.
            return Ok(Json(json!({ "redriven": redriven, "failed": failed })));
        }
    }
}

async fn drop_letters(
    State(streams): State<Streams>,
    Path(group): Path<String>,
    which: Result<Json<Which>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Value>, LoomProblem> {
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
            return Ok(Json(json!({ "dropped": dropped })));
        }
    }
}

fn filter(
    name: &str,
    which: Result<Json<Which>, axum::extract::rejection::JsonRejection>,
) -> Result<v1::DeadLetterFilter, Problem> {
    let Json(which) = which.map_err(|error| Problem::bad_request(error.body_text()))?;
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
