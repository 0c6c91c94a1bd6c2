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
mod chains;
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

use loom_proto::wire::put_varint;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};

use crate::error::StoreError;
use bytes::{Reader, put_signed};

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

    const ALL: [Self; 10] = [
        Self::All,
        Self::Service,
        Self::Agent,
        Self::Workflow,
        Self::Session,
        Self::User,
        Self::Tenant,
        Self::Thread,
        Self::Failed,
        Self::Gone,
    ];
}

impl ToSql for List {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok((*self as u8).into())
    }
}

impl FromSql for List {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = u8::column_result(value)?;
        let list = Self::ALL.get(usize::from(number)).copied();
        list.ok_or(FromSqlError::OutOfRange(number.into()))
    }
}

/// Block, kind and value of a list.
type Key = (i64, List, i64);

/// What stands in a list.
pub(crate) trait Entry: Sized {
    /// Where lists of them are kept.
    const TABLE: &'static str;

    /// Start, ns since the Unix epoch, and `spans.id`: the order of lists.
    fn place(&self) -> (i64, i64);

    /// What a list of a block holds.
    fn listed(conn: &Connection, list: Key) -> Result<Vec<Self>, StoreError> {
        load(conn, list)
    }

    /// Appends what else it says.
    fn put(&self, body: &mut Vec<u8>);

    /// Undoes it, of the entry at this place.
    fn read(body: &mut Reader<'_>, place: (i64, i64)) -> Option<Self>;

    /// Appends entries, which stand in their order, to a list of this block: how many, and of each how much later it began than
    /// the one before it, how far its id is from that one's, and what else it says.
    fn pack(entries: &[Self], block: i64, body: &mut Vec<u8>) {
        put_varint(body, entries.len() as u64);
        let mut last = (0_i64, first(block));
        for entry in entries {
            let place = entry.place();
            put_signed(body, place.0.wrapping_sub(last.0));
            put_signed(body, place.1 - last.1);
            entry.put(body);
            last = place;
        }
    }

    /// Undoes it; of several lists, one after the other. `None` where the bytes are no list.
    fn unpack(body: &[u8], block: i64, entries: &mut Vec<Self>) -> Option<()> {
        let mut body = Reader(body);
        while !body.is_empty() {
            let mut last = (0_i64, first(block));
            for _ in 0..body.varint()? {
                last.0 = last.0.wrapping_add(body.signed()?);
                last.1 = last.1.checked_add(body.signed()?)?;
                entries.push(Self::read(&mut body, last)?);
            }
        }
        Some(())
    }

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
}

/// All parts of a list, as they were written.
fn load<E: Entry>(conn: &Connection, key: Key) -> Result<Vec<E>, StoreError> {
    let table = E::TABLE;
    let mut parts = conn.prepare_cached(&format!(
        "SELECT body FROM {table} WHERE block = ?1 AND list = ?2 AND value = ?3 ORDER BY part"
    ))?;
    let block = key.0;
    let mut rows = parts.query(key)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        E::unpack(body, block, &mut entries).ok_or(StoreError::CorruptList { table, block })?;
    }
    Ok(entries)
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

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
