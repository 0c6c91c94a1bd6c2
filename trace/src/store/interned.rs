//! Texts and trace ids that are stored once and referred to by number, and what is remembered of them in memory.

use std::mem;

use foldhash::HashMap;
use rusqlite::{Connection, OptionalExtension, Params};

use super::common::{self, Common, Filled};
use super::trace_ids::{self, KnownIds};
use crate::error::StoreError;
use crate::model::{Identity, TraceId};

/// Texts that are remembered per table. Who has more pays a look-up each; memory stays bounded.
const CACHE_TEXTS: usize = 4096;
/// The same of names, among which are those of sessions and users.
const CACHE_NAMES: usize = 32 << 10;
/// Longer texts are not worth their memory.
const CACHE_TEXT_BYTES: usize = 16 << 10;
/// Traces that are remembered in each of two generations. In tests so few that they are forgotten.
const CACHE_TRACES: usize = if cfg!(test) { 4 } else { 16 << 10 };
/// Names and shapes are many. To note each at each transaction costs more than to keep them for some spans longer than they
/// are needed: it is noted that they are needed for this many spans to come. More spans than one transaction can have.
pub(super) const AHEAD: i64 = 1 << 20;

/// One table of texts. Each row notes the newest span that refers to it, so that retention can tell when nobody does.
#[derive(Debug)]
pub(super) struct Interned {
    find: &'static str,
    insert: &'static str,
    touch: &'static str,
    ids: HashMap<String, Entry>,
    /// How many may be there.
    most: usize,
    /// For how many spans to come a text is noted.
    ahead: i64,
    /// The newest span when texts were noted last.
    newest: i64,
    /// Ids to be noted at the end of the running transaction.
    used: Vec<i64>,
}

#[derive(Debug)]
struct Entry {
    id: i64,
    /// To be noted again when there is a newer span than this one.
    noted_to: i64,
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
            ids: HashMap::default(),
            most: CACHE_TEXTS,
            ahead: 0,
            newest: 0,
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

    pub(super) fn names() -> Self {
        Self {
            most: CACHE_NAMES,
            ahead: AHEAD,
            ..statements!("names", "text", "?1", "text = ?1")
        }
    }

    pub(super) fn shapes() -> Self {
        Self {
            ahead: AHEAD,
            ..statements!("shapes", "body", "?1", "body = ?1")
        }
    }

    /// The id of a text.
    pub(super) fn text(&mut self, conn: &Connection, text: &str) -> Result<i64, StoreError> {
        self.id(conn, text, [text])
    }

    /// The id of the row with these values, which `key` stands for in memory.
    pub(super) fn id(
        &mut self,
        conn: &Connection,
        key: &str,
        values: impl Params + Copy,
    ) -> Result<i64, StoreError> {
        let noted_to = self.newest + self.ahead;
        if let Some(entry) = self.ids.get_mut(key) {
            if entry.noted_to < self.newest {
                entry.noted_to = noted_to;
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
            if self.ids.len() >= self.most {
                self.ids.clear();
            }
            self.ids.insert(key.to_owned(), Entry { id, noted_to });
        }
        Ok(id)
    }

    /// Writes down that the texts used in this transaction are needed by spans up to `newest`, and by those to come.
    pub(super) fn touch(&mut self, conn: &Connection, newest: i64) -> Result<(), StoreError> {
        // One more, so that a text is noted again even by a transaction that has stored nothing.
        self.newest = self.newest.max(newest) + 1;
        if self.used.is_empty() {
            return Ok(());
        }
        let mut statement = conn.prepare_cached(self.touch)?;
        for id in self.used.drain(..) {
            statement.execute([newest + 2 * self.ahead, id])?;
        }
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.ids.clear();
        self.used.clear();
    }
}

/// Traces by number, and what their spans have in common. A trace id is random and its number rises with time, so the index
/// of the spans by trace grows at its end instead of everywhere, and hardly a look-up goes to a random place.
#[derive(Debug, Default)]
pub(super) struct Traces {
    young: Generation,
    old: Generation,
    /// The one that was asked for last, and its place among the young ones: spans of one trace come together.
    last: Option<(TraceId, usize)>,
    /// What may be in the database: a new one is not looked for there. Made with the first trace, and anew when it is full.
    known: Option<KnownIds>,
    /// Up to this number traces may have expired; what is remembered of them does not count.
    void_to: i64,
    /// Numbers of the traces of which this transaction has learned what earlier spans do not say.
    to_fill: Vec<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) number: i64,
    pub(super) common: Common,
}

