//! A browser shows the server's token once, and a cookie afterwards: it cannot send a header with every request.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use loom_trace::api::{JsonBody, LoomProblem, Problem};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::{Token, is_same};
use crate::shown::hex;

const COOKIE: &str = "loom_token";
/// No script can read it, and no page of another server makes a browser send it.
const ATTRIBUTES: &str = "Path=/; HttpOnly; SameSite=Strict";

/// `POST /api/v1/session` signs in, `DELETE` signs out.
pub(super) fn routes() -> OpenApiRouter<Option<Arc<Token>>> {
    OpenApiRouter::default().routes(routes!(sign_in, sign_out))
}

/// What a browser shows once.
#[derive(Deserialize, ToSchema)]
struct Credentials {
    /// The server's token.
    token: String,
}

/// Signs in
#[utoipa::path(
    post,
    path = "/api/v1/session",
    operation_id = "signIn",
    tag = "server",
    request_body = Credentials,
    responses((status = 204, description = "A cookie that opens all routes to a browser."), LoomProblem),
)]
async fn sign_in(
    State(token): State<Option<Arc<Token>>>,
    JsonBody(shown): JsonBody<Credentials>,
) -> Result<Response, LoomProblem> {
    let wanted = token.ok_or_else(|| Problem::not_found("this server wants no token"))?;
    if !wanted.matches(shown.token.as_bytes()) {
        return Err(Problem::unauthorized("that is not this server's token").into());
    }
    let cookie = format!("{COOKIE}={}; {ATTRIBUTES}", value(&wanted));
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Signs out
#[utoipa::path(
    delete,
    path = "/api/v1/session",
    operation_id = "signOut",
    tag = "server",
    responses((status = 204, description = "The cookie is gone.")),
)]
async fn sign_out() -> Response {
    let cookie = format!("{COOKIE}=; Max-Age=0; {ATTRIBUTES}");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}

/// In hex: a token may hold what would end a cookie.
fn value(token: &Token) -> String {
    hex(token.expose().as_bytes())
}

/// Whether a cookie shows the token.
pub(super) fn shows(headers: &HeaderMap, token: &Token) -> bool {
    let expected = value(token);
    let lines = headers.get_all(header::COOKIE).iter();
    let mut cookies = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    cookies.any(|cookie| {
        let value = cookie.trim_ascii().strip_prefix(COOKIE.as_bytes());
        let value = value.and_then(|rest| rest.strip_prefix(b"="));
        value.is_some_and(|shown| is_same(shown, expected.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_cookie_opens() {
        let token = Token::new("0123456789;=abcdef").expect("good");
        let with = |cookies: &[&str]| {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(header::COOKIE, cookie.parse().expect("a value"));
            }
            shows(&headers, &token)
        };
        let good = format!("{COOKIE}={}", value(&token));
        assert!(with(&[&good]));
        assert!(with(&["a=b", &format!("c=d; {good}")]));
        assert!(!with(&[]));
        assert!(!with(&[&good[..good.len() - 1]]));
        assert!(!with(&[&format!("x{good}")]));
        assert!(!with(&["loom_token=0123456789;=abcdef"]));
        assert!(!with(&["loom_token"]));
    }
}
