//! The routes that only the whole server can answer.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use loom_core::Stream;
use loom_core::journal::Storage;
use loom_telemetry::ids::now_unix_nano;
use loom_trace::CounterValues;
use loom_trace::api::LoomProblem;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::about::{About, Capabilities, Links, StoreOf};
use super::{Addresses, Parts, agents, books, executions, letters, verification};
use crate::accounts::Books;

/// What the handlers get.
#[derive(Clone)]
struct Server {
    parts: Parts,
    addresses: Addresses,
    about: About,
}

/// `/api/v1/info`, `/api/v1/stats`, `/api/v1/verify`, and those of [`agents`], [`executions`] and [`letters`].
pub(super) fn routes(parts: Parts, addresses: Addresses, about: About) -> OpenApiRouter {
    let streams = parts.streams.clone();
    OpenApiRouter::default()
        .routes(routes!(info))
        .with_state(Server {
            parts: parts.clone(),
            addresses,
            about,
        })
        .merge(of_parts().with_state(parts))
        .merge(letters::routes().with_state(streams))
}

fn of_parts() -> OpenApiRouter<Parts> {
    agents::routes()
        .merge(executions::routes())
        .routes(routes!(stats))
        .routes(routes!(verification::route))
}

/// What this server is.
#[derive(Debug, Serialize, ToSchema)]
struct Info {
    /// Always `loom`.
    name: &'static str,
    /// Its version.
    version: &'static str,
    /// Where it listens.
    addresses: Addresses,
    /// Its clock: ns since the Unix epoch, as text because a browser would round it.
    time_unix_nano: String,
    /// RFC 3339, UTC.
    started_at: String,
    /// How many.
    agents_connected: usize,
    /// Its streams.
    streams: Vec<StreamOf>,
    /// Where its spans go.
    span_sinks: Vec<&'static str>,
    /// Where a trace can be seen in other tools.
    links: Links,
    /// What it can do.
    capabilities: Capabilities,
    /// What its trace store holds.
    store: StoreOf,
}

/// A stream, and what it holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stream)]
struct StreamOf {
    /// Its name.
    name: String,
    /// Patterns of the topics that it keeps.
    topics: Vec<String>,
    /// Where its events are.
    storage: StorageOf,
    /// Offset of the first event that is there.
    begin: u64,
    /// Offset of the next event.
    end: u64,
}

/// Where the events of a stream are.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Storage)]
enum StorageOf {
    /// In files.
    Disk,
    /// In memory: they end with this server.
    Memory,
}

impl From<Storage> for StorageOf {
    fn from(storage: Storage) -> Self {
        match storage {
            Storage::Disk => Self::Disk,
            Storage::Memory => Self::Memory,
        }
    }
}

impl StreamOf {
    fn of(stream: &Stream) -> Self {
        let journal = stream.journal();
        Self {
            name: stream.name().to_owned(),
            topics: stream.topics().to_vec(),
            storage: journal.storage().into(),
            begin: journal.begin(),
            end: journal.end(),
        }
    }
}

/// What this server is
#[utoipa::path(
    get,
    path = "/api/v1/info",
    operation_id = "getInfo",
    tag = "server",
    responses((status = 200, description = "What it is.", body = Info), LoomProblem),
)]
async fn info(State(server): State<Server>, headers: HeaderMap) -> Result<Json<Info>, LoomProblem> {
    let spans = server.parts.pipeline.stats();
    Ok(Json(Info {
        name: "loom",
        version: env!("CARGO_PKG_VERSION"),
        addresses: server.addresses,
        time_unix_nano: now_unix_nano().to_string(),
        started_at: humantime::format_rfc3339_millis(server.parts.started).to_string(),
        agents_connected: server.parts.directory.len(),
        streams: server
            .parts
            .bus
            .streams()
            .iter()
            .map(|one| StreamOf::of(one))
            .collect(),
        span_sinks: spans.sinks.iter().map(|sink| sink.name).collect(),
        links: server.about.links(&headers),
        capabilities: Capabilities { redrive: true },
        store: server.about.store(&server.parts.store).await?,
    }))
}

/// What the server has counted, and the store.
#[derive(Debug, Serialize, ToSchema)]
struct Stats {
    #[serde(flatten)]
    store: CounterValues,
    /// Bytes of the store on disk.
    store_bytes: u64,
    #[serde(flatten)]
    books: Books,
}

/// What was counted since the start
#[utoipa::path(
    get,
    path = "/api/v1/stats",
    operation_id = "getStats",
    tag = "server",
    responses((status = 200, description = "The counters.", body = Stats), LoomProblem),
)]
async fn stats(State(parts): State<Parts>) -> Json<Stats> {
    Json(Stats {
        store: parts.store.counters(),
        store_bytes: parts.store.disk_bytes(),
        books: books::books(&parts),
    })
}
