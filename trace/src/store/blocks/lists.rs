//! What one transaction adds to the lists, written at its end.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rusqlite::{Connection, Statement};

use super::chains::Chains;
use super::{Entry, Key, List, Posting, Sample, load, of};
use crate::error::StoreError;

/// Adds to a list: its block, kind and value, and the packed entries.
fn insert(table: &str) -> String {
    format!(
        "INSERT INTO {table} (block, list, value, part, body) VALUES (?1, ?2, ?3,
             (SELECT coalesce(max(part) + 1, 0) FROM {table} WHERE block = ?1 AND list = ?2 AND value = ?3), ?4)"
    )
}

/// Entries of lists, kept until the transaction ends.
#[derive(Debug, Default)]
pub(in crate::store) struct Lists {
    postings: Chains<Posting>,
    samples: Chains<Sample>,
    /// First and last start of the new spans of each block, and the largest id.
    blocks: BTreeMap<i64, Bounds>,
    /// Kept for its capacity.
    body: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Bounds {
    from_ns: i64,
    to_ns: i64,
    last: i64,
}

impl Lists {
    /// Adds a new span, which stands in the list of all.
    pub(in crate::store) fn open(&mut self, id: i64, start_ns: i64) {
        let bounds = self.blocks.entry(of(id)).or_insert(Bounds {
            from_ns: start_ns,
            to_ns: start_ns,
            last: id,
        });
        bounds.from_ns = bounds.from_ns.min(start_ns);
        bounds.to_ns = bounds.to_ns.max(start_ns);
        bounds.last = bounds.last.max(id);
        self.add(List::All, 0, id, start_ns);
    }

    /// Adds a span to a list.
    pub(in crate::store) fn add(&mut self, list: List, value: i64, id: i64, start_ns: i64) {
        let key = (of(id), list, value);
        self.postings.add(key, Posting { start_ns, id });
    }

    /// Adds a span to the lists of those whom it is about, in the order of [`List::WHO`].
    pub(in crate::store) fn add_who(&mut self, who: [Option<i64>; 6], id: i64, start_ns: i64) {
        for (list, value) in List::WHO.into_iter().zip(who) {
            if let Some(value) = value {
                self.add(list, value, id, start_ns);
            }
        }
    }

    /// Adds figures of a span to the list of all, and to those of its agent and workflow.
    pub(in crate::store) fn sample(&mut self, sample: Sample) {
        let values = [
            (List::Agent, sample.agent),
            (List::Workflow, sample.workflow),
        ];
        let block = of(sample.id);
        for (list, value) in values {
            if let Some(value) = value {
                self.samples.add((block, list, value), sample.clone());
            }
        }
        self.samples.add((block, List::All, 0), sample);
    }

    /// Forgets what has not been written.
    pub(in crate::store) fn clear(&mut self) {
        self.postings.clear();
        self.samples.clear();
        self.blocks.clear();
    }

    /// Writes everything, and makes one row of each list of the blocks that are full now.
    pub(in crate::store) fn write(&mut self, conn: &Connection) -> Result<(), StoreError> {
        let body = &mut self.body;
        write(conn, &mut self.postings, body)?;
        write(conn, &mut self.samples, body)?;
        let mut bound = conn.prepare_cached(
            "INSERT INTO blocks (id, from_ns, to_ns, last) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET from_ns = min(from_ns, excluded.from_ns),
                 to_ns = max(to_ns, excluded.to_ns), last = max(last, excluded.last)",
        )?;
        let open: Option<i64> = conn
            .prepare_cached("SELECT max(id) FROM blocks")?
            .query_row([], |row| row.get(0))?;
        for (block, bounds) in &self.blocks {
            bound.execute([*block, bounds.from_ns, bounds.to_ns, bounds.last])?;
        }
        if let Some((newest, _)) = self.blocks.pop_last() {
            let full = open.into_iter().chain(self.blocks.keys().copied());
            let full: BTreeSet<_> = full.filter(|block| *block < newest).collect();
            for block in full {
                close::<Posting>(conn, block, body)?;
                close::<Sample>(conn, block, body)?;
            }
        }
        self.blocks.clear();
        Ok(())
    }
}

impl Lists {
    /// How many of these entries are missing, of spans and of figures, in what has been written.
    pub(super) fn missing(mut self, conn: &Connection) -> Result<(u64, u64), StoreError> {
        let spans = missing(conn, &mut self.postings)?;
        Ok((spans, missing(conn, &mut self.samples)?))
    }
}

/// How many of these their lists have not.
fn missing<E: Entry + Clone>(conn: &Connection, wanted: &mut Chains<E>) -> Result<u64, StoreError> {
    let mut missing = 0;
    wanted.drain(|list, wanted| {
        let listed = E::listed(conn, list)?;
        let listed: HashSet<_> = listed.iter().map(Entry::place).collect();
        let is_missing = |entry: &&E| !listed.contains(&entry.place());
        missing += wanted.iter().filter(is_missing).count() as u64;
        Ok::<_, StoreError>(())
    })?;
    Ok(missing)
}

/// Writes the entries of each list as one row.
fn write<E: Entry + Clone>(
    conn: &Connection,
    entries: &mut Chains<E>,
    body: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let mut insert = conn.prepare_cached(&insert(E::TABLE))?;
    entries.drain(|list, entries| put(&mut insert, list, entries, body))
}

/// Puts the parts of each list of a block together.
fn close<E: Entry>(conn: &Connection, block: i64, body: &mut Vec<u8>) -> Result<(), StoreError> {
    let table = E::TABLE;
    let mut split = conn.prepare_cached(&format!(
        "SELECT list, value FROM {table} WHERE block = ?1 GROUP BY list, value HAVING count(*) > 1"
    ))?;
    let split = split.query_map([block], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let split: Vec<(List, i64)> = split.collect::<Result<_, _>>()?;
    let mut delete = conn.prepare_cached(&format!(
        "DELETE FROM {table} WHERE block = ?1 AND list = ?2 AND value = ?3"
    ))?;
    let mut insert = conn.prepare_cached(&insert(table))?;
    for (list, value) in split {
        let key = (block, list, value);
        let mut entries: Vec<E> = load(conn, key)?;
        E::settle(&mut entries);
        delete.execute(key)?;
        put(&mut insert, key, &entries, body)?;
    }
    Ok(())
}

/// Writes one row.
fn put<E: Entry>(
    insert: &mut Statement<'_>,
    (block, list, value): Key,
    entries: &[E],
    body: &mut Vec<u8>,
) -> Result<(), StoreError> {
    body.clear();
    E::pack(entries, block, body);
    insert.execute((block, list, value, &*body))?;
    Ok(())
}
