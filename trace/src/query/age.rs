//! How far back the store reaches.

use rusqlite::OptionalExtension;

use super::Query;
use crate::error::QueryError;

impl Query {
    /// When the oldest span arrived that is kept, ms since the Unix epoch; `None` of an empty store. Retention goes by this time: what a
    /// span says of itself may be wrong.
    pub async fn oldest_ms(&self) -> Result<Option<u64>, QueryError> {
        self.read(|conn| {
            let oldest: Option<i64> = conn
                .prepare_cached("SELECT received_ms FROM span_rows ORDER BY id LIMIT 1")?
                .query_row([], |row| row.get(0))
                .optional()?;
            Ok(oldest.map(i64::unsigned_abs))
        })
        .await
    }
}
