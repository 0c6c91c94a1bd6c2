//! Names to choose from.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::Api;
use super::super::error::{LoomProblem, Problem};
use super::super::page::Page;
use super::super::params::Params;
use crate::query::{Service, Suggest};

/// Names that begin with some letters.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Values {
    /// 20 at most, sorted.
    values: Vec<String>,
}

/// All services
#[utoipa::path(
    get,
    path = "/api/v1/services",
    operation_id = "listServices",
    tag = "names",
    responses((status = 200, description = "By name.", body = Page<Service>), LoomProblem),
)]
pub(in super::super) async fn services(
    State(api): State<Api>,
) -> Result<Json<Page<Service>>, LoomProblem> {
    Ok(Json(Page::whole(api.store.query().service_list().await?)))
}

/// Names that begin with some letters
#[utoipa::path(
    get,
    path = "/api/v1/suggest",
    operation_id = "suggestNames",
    tag = "names",
    params(
        ("field" = inline(Suggest), Query, description = "What is named."),
        ("prefix" = Option<String>, Query, description = "How the name begins."),
    ),
    responses((status = 200, description = "The names.", body = Values), LoomProblem),
)]
pub(in super::super) async fn suggest(
    State(api): State<Api>,
    uri: Uri,
) -> Result<Json<Values>, LoomProblem> {
    let params = Params::of(&uri)?;
    let field: Option<Suggest> = params.parse("field", str::parse)?;
    let field = field.ok_or_else(|| Problem::parameter("field", "is required"))?;
    let prefix = params.text("prefix").unwrap_or_default();
    let values = api.store.query().suggest(field, prefix).await?;
    Ok(Json(Values { values }))
}
