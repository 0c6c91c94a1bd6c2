//! Lists.

use serde::Serialize;
use utoipa::ToSchema;

/// A part of a list, or all of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// Where the next page begins; null where there is none.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// There may be more: the page is full, or too much had to be looked at.
    pub truncated: bool,
}

impl<T> Page<T> {
    /// A list that is always given as a whole.
    pub fn whole(items: Vec<T>) -> Self {
        Self {
            items,
            next_cursor: None,
            truncated: false,
        }
    }
}
