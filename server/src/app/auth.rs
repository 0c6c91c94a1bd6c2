//! The token at the receivers and the API. The bridge asks for it by itself.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use loom_trace::api::Problem;
use tonic::Status;

use super::session;
use crate::config::Token;

const HINT: &str = "this server wants a token: send `authorization: Bearer <token>`";

/// Lets requests with the token pass, and probes.
pub(super) async fn http(
    State(token): State<Arc<Token>>,
    request: Request,
    next: Next,
) -> Response {
    if is_for_all(request.uri().path())
        || shows(request.headers(), &token)
        || session::shows(request.headers(), &token)
    {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    let problem = Problem::unauthorized(HINT).respond_at(request.uri().path());
    (challenge, problem).into_response()
}

/// Probes, the door at which the token is shown, and the dashboard's own files, which hold nothing of anybody.
fn is_for_all(path: &str) -> bool {
    let below = |top: &str| {
        path.strip_prefix(top)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let tops = ["/api", "/jaeger/api", "/metrics", "/v1"];
    let is_data = tops.into_iter().any(below);
    !is_data || path == "/api/v1/session"
}

/// The same for gRPC: the answer is a status.
pub(super) async fn grpc(
    State(token): State<Arc<Token>>,
    request: Request,
    next: Next,
) -> Response {
    if shows(request.headers(), &token) {
        return next.run(request).await;
    }
    Status::unauthenticated(HINT).into_http()
}

fn shows(headers: &HeaderMap, token: &Token) -> bool {
    let shown = headers
        .get(header::AUTHORIZATION)
        .map(HeaderValue::as_bytes);
    shown
        .and_then(|value| value.strip_prefix(b"Bearer "))
        .is_some_and(|shown| token.matches(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_anybodys_data_wants_the_token() {
        for path in [
            "/",
            "/traces/1",
            "/livez",
            "/assets/index.js",
            "/jaeger/static/app.js",
            "/api/v1/session",
            "/apix",
        ] {
            assert!(is_for_all(path), "{path}");
        }
        for path in [
            "/api",
            "/api/services",
            "/api/v1/session/",
            "/jaeger/api/services",
            "/api/v1/stream",
            "/metrics",
            "/v1/traces",
        ] {
            assert!(!is_for_all(path), "{path}");
        }
    }

    #[test]
    fn only_the_whole_token_opens() {
        let token = Token::new("0123456789abcdef").expect("good");
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a value"));
            shows(&headers, &token)
        };
        assert!(with("Bearer 0123456789abcdef"));
        assert!(!with("0123456789abcdef"));
        assert!(!with("Bearer 0123456789abcde"));
        assert!(!with("Basic 0123456789abcdef"));
        assert!(!shows(&HeaderMap::new(), &token));
    }
}
