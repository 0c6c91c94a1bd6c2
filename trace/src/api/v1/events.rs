//! Events that were published, and what became of one.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Serialize;

use super::super::cursor::Cursors;
use super::super::error::{LoomProblem, Problem};
use super::super::kept::Kept;
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

/// A page of events.
#[derive(Debug, Serialize)]
pub(in super::super) struct Events {
    /// One for each publish, the newest first.
    items: Vec<PublishedEvent>,
    /// Where the next page begins; null where there is none.
    next_cursor: Option<String>,
    /// There may be more: the page is full, or too much had to be looked at.
    truncated: bool,
}

/// `topic=`, `sender=`, `event_id=`, `workflow=`, a time, `limit=` and `cursor=`.
pub(in super::super) async fn list(
    State(api): State<Api>,
    uri: Uri,
) -> Result<Json<Events>, LoomProblem> {
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
    Ok(Json(Events {
        items: found.items,
        truncated: found.next.is_some(),
        next_cursor: found.next.map(|place| cursors.write(&place)),
    }))
}

/// An event, what became of it, and what is left of it.
#[derive(Debug, Serialize)]
pub(in super::super) struct OneEvent {
    #[serde(flatten)]
    story: EventStory,
    /// null where its topic belongs to no stream, or the stream does not have it any more.
    kept: Option<Kept>,
}

/// One event and its deliveries.
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
