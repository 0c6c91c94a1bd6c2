//! Server-sent events: one way, readable with curl, and resumed by every browser.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use loom_trace::api::{LoomProblem, Problem, Query};
use serde_json::json;

use super::Params;
use super::data::{Gap, LiveFrame};
use super::frame::{Channel, Channels};
use super::hub::{Hub, Read, Reader};

/// What a browser waits before it comes again.
const RETRY: Duration = Duration::from_secs(2);
/// A comment now and then, so that what stands between does not take the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What happens, as server-sent events
///
/// Channels are `events`, `executions`, `agents`, `traces` and `stats`; all of them, unless told otherwise. It goes on after
/// the header `Last-Event-ID`.
#[utoipa::path(
    get,
    path = "/api/v1/stream",
    operation_id = "stream",
    tag = "server",
    params(Params),
    responses((status = 200, description = "Frames, without an end: the schema is that of each of them.", body = LiveFrame, content_type = "text/event-stream"), LoomProblem),
)]
pub(super) async fn stream(
    State(hub): State<Arc<Hub>>,
    Query(params): Query<Params>,
    headers: HeaderMap,
) -> Result<Response, LoomProblem> {
    let channels = match params.topics {
        Some(topics) => Channels::parse(&topics)
            .map_err(|error| Problem::bad_request(format!("topics: {error}")))?,
        None => Channel::ALL
            .into_iter()
            .fold(Channels::default(), Channels::with),
    };
    let header = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let last_id = header.or(params.last_event_id.as_deref());
    let reader = hub.read(last_id).await;
    let reader = reader.ok_or_else(|| Problem::unavailable("the server is about to end"))?;
    let events = stream::unfold(Stage::Begin(reader, channels), async |stage| {
        let (event, stage) = stage.next().await?;
        Some((Ok::<_, Infallible>(event), stage))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    let unbuffered = HeaderValue::from_static("no");
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), unbuffered);
    Ok(response)
}

/// How far a stream is.
enum Stage {
    Begin(Reader, Channels),
    Reading(Reader, Channels),
}

impl Stage {
    async fn next(self) -> Option<(Event, Self)> {
        match self {
            Self::Begin(reader, channels) => {
                let id = reader.hub().id(reader.seq);
                let event = Event::default().id(&id).retry(RETRY);
                let (name, data) = reader.opening();
                let event = event.event(name).data(data.to_string());
                Some((event, Self::Reading(reader, channels)))
            }
            Self::Reading(mut reader, channels) => loop {
                match reader.next().await? {
                    Read::Frame(frame) if channels.has(frame.channel) => {
                        let event = Event::default()
                            .id(reader.hub().id(frame.seq))
                            .event(frame.channel.name())
                            .data(&frame.data);
                        return Some((event, Self::Reading(reader, channels)));
                    }
                    Read::Frame(_) => {}
                    Read::Gap(dropped) => {
                        let event = Event::default()
                            .event("gap")
                            .data(json!(Gap { dropped }).to_string());
                        return Some((event, Self::Reading(reader, channels)));
                    }
                }
            },
        }
    }
}
