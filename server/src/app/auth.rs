//! The token at the receivers and the API. The bridge asks for it by itself.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tonic::Status;

use crate::config::Token;

const HINT: &str = "this server wants a token: send `authorization: Bearer <token>`";

/// Lets requests with the token pass, and probes.
pub(super) async fn http(
    State(token): State<Arc<Token>>,
    request: Request,
    next: Next,
) -> Response {
    let is_probe = matches!(request.uri().path(), "/livez" | "/readyz");
    if is_probe || shows(request.headers(), &token) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, HINT).into_response()
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
