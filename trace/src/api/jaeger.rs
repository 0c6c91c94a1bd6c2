//! Jaeger's routes: API v3, and the legacy family.

mod envelope;
pub(super) mod find;
mod flag;
mod handlers;
mod id;
mod monitor;
pub mod rpc;
mod trace;
mod transform;
mod v3;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::routing::{get, post};

use super::Api;

/// The routes of both families.
pub(super) fn routes() -> Router<Api> {
    let legacy = Router::new()
        .route("/api/services", get(handlers::services))
        // A wildcard, because Grafana puts the service's name into the path as it is, slashes included.
        .route("/api/services/{*rest}", get(handlers::service_operations))
        .route("/api/operations", get(handlers::operations))
        .route("/api/traces", get(handlers::search))
        .route("/api/traces/{id}", get(handlers::trace))
        .route("/api/dependencies", get(handlers::dependencies))
        .route("/api/metrics/latencies", get(monitor::latencies))
        .route("/api/metrics/calls", get(monitor::calls))
        .route("/api/metrics/errors", get(monitor::errors))
        .route("/api/transform", post(transform::transform))
        .layer(DefaultBodyLimit::max(transform::MAX_BODY));
    legacy.merge(v3::routes())
}

/// Header that tells that an answer holds less than was asked for: none of Jaeger's shapes has a place for it.
const INCOMPLETE: &str = "loom-incomplete";

/// Headers of an answer, which may hold less than was asked for.
fn incomplete(is_incomplete: bool) -> HeaderMap {
    let name = HeaderName::from_static(INCOMPLETE);
    let header = (name, HeaderValue::from_static("true"));
    is_incomplete.then_some(header).into_iter().collect()
}
