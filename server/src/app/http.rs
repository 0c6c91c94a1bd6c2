//! The routes that only the whole server can answer.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use loom_core::Stream;
use serde_json::{Value, json};

use super::{Addresses, Parts, agents, executions, letters, verification};

/// What the handlers get.
#[derive(Clone)]
struct Server {
    parts: Parts,
    addresses: Addresses,
}

/// `/api/v1/info`, `/api/v1/verify`, and those of [`agents`], [`executions`] and [`letters`].
pub(super) fn routes(parts: Parts, addresses: Addresses) -> Router {
    Router::new()
        .route("/api/v1/info", get(info))
        .with_state(Server {
            parts: parts.clone(),
            addresses,
        })
        .merge(agents::routes(parts.clone()))
        .merge(executions::routes(parts.clone()))
        .merge(letters::routes(parts.streams.clone()))
        .merge(
            Router::new()
                .route("/api/v1/verify", get(verification::route))
                .with_state(parts),
        )
}

async fn info(State(server): State<Server>) -> Json<Value> {
    let spans = server.parts.pipeline.stats();
    Json(json!({
        "name": "loom",
        "version": env!("CARGO_PKG_VERSION"),
        "addresses": server.addresses,
        "time_unix_nano": loom_telemetry::ids::now_unix_nano().to_string(),
        "started_at": humantime::format_rfc3339_millis(server.parts.started).to_string(),
        "agents_connected": server.parts.directory.len(),
        "streams": server.parts.bus.streams().iter().map(|one| stream(one)).collect::<Vec<_>>(),
        "span_sinks": spans.sinks.iter().map(|sink| sink.name).collect::<Vec<_>>(),
    }))
}

fn stream(stream: &Stream) -> Value {
    let journal = stream.journal();
    json!({
        "name": stream.name(),
        "topics": stream.topics(),
        // "memory" says that its events end with this server.
        "storage": journal.storage(),
        "begin": journal.begin(),
        "end": journal.end(),
    })
}
