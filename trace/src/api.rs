//! The HTTP API: Jaeger's two families of routes for its UI, for Grafana and for scripts, Loom's own routes, a page for humans, probes.
//!
//! | route | answer |
//! | --- | --- |
//! | `GET /api/services` | names of services |
//! | `GET /api/services/{service}/operations` | names of a service's operations |
//! | `GET /api/operations?service=` | the same with their kinds |
//! | `GET /api/traces?service=&…` | traces that match |
//! | `GET /api/traces/{id}` | one trace |
//! | `GET /api/dependencies?endTs=&lookback=` | which service calls which |
//! | `GET /api/metrics/{latencies,calls,errors}?service=` | rate, errors and duration of services over time |
//! | `POST /api/transform` | OTLP/JSON as Jaeger's JSON |
//! | `GET /api/v3/services`, `/operations`, `/trace-summaries`, `/traces`, `/traces/{id}`, `/dependencies` | Jaeger's newer family: OTLP |
//! | `GET /api/v1/traces?service=&agent=&q=&…` | one line per trace that matches |
//! | `GET /api/v1/traces/{id}` | one trace without the bodies of its spans, in columns |
//! | `GET /api/v1/traces/{id}/spans/{span_id}` | one span with everything |
//! | `GET /api/v1/traces/{id}/find?q=` | spans of a trace that hold some words |
//! | `GET /api/v1/traces/{id}/critical-path` | what a trace's duration was spent on |
//! | `GET /api/v1/traces/{a}/compare/{b}` | what two traces have in common, and what one has alone |
//! | `GET /api/v1/traces/{id}/check` | what is wrong with a trace |
//! | `GET /api/v1/traces/{id}/waterfall?width=&color=` | one trace as text for a terminal |
//! | `GET /api/v1/observability/agents/{id}/metrics?time_range=&step=` | what an agent has cost, `workflows/{id}` the same |
//! | `GET /api/v1/events?topic=&sender=&…`, `/events/{id}` | events, and what became of one |
//! | `GET /api/v1/workflows`, `/workflows/{id}` | workflows, and the steps of one |
//! | `GET /api/v1/agents/{id}/metrics`, `/workflows/{id}/metrics` | the same as under `observability` |
//! | `GET /api/v1/metrics` | the same of everything |
//! | `GET /api/v1/topology?window=&workflow=` | agents, topics and what goes between them |
//! | `GET /api/v1/services`, `/suggest?field=&prefix=` | names to choose from |
//! | `GET /api/v1/openapi.json` | the description of all routes under `/api/v1` |
//! | `GET /livez`, `/readyz`, `/metrics` | probes; Prometheus, `OpenMetrics` |
//!
//! Routes under `/api/v1` answer errors as RFC 9457 says, the other ones under `/api` as Jaeger does in each of its families. What else stands on
//! the same listener comes in as an [`Extension`].

mod cursor;
mod description;
mod error;
mod extract;
mod host;
mod jaeger;
mod kept;
mod metrics;
mod observability;
mod page;
mod parameters;
mod params;
mod period;
mod v1;

use std::ops::Deref;
use std::sync::Arc;
use std::{fmt, mem};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::ApiConfig;
use crate::error::QueryError;
use crate::model::value::to_json;
use crate::published::PublishedEvent;
use crate::trace_store::TraceStore;

use error::Family as Shape;
pub use error::{LoomProblem, Problem};
pub use extract::{JsonBody, Path, Query};
pub use jaeger::rpc;
pub use kept::Kept;
pub use metrics::exposition::{Family, Kind, Labels};
pub use page::Page;
pub use parameters::{During, PageOf};
pub use period::Period;
pub use v1::topology::Presence;

/// What every handler gets.
#[derive(Debug, Clone)]
struct Api(Arc<Parts>);

/// The router clones its state several times a request.
const _: () = assert!(size_of::<Api>() == size_of::<usize>());

