//! Errors as each family of routes shows them.

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Json, body};
use serde::Serialize;
use serde_json::json;
use tonic::{Code, Status};
use utoipa::openapi::{Content, Ref, RefOr, Response as ResponseSchema, ResponseBuilder, Schema};
use utoipa::{IntoResponses, PartialSchema as _, ToSchema};

use crate::error::{FlushError, QueryError};
use crate::model::value::to_json;
use crate::verify::VerifyError;

/// RFC 9457.
const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request has no answer.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<Fault>,
}

/// One part of a request that is wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
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
        // Where Jaeger's UI is served it asks below its own address.
        let jaeger = path.strip_prefix("/jaeger");
        let path = jaeger.filter(|rest| rest.starts_with('/')).unwrap_or(path);
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

    /// The answer of a guard that stands before all routes, in the shape in which those at this path say errors. Whoever has no shape of
    /// its own is told in Loom's.
    pub fn respond_at(self, path: &str) -> Response {
        match Family::of(path) {
            Family::Plain => self.respond(Family::Loom),
            family => self.respond(family),
        }
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
                let body = ProblemDetails {
                    r#type: "about:blank",
                    title: status.canonical_reason(),
                    status: status.as_u16(),
                    code: self.code,
                    detail: self.detail,
                    instance: None,
                    errors: self.errors,
                };
                let mut response = (status, Json(&body)).into_response();
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
                response.extensions_mut().insert(body);
                response
            }
            Family::Plain => (status, format!("{}\n", self.detail)).into_response(),
        }
    }
}

/// Why a request has no answer, by RFC 9457.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct ProblemDetails {
    /// Always `about:blank`: the status and `code` say what it is.
    r#type: &'static str,
    /// The name of the status.
    title: Option<&'static str>,
    /// The status of the response.
    status: u16,
    /// What it is, for programs.
    code: &'static str,
    /// What it is, for people.
    detail: String,
    /// Path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    instance: Option<String>,
    /// What is wrong with the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Fault>,
}

/// Says in a problem which request had it.
pub(super) async fn instance(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<ProblemDetails>() {
        let problem = ProblemDetails {
            instance: Some(path),
            ..problem
        };
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = body::Body::from(to_json(&problem));
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

/// As Jaeger's services over gRPC say it.
impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let code = match problem.status {
            StatusCode::GATEWAY_TIMEOUT => Code::DeadlineExceeded,
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            _ => Code::Internal,
        };
        Self::new(code, problem.detail)
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

/// The schemas to which the responses of [`LoomProblem`] refer.
pub(super) fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = vec![(
        ProblemDetails::name().into_owned(),
        ProblemDetails::schema(),
    )];
    ProblemDetails::schemas(&mut schemas);
    schemas
}

impl IntoResponses for LoomProblem {
    fn responses() -> BTreeMap<String, RefOr<ResponseSchema>> {
        let problem = Content::new(Some(Ref::from_schema_name(ProblemDetails::name())));
        let response = |(status, what): (&str, &str)| {
            let response = ResponseBuilder::new()
                .description(what)
                .content(PROBLEM_JSON, problem.clone())
                .build();
            (status.to_owned(), response.into())
        };
        [
            (
                "400",
                "The request cannot be read: `errors` says what of it.",
            ),
            ("401", "The server wants its token."),
            ("403", "A page of another server asks."),
            ("404", "There is no such thing, yet or any more."),
            ("405", "The route has other methods."),
            ("421", "The API is not called by this name."),
            ("500", "The store failed; the server's log says why."),
            ("503", "The server is stopping."),
            ("504", "The query took too long: narrow it."),
        ]
        .into_iter()
        .map(response)
        .collect()
    }
}