/// Traces, and the place of each.
#[derive(Debug, Default)]
struct Generation {
    traces: Vec<Trace>,
    places: HashMap<TraceId, usize>,
}

impl Generation {
    fn place(&self, id: TraceId) -> Option<usize> {
        self.places.get(&id).copied()
    }

    /// Adds a trace, and tells its place.
    fn add(&mut self, id: TraceId, trace: Trace) -> usize {
        let place = self.traces.len();
        self.traces.push(trace);
        self.places.insert(id, place);
        place
    }

    /// Takes a trace out. What is left at its place does not count.
    fn take(&mut self, id: TraceId) -> Option<Trace> {
        let place = self.places.remove(&id)?;
        Some(mem::take(&mut self.traces[place]))
    }

    fn clear(&mut self) {
        self.traces.clear();
        self.places.clear();
    }
}

impl Traces {
    /// The trace of a span that says who it is about.
    pub(super) fn of(
        &mut self,
        conn: &Connection,
        id: TraceId,
        said: &Identity,
    ) -> Result<&mut Trace, StoreError> {
        let place = match self.last {
            Some((last, place)) if last == id => place,
            _ => self.place(conn, id, said)?,
        };
        self.last = Some((id, place));
        Ok(&mut self.young.traces[place])
    }

    /// Its place among the young ones, where it is then.
    fn place(
        &mut self,
        conn: &Connection,
        id: TraceId,
        said: &Identity,
    ) -> Result<usize, StoreError> {
        let void_to = self.void_to;
        let is_valid = |trace: &Trace| trace.number > void_to;
        if let Some(place) = self.young.place(id)
            && is_valid(&self.young.traces[place])
        {
            return Ok(place);
        }
        let trace = match self.old.take(id).filter(is_valid) {
            Some(trace) => trace,
            None => self.stored(conn, id, said)?,
        };
        if self.young.traces.len() >= CACHE_TRACES {
            mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        Ok(self.young.add(id, trace))
    }

    fn stored(
        &mut self,
        conn: &Connection,
        id: TraceId,
        said: &Identity,
    ) -> Result<Trace, StoreError> {
        let known = match &mut self.known {
            Some(known) => known,
            none => none.insert(KnownIds::of(conn)?),
        };
        if known.may_have(id)
            && let Some(number) = trace_ids::number(conn, id)?
        {
            let common = Common::load(conn, number)?;
            return Ok(Trace { number, common });
        }
        if !known.add(id) {
            self.known = None;
        }
        let (number, common) = Common::create(conn, id, said)?;
        if number <= self.void_to {
            // All have gone, and numbers begin at 1 again.
            self.last = None;
            self.young.clear();
            self.old.clear();
            self.void_to = number - 1;
        }
        Ok(Trace { number, common })
    }

    /// Spans of trace `number` that were stored before do not say what is known now.
    pub(super) fn fill_later(&mut self, number: i64) {
        self.to_fill.push(number);
    }

    /// Completes what was stored before, once for each trace, and tells which spans that were.
    pub(super) fn fill(
        &mut self,
        conn: &Connection,
        names: &mut Interned,
    ) -> Result<Vec<Filled>, StoreError> {
        self.to_fill.sort_unstable();
        self.to_fill.dedup();
        let mut filled = Vec::new();
        for number in self.to_fill.drain(..) {
            filled.extend(common::fill(conn, number, |text| names.text(conn, text))?);
        }
        Ok(filled)
    }

    /// Trace `number` has expired.
    pub(super) fn expired(&mut self, number: i64) {
        self.void_to = self.void_to.max(number);
        self.last = None;
    }

    pub(super) fn clear(&mut self) {
        self.last = None;
        self.young.clear();
        self.old.clear();
        self.to_fill.clear();
    }
}

#[cfg(test)]
#[path = "interned_tests.rs"]
mod tests;
