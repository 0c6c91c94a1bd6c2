//! Events that were published, and what became of one.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::cursor::Cursors;
use super::super::error::{LoomProblem, Problem};
use super::super::extract::Path;
use super::super::kept::Kept;
use super::super::page::Page;
use super::super::parameters::{During, PageOf};
use super::super::params::Params;
use super::super::period::Period;
use super::super::{Api, off_thread};
use crate::indexer::now_ms;
use crate::published::PublishedEvent;
use crate::query::events::{EventSearch, EventStory};

/// How far back is looked, unless told otherwise.
const DEFAULT_PERIOD: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// Events, one for each publish, the newest first
#[utoipa::path(
    get,
    path = "/api/v1/events",
    operation_id = "listEvents",
    tag = "events",
    params(
        ("topic" = Option<String>, Query, description = "The topic."),
        ("sender" = Option<String>, Query, description = "The agent that published it."),
        ("event_id" = Option<String>, Query, description = "The event's id."),
        ("workflow" = Option<String>, Query, description = "The workflow that it belongs to."),
        During,
        PageOf,
    ),
    responses((status = 200, description = "The events.", body = Page<PublishedEvent>), LoomProblem),
)]
pub(in super::super) async fn list(
    State(api): State<Api>,
    uri: Uri,
) -> Result<Json<Page<PublishedEvent>>, LoomProblem> {
    let params = Params::of(&uri)?;
    let cursors = Cursors::of("events", &params);
    let period = Period::of(&params, DEFAULT_PERIOD, now_ms() * 1_000_000)?;
    let search = EventSearch {
        topic: params.text("topic"),
        sender: params.text("sender"),
        event_id: params.text("event_id"),
        workflow: params.text("workflow"),
        from_ns: period.from_ns,
        to_ns: period.to_ns,
        after: cursors.read(&params)?,
        limit: params.limit(DEFAULT_LIMIT, MAX_LIMIT)?,
    };
    let found = api.store.query().events(search).await?;
    Ok(Json(Page {
        items: found.items,
        truncated: found.next.is_some(),
        next_cursor: found.next.map(|place| cursors.write(&place)),
    }))
}

/// An event, what became of it, and what is left of it.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct OneEvent {
    #[serde(flatten)]
    story: EventStory,
    /// null where its topic belongs to no stream, or the stream does not have it any more.
    kept: Option<Kept>,
}

/// One event, and what became of it
#[utoipa::path(
    get,
    path = "/api/v1/events/{id}",
    operation_id = "getEvent",
    tag = "events",
    params(("id" = String, Path, description = "The event's id.")),
    responses((status = 200, description = "The event.", body = OneEvent), LoomProblem),
)]
pub(in super::super) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<OneEvent>, LoomProblem> {
    let found = api.store.query().event(id).await?;
    let story = found.ok_or_else(|| Problem::not_found("no publish of this event is stored"))?;
    let kept = match api.extension.kept.clone() {
        Some(find) => {
            let event = story.event.clone();
            off_thread(move || find(&event)).await??
        }
        None => None,
    };
    Ok(Json(OneEvent { story, kept }))
}
