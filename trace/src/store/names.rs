//! Texts by the numbers under which they are kept.

use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;

use crate::error::StoreError;

/// The table `names`, each row read once.
#[derive(Debug)]
pub(crate) struct Names<'c> {
    conn: &'c Connection,
    known: FxHashMap<i64, Option<String>>,
}

impl<'c> Names<'c> {
    pub(crate) fn new(conn: &'c Connection) -> Self {
        Self {
            conn,
            known: FxHashMap::default(),
        }
    }

    /// The text of that number; `None` if it has gone.
    pub(crate) fn find(&mut self, number: i64) -> Result<Option<&str>, StoreError> {
        let known = match self.known.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(
                self.conn
                    .prepare_cached("SELECT text FROM names WHERE id = ?1")?
                    .query_row([number], |row| row.get(0))
                    .optional()?,
            ),
        };
        Ok(known.as_deref())
    }

    /// The text of that number; empty if it has gone.
    pub(crate) fn text(&mut self, number: i64) -> Result<String, StoreError> {
        Ok(self.find(number)?.unwrap_or_default().to_owned())
    }
}
