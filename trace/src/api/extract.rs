//! Parts of a request, as axum reads them; what cannot be read is a [`Problem`] like any other.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;

use super::error::{LoomProblem, Problem};

/// The parameters of the path.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

/// The parameters of the query.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// The body.
#[derive(Debug, Clone, Copy)]
pub struct JsonBody<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    S: Send + Sync,
    axum::extract::Path<T>: FromRequestParts<S, Rejection = PathRejection>,
{
    type Rejection = LoomProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, LoomProblem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(read)) => Ok(Self(read)),
            Err(rejection) => Err(Problem::bad_request(rejection.body_text()).into()),
        }
    }
}

impl<T, S> FromRequestParts<S> for Query<T>
where
    S: Send + Sync,
    axum::extract::Query<T>: FromRequestParts<S, Rejection = QueryRejection>,
{
    type Rejection = LoomProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, LoomProblem> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(read)) => Ok(Self(read)),
            Err(rejection) => Err(Problem::bad_request(rejection.body_text()).into()),
        }
    }
}

impl<T, S> FromRequest<S> for JsonBody<T>
where
    S: Send + Sync,
    axum::Json<T>: FromRequest<S, Rejection = JsonRejection>,
{
    type Rejection = LoomProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, LoomProblem> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(read)) => Ok(Self(read)),
            Err(rejection) => Err(Problem::bad_request(rejection.body_text()).into()),
        }
    }
}
