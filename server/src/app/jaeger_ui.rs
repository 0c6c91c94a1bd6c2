//! Jaeger's own UI under `/jaeger/`: a bundle that Jaeger has published, from a directory, on Loom's store.
//!
//! Which files there are is found out once, at the start, and nothing else is ever opened: no path of a request reaches the file
//! system. Its routes of the API are below `/jaeger/api`, because the UI asks below the address that it was loaded from.

mod bundle;
mod index;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use loom_trace::TraceStore;
use loom_trace::api::jaeger_router;

pub(super) use bundle::Bundle;
pub use bundle::BundleError;

/// The UI has scripts and styles in its page, makes pictures and workers of data, and compiles its layout of graphs.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; base-uri 'self'; form-action 'self'; \
     frame-ancestors 'none'",
);

/// The routes below `/jaeger`.
pub(super) fn routes(bundle: Bundle, store: TraceStore, api: loom_trace::ApiConfig) -> Router {
    Router::new()
        .route("/jaeger", get(async |uri: Uri| redirect(&uri)))
        .route("/jaeger/", get(page))
        .route("/jaeger/{*path}", get(file))
        .with_state(Arc::new(bundle))
        .nest("/jaeger", jaeger_router(store, api))
}

/// The UI finds its files beside its address.
fn redirect(uri: &Uri) -> Redirect {
    match uri.query() {
        Some(query) => Redirect::permanent(&format!("/jaeger/?{query}")),
        None => Redirect::permanent("/jaeger/"),
    }
}

async fn page(State(bundle): State<Arc<Bundle>>) -> Response {
    answer(
        "index.html",
        bundle.index().to_vec(),
        HeaderValue::from_static("no-cache"),
    )
}

/// A file of the bundle. Whatever is none is a page, whose address the UI itself reads.
async fn file(State(bundle): State<Arc<Bundle>>, Path(path): Path<String>) -> Response {
    match bundle.read(&path).await {
        Some(Ok(bytes)) => {
            // The bundle's names change with what is in its files.
            let is_named_by_content = path.starts_with("static/");
            let cache = if is_named_by_content {
                "public, max-age=31536000, immutable"
            } else {
                "no-cache"
            };
            answer(&path, bytes, HeaderValue::from_static(cache))
        }
        Some(Err(error)) => {
            tracing::warn!(%error, "a file of Jaeger's UI cannot be read");
            (StatusCode::NOT_FOUND, "there is no such file\n").into_response()
        }
        None if path == "index.html" || is_page(&path) => page(State(bundle)).await,
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

/// Files stand in `static`, or have an ending; neither is the API a page.
fn is_page(path: &str) -> bool {
    let below = |top: &str| {
        path.strip_prefix(top)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let last = path.rsplit('/').next().unwrap_or_default();
    // Two traces are compared at `trace/{id}...{id}`.
    let is_file = last.contains('.') && !last.contains("...");
    let climbs = path.split('/').any(|part| part == "." || part == "..");
    !below("static") && !below("api") && path != "api" && !is_file && !climbs
}

fn answer(name: &str, bytes: Vec<u8>, cache: HeaderValue) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(name)));
    headers.insert(header::CACHE_CONTROL, cache);
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    (headers, bytes).into_response()
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("wasm") => "application/wasm",
        Some("woff2") => "font/woff2",
        Some("woff") => "font/woff",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
#[path = "jaeger_ui/jaeger_ui_tests.rs"]
mod tests;
