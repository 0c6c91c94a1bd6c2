//! The dashboard: the committed build of `dashboard/`, inside of the binary. A debug build reads it from the checkout.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

use crate::shown::hex;

const INDEX: &str = "index.html";

#[derive(Embed)]
#[folder = "../dashboard/dist"]
struct Files;

/// A file of the dashboard. Whatever is no file is one of its pages, whose address the app itself reads.
pub(super) fn serve(method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return (
            StatusCode::METHOD_NOT_ALLOWED,
            [(header::ALLOW, "GET, HEAD")],
        )
            .into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let name = if is_page(path) { INDEX } else { path };
    match Files::get(name) {
        Some(file) => answer(name, file, headers),
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

/// Names of files have an ending, and stand in no folder but `assets`; ids in addresses may have dots too.
fn is_page(path: &str) -> bool {
    let is_file = path.starts_with("assets/") || (!path.contains('/') && path.contains('.'));
    !is_file
}

fn answer(name: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = tag(&file);
    let fixed = [
        // Names without a hash: asked for each time, and answered with 304 while it is the same.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, tag.clone()),
    ];
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','));
    if known.any(|one| one.trim().trim_start_matches("W/").as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, fixed).into_response();
    }
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind(name)));
    (fixed, [kind], Body::from(file.data.into_owned())).into_response()
}

fn tag(file: &EmbeddedFile) -> HeaderValue {
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, known: Option<&str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(known) = known {
            headers.insert(header::IF_NONE_MATCH, known.parse().expect("a value"));
        }
        serve(&Method::GET, &path.parse().expect("a path"), &headers)
    }

    #[test]
    fn every_file_has_a_kind_that_browsers_run() {
        for name in Files::iter() {
            assert_ne!(kind(&name), "application/octet-stream", "{name}");
        }
        assert!(Files::get(INDEX).is_some());
    }

    #[test]
    fn addresses_of_pages_get_the_app_and_files_themselves() {
        for path in [
            "/",
            "/traces",
            "/agents/a.b",
            "/traces/0af7...0b2c",
            "/events/x",
        ] {
            let response = get(path, None);
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(
                response.headers()[header::CONTENT_TYPE],
                kind(INDEX),
                "{path}"
            );
        }
        let script = get("/assets/index.js", None);
        assert_eq!(script.headers()[header::CONTENT_TYPE], kind("index.js"));
        for path in [
            "/assets/nothing.js",
            "/favicon.ico",
            "/assets/../Cargo.toml",
            "/assets",
        ] {
            let status = get(path, None).status();
            let expected = if path == "/assets" {
                StatusCode::OK
            } else {
                StatusCode::NOT_FOUND
            };
            assert_eq!(status, expected, "{path}");
        }
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let tag = get("/", None).headers()[header::ETAG].clone();
        let tag = tag.to_str().expect("text");
        assert_eq!(get("/", Some(tag)).status(), StatusCode::NOT_MODIFIED);
        let list = format!("\"x\", W/{tag}");
        assert_eq!(get("/", Some(&list)).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(get("/", Some("\"x\"")).status(), StatusCode::OK);
    }

    #[test]
    fn nothing_is_written_here() {
        let response = serve(&Method::POST, &Uri::from_static("/"), &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
