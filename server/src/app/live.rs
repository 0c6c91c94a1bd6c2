//! What happens now, told to whoever watches: over server-sent events, and over a WebSocket with the same frames.
//!
//! | file | room |
//! | --- | --- |
//! | `frame` | what a frame is, and the channels |
//! | `data` | what frames say |
//! | `hub` | numbers the frames, keeps the last ones, and hands them to each reader |
//! | `producer` | looks at the server a few times a second, while anybody watches, and makes frames of what is new |
//! | `sse`, `socket` | the two doors |
//!
//! Data goes one way: `producer` → `hub` → doors. A reader that is too slow loses the oldest frames and is told how many.

mod data;
mod frame;
mod hub;
mod producer;
mod socket;
mod sse;

use std::sync::Arc;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Parts;
use hub::Hub;

/// The parameters of both doors.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Params {
    /// Names of channels with commas between them.
    topics: Option<String>,
    /// The frame that was read last; a browser says it in a header.
    last_event_id: Option<String>,
}

/// The routes, and what feeds them until `end`.
pub(super) fn open(
    parts: Parts,
    end: CancellationToken,
) -> (OpenApiRouter, impl Future<Output = ()> + Send + 'static) {
    let hub = Arc::new(Hub::new(end.clone()));
    let routes = routes().with_state(Arc::clone(&hub));
    (routes, producer::run(parts, hub, end))
}

fn routes() -> OpenApiRouter<Arc<Hub>> {
    OpenApiRouter::default()
        .routes(routes!(sse::stream))
        .routes(routes!(socket::socket))
}
