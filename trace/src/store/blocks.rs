//! Which spans have something in common, and when they began: lists, by blocks of spans.
//!
//! A search wants the newest spans of an agent, of a user, with an error. An index of the database would take an entry for
//! each span and each of these, at a place of its own: most of what it cost to store a span. Spans come in batches, though,
//! so what a batch adds to one list is written as one row: the start and the id of each span, packed. Rows are kept by block,
//! 16,384 spans in the order of their arrival, so that what is written stays together however many users there are; and
//! when a block is full, its rows of one list become one.
//!
//! Who reads goes from block to block by the time that each spans, the newest first ([`newest`]). The figures of handlers and
//! model calls are kept in the same way, with all that metrics add up ([`sample`]).
//!
//! Lists may name spans that are there no longer: who reads spans finds none, and who reads figures leaves out what
//! [`List::Gone`] names. Of several figures of one span the last count: it has been completed. A block goes when its last
//! span has gone.

mod bytes;
mod lists;
mod newest;
mod posting;
mod sample;
mod stored;

pub(super) use lists::Lists;
pub(crate) use newest::{Newest, ids, values};
pub(crate) use posting::Posting;
pub(crate) use sample::Sample;
#[cfg(test)]
pub(super) use stored::Missing;
pub(super) use stored::{missing, rebuild, stored_sample};

use std::mem;

use rusqlite::Connection;

use crate::error::StoreError;

/// Bits of an id that count within a block.
const BITS: u32 = 14;

/// The block of a span.
fn of(id: i64) -> i64 {
    id >> BITS
}

/// The first id of a block.
fn first(block: i64) -> i64 {
    block << BITS
}

/// What the spans of a list have in common. The numbers are those of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum List {
    /// Nothing: all spans.
    All = 0,
    /// Their service, `services.id`.
    Service = 1,
    /// Their agent, `names.id`; and so on.
    Agent = 2,
    /// See there.
    Workflow = 3,
    /// See there.
    Session = 4,
    /// See there.
    User = 5,
    /// See there.
    Tenant = 6,
    /// See there.
    Thread = 7,
    /// They have failed.
    Failed = 8,
    /// They are stored no longer, though the block is.
    Gone = 9,
}

impl List {
    /// Those of `References::who`, in their order.
    const WHO: [Self; 6] = [
        Self::Agent,
        Self::Workflow,
        Self::Session,
        Self::User,
        Self::Tenant,
        Self::Thread,
    ];
}

/// What stands in a list.
pub(crate) trait Entry: Sized {
    /// Where lists of them are kept.
    const TABLE: &'static str;

    /// Start, ns since the Unix epoch, and `spans.id`: the order of lists.
    fn place(&self) -> (i64, i64);

    /// Appends entries, which stand in their order, to a list of this block.
    fn pack(entries: &[Self], block: i64, body: &mut Vec<u8>);

    /// Sorts entries as they were added, and leaves of each span what counts.
    fn settle(entries: &mut Vec<Self>) {
        // Keeps the order in which they were added, and is fast where they are sorted already.
        entries.sort_by_key(Self::place);
        entries.dedup_by(|later, earlier| {
            let is_same = later.place() == earlier.place();
            if is_same {
                mem::swap(later, earlier);
            }
            is_same
        });
    }

    /// Undoes it; of several lists, one after the other. `None` where the bytes are no list.
    fn unpack(body: &[u8], block: i64, entries: &mut Vec<Self>) -> Option<()>;
}

/// The largest id that was given to a span.
pub(super) fn last_id(conn: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT last FROM blocks ORDER BY id DESC LIMIT 1";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    Ok(rows.next()?.map_or(Ok(0), |row| row.get(0))?)
}

/// The first trace, by number, of the first block that has a span which began at this time or later.
pub(crate) fn first_trace_since(
    conn: &Connection,
    start_ns: i64,
) -> Result<Option<i64>, StoreError> {
    let mut blocks = conn.prepare_cached("SELECT id FROM blocks WHERE to_ns >= ?1 ORDER BY id")?;
    let mut first = conn.prepare_cached(
        "SELECT min(trace) FROM span_rows WHERE id >= ?1 AND id < ?2 AND start_ns >= ?3",
    )?;
    let mut blocks = blocks.query([start_ns])?;
    while let Some(row) = blocks.next()? {
        let block = row.get(0)?;
        let bounds = [self::first(block), self::first(block + 1), start_ns];
        let trace: Option<i64> = first.query_row(bounds, |row| row.get(0))?;
        if trace.is_some() {
            return Ok(trace);
        }
    }
    Ok(None)
}

/// Deletes what is listed of blocks without spans. The newest stays, which knows the largest id.
pub(super) fn expire(conn: &Connection) -> Result<(), StoreError> {
    let newest = "SELECT max(id) FROM blocks";
    let oldest = "SELECT min(id) FROM span_rows";
    let bound = format!("coalesce(({oldest}) >> {BITS}, ({newest}))");
    for (table, block) in [
        ("postings", "block"),
        ("samples", "block"),
        ("blocks", "id"),
    ] {
        conn.prepare_cached(&format!("DELETE FROM {table} WHERE {block} < {bound}"))?
            .execute([])?;
    }
    Ok(())
}

fn corrupt(table: &'static str, block: i64) -> StoreError {
    StoreError::CorruptList { table, block }
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
