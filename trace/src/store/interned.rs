//! Texts and trace ids that are stored once and referred to by number, and what is remembered of them in memory.

use std::collections::HashMap;
use std::mem;

use rusqlite::{Connection, OptionalExtension, Params};

use crate::error::StoreError;
use crate::model::TraceId;

/// Texts that are remembered per table. Who has more pays a look-up each; memory stays bounded.
const CACHE_TEXTS: usize = 4096;
/// Longer texts are not worth their memory.
const CACHE_TEXT_BYTES: usize = 16 << 10;
/// Traces that are remembered in each of two generations.
const CACHE_TRACES: usize = 16 << 10;

/// One table of texts. Each row notes the newest span that refers to it, so that retention can tell when nobody does.
#[derive(Debug)]
pub(super) struct Interned {
    find: &'static str,
    insert: &'static str,
    touch: &'static str,
    ids: HashMap<String, Entry>,
    /// Ids used in the running transaction.
    used: Vec<i64>,
}

#[derive(Debug)]
struct Entry {
    id: i64,
    /// Already in the list of used ids.
    used: bool,
}

/// The statements of a table: find an id by its content, insert the content, note the newest span.
macro_rules! statements {
    ($table:literal, $columns:literal, $values:literal, $find:literal) => {
        Interned {
            find: concat!("SELECT id FROM ", $table, " WHERE ", $find),
            insert: concat!(
                "INSERT INTO ",
                $table,
                " (",
                $columns,
                ", last_span) VALUES (",
                $values,
                ", 0)"
            ),
            touch: concat!("UPDATE ", $table, " SET last_span = ?1 WHERE id = ?2"),
            ids: HashMap::new(),
            used: Vec::new(),
        }
    };
}

impl Interned {
    pub(super) fn services() -> Self {
        statements!("services", "name", "?1", "name = ?1")
    }

    pub(super) fn resources() -> Self {
        statements!("resources", "body", "?1", "body = ?1")
    }

    pub(super) fn scopes() -> Self {
        statements!("scopes", "body", "?1", "body = ?1")
    }

    pub(super) fn operations() -> Self {
        statements!(
            "operations",
            "service, name, kind",
            "?1, ?2, ?3",
            "service = ?1 AND name = ?2 AND kind = ?3"
        )
    }

    /// The id of the row with these values, which `key` stands for in memory.
    pub(super) fn id(
        &mut self,
        conn: &Connection,
        key: &str,
        values: impl Params + Copy,
    ) -> Result<i64, StoreError> {
        if let Some(entry) = self.ids.get_mut(key) {
            if !mem::replace(&mut entry.used, true) {
                self.used.push(entry.id);
            }
            return Ok(entry.id);
        }
        let found = conn
            .prepare_cached(self.find)?
            .query_row(values, |row| row.get(0))
            .optional()?;
        let id = if let Some(id) = found {
            id
        } else {
            conn.prepare_cached(self.insert)?.execute(values)?;
            conn.last_insert_rowid()
        };
        self.used.push(id);
        if key.len() <= CACHE_TEXT_BYTES {
            if self.ids.len() >= CACHE_TEXTS {
                self.ids.clear();
            }
            self.ids.insert(key.to_owned(), Entry { id, used: true });
        }
        Ok(id)
    }

    /// Writes down that the texts used in this transaction are needed by spans up to `newest`.
    pub(super) fn touch(&mut self, conn: &Connection, newest: i64) -> Result<(), StoreError> {
        if self.used.is_empty() {
            return Ok(());
        }
        let mut statement = conn.prepare_cached(self.touch)?;
        for id in self.used.drain(..) {
            statement.execute([newest, id])?;
        }
        for entry in self.ids.values_mut() {
            entry.used = false;
        }
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.ids.clear();
        self.used.clear();
    }
}

/// Numbers of traces. A trace id is random and its number rises with time, so the index of the spans by trace grows at
/// its end instead of everywhere, and only one look-up per trace goes to a random place.
#[derive(Debug, Default)]
pub(super) struct Traces {
    young: HashMap<TraceId, i64>,
    old: HashMap<TraceId, i64>,
    /// Up to this number traces may have expired; what is remembered of them does not count.
    void_to: i64,
}

impl Traces {
    pub(super) fn number(&mut self, conn: &Connection, id: TraceId) -> Result<i64, StoreError> {
        let valid = |number: &&i64| **number > self.void_to;
        if let Some(number) = self.young.get(&id).filter(valid) {
            return Ok(*number);
        }
        let number = match self.old.get(&id).filter(valid) {
            Some(number) => *number,
            None => Self::stored(conn, id)?,
        };
        if self.young.len() >= CACHE_TRACES {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(id, number);
        Ok(number)
    }

    fn stored(conn: &Connection, id: TraceId) -> Result<i64, StoreError> {
        let id = &id.as_bytes()[..];
        let inserted = conn
            .prepare_cached("INSERT OR IGNORE INTO traces (trace_id) VALUES (?1)")?
            .execute([id])?;
        if inserted > 0 {
            return Ok(conn.last_insert_rowid());
        }
        Ok(conn
            .prepare_cached("SELECT id FROM traces WHERE trace_id = ?1")?
            .query_row([id], |row| row.get(0))?)
    }

    /// Trace `number` has expired.
    pub(super) fn expired(&mut self, number: i64) {
        self.void_to = self.void_to.max(number);
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}
