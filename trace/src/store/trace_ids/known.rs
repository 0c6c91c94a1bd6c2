//! Which trace ids may be known: a Bloom filter of all that are.
//!
//! Nearly each trace that comes is new, and to look its id up in vain is to read a page of the long list at a random place: from
//! outside of SQLite's cache where the store is large, and from the disk where it is larger than the machine's memory.

use fastbloom::BloomFilter;
use foldhash::quality::RandomState;
use rusqlite::Connection;

use crate::error::StoreError;
use crate::model::TraceId;

/// Ids for which there is room at least and at most: 1.25 and 10 MiB. Beyond that it is mistaken more often.
/// In tests so few that it is made anew.
const ROOM: (usize, usize) = if cfg!(test) {
    (4, 8)
} else {
    (1 << 20, 8 << 20)
};
/// Bits for each id, and how many of them it sets: of the unknown ids one in a hundred is taken for a known one.
const BITS: usize = 10;
const HASHES: u32 = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct KnownIds {
    filter: BloomFilter<RandomState>,
    /// Ids that may come before it is made anew, larger then and without those that have gone.
    room: usize,
}

impl KnownIds {
    /// All that are known, and room for as many again.
    pub(crate) fn of(conn: &Connection) -> Result<Self, StoreError> {
        Self::with_room(conn, ROOM)
    }

    fn with_room(conn: &Connection, (least, most): (usize, usize)) -> Result<Self, StoreError> {
        // Numbers rise by one, so as a rule these are as many as there are.
        let about: i64 = conn
            .prepare_cached(
                "SELECT coalesce((SELECT max(id) FROM traces) - (SELECT min(id) FROM traces) + 1, 0)",
            )?
            .query_row([], |row| row.get(0))?;
        let about = usize::try_from(about).unwrap_or(most);
        let ids = about.saturating_mul(2).clamp(least, most);
        let mut filter = BloomFilter::with_num_bits(ids * BITS)
            .hasher(RandomState::default())
            .hashes(HASHES);
        let mut known = 0_usize;
        let mut statement = conn.prepare_cached("SELECT trace_id FROM trace_numbers")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            // What is no id was not written by a server, and no span can have it.
            if let Some(id) = TraceId::from_bytes(row.get_ref(0)?.as_blob().unwrap_or_default()) {
                filter.insert(&id);
                known += 1;
            }
        }
        Ok(Self {
            filter,
            room: ids.saturating_sub(known).max(known),
        })
    }

    /// False for an id that is surely not known.
    pub(crate) fn may_have(&self, id: TraceId) -> bool {
        self.filter.contains(&id)
    }

    /// The id is known from now on. False when no more should be added.
    pub(crate) fn add(&mut self, id: TraceId) -> bool {
        self.filter.insert(&id);
        self.room = self.room.saturating_sub(1);
        self.room > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::trace_ids::{self, tests};

    fn add(conn: &Connection, ids: std::ops::Range<u64>) {
        for number in ids {
            let id = tests::id(number);
            let sql = "INSERT INTO traces (trace_id) VALUES (?1)";
            conn.execute(sql, [&id.as_bytes()[..]]).expect("inserted");
            trace_ids::add(conn, id, conn.last_insert_rowid()).expect("added");
        }
    }

    fn has(known: &KnownIds, ids: std::ops::Range<u64>) -> usize {
        ids.filter(|number| known.may_have(tests::id(*number)))
            .count()
    }

    #[test]
    fn what_is_known_is_never_missed_and_what_is_not_hardly_ever_taken_for_it() {
        let (_dir, conn) = tests::writable();
        add(&conn, 0..100);
        let mut known = KnownIds::with_room(&conn, (1000, 1000)).expect("readable");
        for number in 100..1000 {
            known.add(tests::id(number));
        }
        assert_eq!(has(&known, 0..1000), 1000);
        let mistaken = has(&known, 1000..101_000);
        assert!((500..2500).contains(&mistaken), "{mistaken}");
    }

    #[test]
    fn it_is_full_when_as_many_have_come_as_it_has_room_for() {
        let (_dir, conn) = tests::writable();
        add(&conn, 0..7);
        conn.execute("DELETE FROM traces WHERE id BETWEEN 2 AND 6", [])
            .expect("deleted");
        // Two are left, however far apart their numbers are.
        let mut known = KnownIds::with_room(&conn, (5, 5)).expect("readable");
        let had_room = (7..10).map(|number| known.add(tests::id(number)));
        assert_eq!(had_room.collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn with_more_than_it_has_room_for_as_many_again_may_come() {
        let (_dir, conn) = tests::writable();
        add(&conn, 0..40);
        let known = KnownIds::with_room(&conn, (10, 20)).expect("readable");
        assert_eq!((has(&known, 0..40), known.room), (40, 40));
    }
}
