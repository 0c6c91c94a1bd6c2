//! Reads a list from its newest end, block by block.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::rc::Rc;

use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;

use super::{Entry, List, Posting};
use crate::error::StoreError;

/// Entries that are held at a time. A walk that meets more goes on with the newest of them, and begins again where they end:
/// blocks hardly overlap, unless clocks are far apart.
const HELD: usize = 1 << 20;

/// The entries of a list with a start in some time, the newest first.
#[derive(Debug)]
pub(crate) struct Newest<'c, E> {
    conn: &'c Connection,
    /// Kind and value.
    list: (List, i64),
    starts: RangeInclusive<i64>,
    /// Only what stands before this place is left.
    before: (i64, i64),
    /// Blocks that have not been looked at, and their last starts; the newest stands last.
    closed: Vec<(i64, i64)>,
    /// Entries of the others, the newest last.
    open: Vec<E>,
    /// Not all fitted: what stands before this place is to be read again.
    cut: Option<(i64, i64)>,
    held: usize,
}

impl<'c, E: Entry> Newest<'c, E> {
    /// Reads the list of this kind and value.
    pub(crate) fn new(
        conn: &'c Connection,
        list: (List, i64),
        starts: RangeInclusive<i64>,
    ) -> Result<Self, StoreError> {
        let mut newest = Self {
            conn,
            list,
            before: (i64::MAX, i64::MAX),
            closed: Vec::new(),
            open: Vec::new(),
            cut: None,
            held: HELD,
            starts,
        };
        newest.look()?;
        Ok(newest)
    }

    /// Leaves out what does not stand before this start and id.
    pub(crate) fn before(mut self, place: (i64, i64)) -> Self {
        self.before = place;
        self
    }

    /// Holds fewer entries at a time.
    #[cfg(test)]
    pub(crate) fn holding(self, held: usize) -> Self {
        Self { held, ..self }
    }

    /// Finds the blocks in which entries may be.
    fn look(&mut self) -> Result<(), StoreError> {
        let sql =
            "SELECT id, to_ns FROM blocks WHERE to_ns >= ?1 AND from_ns <= ?2 ORDER BY to_ns, id";
        let mut statement = self.conn.prepare_cached(sql)?;
        let to = (*self.starts.end()).min(self.before.0);
        let found = statement.query_map([*self.starts.start(), to], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        self.closed = found.collect::<Result<_, _>>()?;
        self.cut = None;
        Ok(())
    }

    /// The next entry; `None` when there are no more.
    pub(crate) fn next(&mut self) -> Result<Option<E>, StoreError> {
        loop {
            let newest = self.open.last().map(|entry| entry.place().0);
            match (newest, self.closed.last()) {
                // Another block may have a newer one.
                (newest, Some((_, to_ns))) if newest.is_none_or(|newest| *to_ns >= newest) => {
                    self.open_one()?;
                }
                (None, _) if self.cut.is_some() => self.look()?,
                _ => break,
            }
        }
        let entry = self.open.pop();
        if let Some(entry) = &entry {
            self.before = entry.place();
        }
        Ok(entry)
    }

    fn open_one(&mut self) -> Result<(), StoreError> {
        let Some((block, _)) = self.closed.pop() else {
            return Ok(());
        };
        let mut found = E::listed(self.conn, (block, self.list.0, self.list.1))?;
        found.retain(|entry| {
            let place = entry.place();
            self.starts.contains(&place.0) && place < self.before && Some(place) >= self.cut
        });
        if found.is_empty() {
            return Ok(());
        }
        self.open.append(&mut found);
        // Those of before and those of each part are in order already, which this sort makes use of.
        self.open.sort_by_key(Entry::place);
        if self.open.len() > self.held {
            self.open.drain(..self.open.len() - self.held);
            self.cut = self.open.first().map(Entry::place);
        }
        Ok(())
    }
}

impl<E: Entry> Newest<'_, E> {
    /// Up to `most` of the next.
    pub(crate) fn take(&mut self, most: usize) -> Result<Vec<E>, StoreError> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(entry) = self.next()?
        {
            taken.push(entry);
        }
        Ok(taken)
    }
}

impl Newest<'_, Posting> {
    /// The next spans, `most` at a time, as [`ids`] has them; `None` when there are no more.
    pub(crate) fn ids(&mut self, most: usize) -> Result<Option<Rc<Vec<SqlValue>>>, StoreError> {
        let taken = self.take(most)?;
        Ok((!taken.is_empty()).then(|| ids(&taken)))
    }
}

/// For `id IN rarray(?)`. Some of the spans may have gone.
pub(crate) fn ids(postings: &[Posting]) -> Rc<Vec<SqlValue>> {
    Rc::new(postings.iter().map(|posting| posting.id.into()).collect())
}

/// The values of lists of this kind in the blocks that may have spans that began in this time.
pub(crate) fn values(
    conn: &Connection,
    list: List,
    starts: RangeInclusive<i64>,
) -> Result<BTreeSet<i64>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT DISTINCT value FROM blocks CROSS JOIN postings ON block = blocks.id AND list = ?1
         WHERE to_ns >= ?2 AND from_ns <= ?3",
    )?;
    let bounds = (list, starts.start(), starts.end());
    let values = statement.query_map(bounds, |row| row.get(0))?;
    Ok(values.collect::<Result<_, _>>()?)
}
