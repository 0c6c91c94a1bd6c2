//! Errors as each family of routes shows them.

use axum::extract::Request;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, body};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{FlushError, QueryError};
use crate::verify::VerifyError;

/// Why a request has no answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<Fault>,
}

/// One part of a request that is wrong.
#[derive(Debug, Serialize)]
struct Fault {
    /// JSON pointer into the request: `/query/limit`, `/path/id`.
    pointer: String,
    detail: String,
}

/// Who asks, and so in what shape the error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `/api/v1`: problem details of RFC 9457.
    Loom,
    /// The rest of `/api`: Jaeger's envelope.
    Jaeger,
    /// `/api/v3`: Jaeger's newer routes, with the errors of gRPC's gateway.
    V3,
    /// Everything else: a line of text.
    Plain,
}

impl Family {
    pub(super) fn of(path: &str) -> Self {
        let below = |prefix: &str| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if below("/api/v1") {
            Self::Loom
        } else if below("/api/v3") {
            Self::V3
        } else if below("/api") {
            Self::Jaeger
        } else {
            Self::Plain
        }
    }
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// A parameter of the query cannot be read: 400.
    pub fn parameter(name: &str, why: impl Into<String>) -> Self {
        Self::fault("query", name, why.into())
    }

    /// A part of the path cannot be read: 400.
    pub fn path(name: &str, why: impl Into<String>) -> Self {
        Self::fault("path", name, why.into())
    }

    /// A cursor of a list with other conditions: 400.
    pub fn cursor_mismatch() -> Self {
        let why = "it is of a list with other conditions, begin without it";
        Self {
            code: "cursor_mismatch",
            ..Self::parameter("cursor", why)
        }
    }

    fn fault(place: &str, name: &str, why: String) -> Self {
        let mut problem = Self::bad_request(format!("{name}: {why}"));
        problem.errors.push(Fault {
            pointer: format!("/{place}/{name}"),
            detail: why,
        });
        problem
    }

    /// The request is wrong: 400.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// There is no such thing: 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// There is such a thing, but not by this method: 405.
    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "no such method here, `allow` names those that are",
        )
    }

    /// It cannot be answered now: 503.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// Whoever asks must say who it is: 401.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// Whoever asks may not: 403.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(super) fn misdirected(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", detail)
    }

    pub(super) fn respond(self, family: Family) -> Response {
        let status = self.status;
        match family {
            Family::Jaeger => {
                let body = json!({
                    "data": null, "total": 0, "limit": 0, "offset": 0,
                    "errors": [{ "code": status.as_u16(), "msg": self.detail }],
                });
                (status, Json(body)).into_response()
            }
            Family::V3 => {
                let body = json!({
                    "error": { "httpCode": status.as_u16(), "message": self.detail },
                });
                (status, Json(body)).into_response()
            }
            Family::Loom => {
                let mut body = json!({
                    "type": "about:blank",
                    "title": status.canonical_reason(),
                    "status": status.as_u16(),
                    "code": self.code,
                    "detail": self.detail,
                });
                if !self.errors.is_empty() {
                    body["errors"] = json!(self.errors);
                }
                let mut response = (status, Json(&body)).into_response();
                response.headers_mut().insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/problem+json"),
                );
                response.extensions_mut().insert(ProblemBody(body));
                response
            }
            Family::Plain => (status, format!("{}\n", self.detail)).into_response(),
        }
    }
}

/// The body of a problem, for [`instance`].
#[derive(Debug, Clone)]
struct ProblemBody(Value);

/// Says in a problem which request had it.
pub(super) async fn instance(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if let Some(ProblemBody(mut problem)) = response.extensions_mut().remove() {
        problem["instance"] = path.into();
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = body::Body::from(problem.to_string());
    }
    response
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            status @ StatusCode::PAYLOAD_TOO_LARGE => Self::new(
                status,
                "too_large",
                "the body is larger than this route takes",
            ),
            _ => Self::bad_request(rejection.body_text()),
        }
    }
}

impl From<FlushError> for Problem {
    fn from(error: FlushError) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Query(error) => error.into(),
            VerifyError::Books(_) => {
                // As below.
                tracing::error!(%error, "traces cannot be verified");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "a stream cannot be read, see the server's log",
                )
            }
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Timeout(_) => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", error.to_string())
            }
            QueryError::Cancelled => Self::unavailable(error.to_string()),
            QueryError::Store(error) => {
                // Paths and SQL are for the log, not for whoever asks.
                tracing::error!(%error, "query failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "the trace store failed, see the server's log",
                )
            }
        }
    }
}

/// A handler's error in Jaeger's shape.
#[derive(Debug)]
pub(super) struct JaegerProblem(pub(super) Problem);

/// A handler's error in the shape of Jaeger's API v3.
#[derive(Debug)]
pub(super) struct V3Problem(pub(super) Problem);

/// A handler's error in the shape of the routes under `/api/v1`: problem details of RFC 9457.
#[derive(Debug)]
pub struct LoomProblem(pub(super) Problem);

macro_rules! family {
    ($($name:ident => $family:ident,)*) => {$(
        impl<E: Into<Problem>> From<E> for $name {
            fn from(error: E) -> Self {
                Self(error.into())
            }
        }

        impl IntoResponse for $name {
            fn into_response(self) -> Response {
                self.0.respond(Family::$family)
            }
        }
    )*};
}

family! {
    JaegerProblem => Jaeger,
    LoomProblem => Loom,
    V3Problem => V3,
}