#[derive(Debug)]
struct Parts {
    store: TraceStore,
    config: ApiConfig,
    extension: Extension,
    measured: metrics::Measured,
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Api {
    fn new(store: TraceStore, config: ApiConfig, extension: Extension) -> Self {
        Self(Arc::new(Parts {
            measured: metrics::Measured::new(config.max_metric_labels),
            store,
            config,
            extension,
        }))
    }
}

/// What another room puts on the same listener, under the same guards.
#[derive(Default)]
pub struct Extension {
    /// Further routes; none of those above.
    pub routes: OpenApiRouter,
    /// Further metrics.
    pub metrics: Option<Arc<dyn Fn() -> Vec<Family> + Send + Sync>>,
    /// What answers where there is no route, beside those for programs: the pages for people.
    pub pages: Option<fn(&Method, &Uri, &HeaderMap) -> Response>,
    /// Ids of the agents that are connected; without it nobody knows.
    pub connected: Option<Arc<dyn Fn() -> Vec<String> + Send + Sync>>,
    /// What a stream still has of an event; without it nobody knows. Blocks for as long as the disk takes.
    pub kept: Option<Arc<FindKept>>,
}

/// Finds an event in its stream; `None` where it has none, or has it no longer.
pub type FindKept = dyn Fn(&PublishedEvent) -> Result<Option<Kept>, Problem> + Send + Sync;

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extension").finish_non_exhaustive()
    }
}

/// The router to serve on the HTTP listener.
pub fn router(store: TraceStore, config: ApiConfig) -> axum::Router {
    router_with(store, config, Extension::default())
}

/// The same, with what else stands on the listener.
pub fn router_with(store: TraceStore, config: ApiConfig, mut extension: Extension) -> axum::Router {
    let further = mem::take(&mut extension.routes);
    let hosts = host::Allowed::new(&config.allowed_hosts);
    let state = Api::new(store, config, extension);
    let (documented, description) = documented()
        .with_state(state.clone())
        .merge(further)
        .split_for_parts();
    let description = Bytes::from(to_json(&description::complete(description)));
    axum::Router::new()
        .merge(jaeger::routes())
        .route(
            "/api/v1/openapi.json",
            get(async move || json_text(description)),
        )
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::metrics))
        .fallback(not_found)
        .with_state(state)
        .merge(documented)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn(error::instance))
        .layer(middleware::map_response(secure))
        .layer(middleware::from_fn_with_state(hosts, host::check))
}

/// Loom's own routes, each with its description.
fn documented() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(v1::traces::list))
        .routes(routes!(v1::trace::trace))
        .routes(routes!(v1::trace::span))
        .routes(routes!(v1::trace::find))
        .routes(routes!(v1::trace::path))
        .routes(routes!(v1::compare::show))
        .routes(routes!(v1::check))
        .routes(routes!(v1::waterfall))
        .routes(routes!(v1::events::list))
        .routes(routes!(v1::events::show))
        .routes(routes!(v1::workflows::list))
        .routes(routes!(v1::workflows::show))
        .routes(routes!(v1::topology::topology))
        .routes(routes!(v1::names::services))
        .routes(routes!(v1::names::suggest))
        .routes(routes!(observability::agent))
        .routes(routes!(observability::observed_agent))
        .routes(routes!(observability::workflow))
        .routes(routes!(observability::observed_workflow))
        .routes(routes!(observability::all))
}

/// Jaeger's routes alone, for its UI under an address of its own: it asks below the address that it was loaded from. The guards
/// are those of whoever takes them in.
pub fn jaeger_router(store: TraceStore, config: ApiConfig) -> axum::Router {
    jaeger::routes().with_state(Api::new(store, config, Extension::default()))
}

async fn ready(State(api): State<Api>) -> Response {
    if api.store.is_ready() {
        "ok\n".into_response()
    } else {
        (
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "the indexer has ended\n",
        )
            .into_response()
    }
}

async fn not_found(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match (Shape::of(uri.path()), api.extension.pages) {
        (Shape::Plain, Some(pages)) => pages(&method, &uri, &headers),
        (family, _) => Problem::not_found("no such route").respond(family),
    }
}

async fn not_allowed(uri: Uri) -> Response {
    Problem::method_not_allowed().respond(Shape::of(uri.path()))
}

/// Builds a large answer on a blocking thread: tens of thousands of spans take longer than an async thread has.
async fn off_thread<T: Send + 'static>(
    build: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(build)
        .await
        .map_err(|_| Problem::from(QueryError::Cancelled))
}

/// An answer of JSON text.
fn json_text(body: impl Into<axum::body::Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

/// Headers of every answer: names of spans come from anywhere, and no browser shall guess that they are a script.
async fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Who says something else about its own pages knows why.
    let unless_said = [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
        ),
    ];
    for (name, value) in unless_said {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
