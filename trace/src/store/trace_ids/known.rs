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
const ROOM: (usize, usize) = (1 << 20, 8 << 20);
/// Bits for each id, and how many of them it sets: of the unknown ids one in a hundred is taken for a known one.
const BITS: usize = 10;
const HASHES: u32 = 4;

/// See the module. It is made when it is asked for the first time, and anew when as many ids have come as it has room for:
/// larger then, and without those that have gone.
#[derive(Debug, Default)]
pub(crate) struct Known {
    filter: Option<BloomFilter<RandomState>>,
    /// Ids that come before it is made anew.
    room: usize,
}

impl Known {
    /// False for an id that is surely not known.
    pub(crate) fn may_have(&mut self, conn: &Connection, id: TraceId) -> Result<bool, StoreError> {
        if self.room == 0 {
            self.filter = None;
            *self = Self::of(conn, ROOM)?;
        }
        let has = |filter: &BloomFilter<RandomState>| filter.contains(&id);
        Ok(self.filter.as_ref().is_none_or(has))
    }

    /// The id is known from now on.
    pub(crate) fn add(&mut self, id: TraceId) {
        if let Some(filter) = &mut self.filter {
            filter.insert(&id);
            self.room = self.room.saturating_sub(1);
        }
    }

    /// All that are known, and room for as many again.
    fn of(conn: &Connection, (least, most): (usize, usize)) -> Result<Self, StoreError> {
        // Numbers rise by one, so these are as many as there are, or a little more.
        let known: i64 = conn
            .prepare_cached(
                "SELECT coalesce((SELECT max(id) FROM traces) - (SELECT min(id) FROM traces) + 1, 0)",
            )?
            .query_row([], |row| row.get(0))?;
        let known = usize::try_from(known).unwrap_or(most);
        let ids = known.saturating_mul(2).clamp(least, most);
        let mut filter = BloomFilter::with_num_bits(ids * BITS)
            .hasher(RandomState::default())
            .hashes(HASHES);
        let mut statement = conn.prepare_cached("SELECT trace_id FROM trace_numbers")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            // What is no id was not written by a server, and no span can have it.
            if let Some(id) = TraceId::from_bytes(row.get_ref(0)?.as_blob().unwrap_or_default()) {
                filter.insert(&id);
            }
        }
        Ok(Self {
            filter: Some(filter),
            room: ids.saturating_sub(known).max(known),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::trace_ids::{self, tests};

    fn known_of(conn: &Connection, ids: std::ops::Range<u64>, known: &mut Known) {
        for number in ids {
            let id = tests::id(number);
            let sql = "INSERT INTO traces (trace_id) VALUES (?1)";
            conn.execute(sql, [&id.as_bytes()[..]]).expect("inserted");
            trace_ids::add(conn, id, conn.last_insert_rowid()).expect("added");
            known.add(id);
        }
    }

    fn mistakes(conn: &Connection, ids: std::ops::Range<u64>, known: &mut Known) -> usize {
        let mut may_have = |id| known.may_have(conn, id).expect("readable");
        ids.filter(|number| may_have(tests::id(*number))).count()
    }

    #[test]
    fn what_is_known_is_never_missed_and_what_is_not_hardly_ever_taken_for_it() {
        let (_dir, conn) = tests::writable();
        let mut known = Known::default();
        known_of(&conn, 0..100, &mut known);
        known = Known::of(&conn, (1000, 1000)).expect("readable");
        known_of(&conn, 100..1000, &mut known);
        assert!((0..1000).all(|number| {
            let filter = known.filter.as_ref().expect("made");
            filter.contains(&tests::id(number))
        }));
        let filter = known.filter.as_ref().expect("made");
        let mistaken = (1000..101_000).filter(|number| filter.contains(&tests::id(*number)));
        assert!((500..2500).contains(&mistaken.count()));
    }

    #[test]
    fn it_is_made_anew_when_it_is_full_without_what_has_gone() {
        let (_dir, conn) = tests::writable();
        let mut known = Known::of(&conn, (10, 10)).expect("readable");
        known_of(&conn, 0..9, &mut known);
        conn.execute("DELETE FROM traces WHERE id <= 5", [])
            .expect("deleted");
        assert_eq!((mistakes(&conn, 0..9, &mut known), known.room), (9, 1));
        known_of(&conn, 9..10, &mut known);
        assert_eq!(mistakes(&conn, 0..5, &mut known), 0);
        assert_eq!(mistakes(&conn, 5..10, &mut known), 5);
        assert_eq!(known.room, ROOM.0 - 5);
    }

    #[test]
    fn with_more_than_it_has_room_for_it_is_made_anew_when_they_have_doubled() {
        let (_dir, conn) = tests::writable();
        let mut known = Known::default();
        known_of(&conn, 0..40, &mut known);
        known = Known::of(&conn, (10, 20)).expect("readable");
        assert_eq!(known.room, 40);
        assert_eq!(mistakes(&conn, 0..40, &mut known), 40);
    }
}
