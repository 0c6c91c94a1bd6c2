//! Names to choose from.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;

use super::super::Api;
use super::super::error::{LoomProblem, Problem};
use super::super::params::Params;
use crate::query::{Service, Suggest};

/// A list that is always whole.
#[derive(Debug, Serialize)]
pub(in super::super) struct Whole<T> {
    /// All of them.
    items: Vec<T>,
    /// Always null.
    next_cursor: Option<String>,
    /// Always false.
    truncated: bool,
}

impl<T> Whole<T> {
    pub(super) fn new(items: Vec<T>) -> Self {
        Self {
            items,
            next_cursor: None,
            truncated: false,
        }
    }
}

/// Names that begin with some letters.
#[derive(Debug, Serialize)]
pub(in super::super) struct Values {
    /// 20 at most, sorted.
    values: Vec<String>,
}

/// All services.
pub(in super::super) async fn services(
    State(api): State<Api>,
) -> Result<Json<Whole<Service>>, LoomProblem> {
    Ok(Json(Whole::new(api.store.query().service_list().await?)))
}

/// `field=agent|service|operation|topic|workflow`, `prefix=`: what names there are.
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
