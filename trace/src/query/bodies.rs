//! Whole spans by their number, read one by one where they are meant.

use rusqlite::Connection;

use crate::error::StoreError;
use crate::model::Span;
use crate::store::row::SpanReader;

/// Reads whole spans by their number.
pub(super) struct Bodies<'a> {
    pub(super) conn: &'a Connection,
    reader: SpanReader<'a>,
    /// How many were asked for.
    pub(super) read: usize,
}

impl<'a> Bodies<'a> {
    pub(super) fn new(conn: &'a Connection) -> Self {
        Self {
            conn,
            reader: SpanReader::new(conn),
            read: 0,
        }
    }

    pub(super) fn span(&mut self, id: i64) -> Result<Option<Span>, StoreError> {
        self.read += 1;
        self.reader.find("id = ?1", [id])
    }
}
