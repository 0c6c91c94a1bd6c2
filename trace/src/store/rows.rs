//! Rows on their way into the table of spans.

use std::mem;

use rusqlite::{CachedStatement, Connection};

use super::row::{self, COLUMNS, SpanReader, Stored, WIDTH};
use crate::error::StoreError;
use crate::model::Span;

/// Rows that one statement inserts: it opens the table and its indexes once for all of them, which costs a single row as much
/// as to be inserted.
const ROWS: usize = 32;

/// Inserts rows in one transaction, several at once where it is known that none is there yet.
pub(super) struct Rows<'w> {
    conn: &'w Connection,
    /// Held for the whole transaction: finding it anew for each row is a tenth of a span's cost.
    one: CachedStatement<'w>,
    many: CachedStatement<'w>,
    /// Of the rows that are there. Rows that come have larger ids, though not always the one after it: none is given twice.
    largest_id: i64,
    /// Rows to be inserted together. Their ids follow each other.
    waiting: Vec<Stored>,
    reader: SpanReader<'w>,
}

impl<'w> Rows<'w> {
    pub(super) fn new(conn: &'w Connection) -> Result<Self, StoreError> {
        let largest = "SELECT coalesce(max(id), 0) FROM span_rows";
        Ok(Self {
            conn,
            one: conn.prepare_cached(&insert_one())?,
            many: conn.prepare_cached(&insert_many(ROWS))?,
            largest_id: conn
                .prepare_cached(largest)?
                .query_row([], |row| row.get(0))?,
            waiting: Vec::with_capacity(ROWS),
            reader: SpanReader::new(conn),
        })
    }

    /// Inserts a row whose place is free, with those that follow it or at the latest by [`Self::flush`].
    pub(super) fn add(&mut self, row: Stored) -> Result<(), StoreError> {
        self.waiting.push(row);
        if self.waiting.len() < ROWS {
            return Ok(());
        }
        self.flush()
    }

    /// Inserts a row, and before it those that wait; false when its place is taken.
    pub(super) fn insert(&mut self, row: &Stored) -> Result<bool, StoreError> {
        self.flush()?;
        self.insert_one(row)
    }

    /// Inserts the rows that wait.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        match &*self.waiting {
            [first, .., last] if self.waiting.len() == ROWS && first.id == self.largest_id + 1 => {
                for (number, row) in self.waiting.iter().enumerate() {
                    row.bind(&mut self.many, number)?;
                }
                self.many.raw_execute()?;
                self.largest_id = last.id;
                debug_assert_eq!(self.conn.last_insert_rowid(), self.largest_id);
                self.waiting.clear();
            }
            _ => {
                let mut waiting = mem::take(&mut self.waiting);
                for row in waiting.drain(..) {
                    self.insert_one(&row)?;
                }
                self.waiting = waiting;
            }
        }
        Ok(())
    }

    fn insert_one(&mut self, row: &Stored) -> Result<bool, StoreError> {
        let bound = row.bind(&mut self.one, 0)?;
        self.one.raw_bind_parameter(bound + 1, row.id)?;
        let is_inserted = self.one.raw_execute()? > 0;
        if is_inserted {
            self.largest_id = row.id;
        }
        Ok(is_inserted)
    }

    /// The span that is where this row would be.
    pub(super) fn in_place_of(&mut self, row: &Stored) -> Result<Span, StoreError> {
        let there = self.reader.find(row::BY_PLACE, row.place())?;
        Ok(there.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
    }

    /// Removes the span that is where this row would be.
    pub(super) fn remove(&mut self, row: &Stored) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(&format!("DELETE FROM span_rows WHERE {}", row::BY_PLACE))?
            .execute(row.place())?;
        Ok(())
    }
}

/// Inserts a row unless its place is taken. Parameters: those that [`Stored::bind`] sets, then the id.
fn insert_one() -> String {
    let parameters = vec!["?"; WIDTH + 1].join(",");
    format!("INSERT OR IGNORE INTO span_rows ({COLUMNS}, id) VALUES ({parameters})")
}

/// Inserts `rows` rows at once, whose ids follow the largest that is there; parameters as [`Stored::bind`] sets them.
///
/// SQLite keeps what a statement changes, to undo it should it fail half way: of each page that several rows touch a copy, a
/// tenth of the cost of storing them. It does not where failing ends the transaction, and where it gives the ids itself,
/// because they cannot be of a wrong type then.
fn insert_many(rows: usize) -> String {
    let row = format!("({})", vec!["?"; WIDTH].join(","));
    let rows = vec![row; rows].join(",");
    format!("INSERT OR ROLLBACK INTO span_rows ({COLUMNS}) VALUES {rows}")
}
