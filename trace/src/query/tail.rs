//! What has been stored since one has looked the last time, for those who watch.

use rusqlite::Connection;

use super::Query;
use crate::error::{QueryError, StoreError};
use crate::model::Span;
use crate::store::row::{SELECT, SpanReader};

/// A place among the spans in the order in which they were stored. It means nothing beyond this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TailPlace(i64);

/// What came after a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Tail {
    /// Where to go on.
    pub place: TailPlace,
    /// Spans that came in between and are not here, because they were more than the limit: the older ones.
    pub skipped: u64,
    /// Spans in the order in which they were stored.
    pub spans: Vec<Span>,
}

impl Query {
    /// The spans that were stored after `place`, the newest `limit` of them; without a place none, and where to begin.
    pub async fn tail(&self, place: Option<TailPlace>, limit: usize) -> Result<Tail, QueryError> {
        self.read(move |conn| read(conn, place, limit)).await
    }
}

fn read(conn: &Connection, place: Option<TailPlace>, limit: usize) -> Result<Tail, StoreError> {
    let newest: i64 = conn.query_row("SELECT coalesce(max(id), 0) FROM span_rows", [], |row| {
        row.get(0)
    })?;
    // Numbers begin anew where all spans were deleted.
    let since = place.map_or(newest, |place| place.0.min(newest));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let from = since.max(newest.saturating_sub(limit));
    let sql = format!("{SELECT} WHERE id > ?1 AND id <= ?2 ORDER BY id");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((from, newest))?;
    let mut reader = SpanReader::new(conn);
    let mut spans = Vec::new();
    while let Some(row) = rows.next()? {
        spans.push(reader.span(row)?);
    }
    Ok(Tail {
        place: TailPlace(newest),
        skipped: (from - since).unsigned_abs(),
        spans,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::Prices;
    use crate::spool::Position;
    use crate::store::{self, Writer};
    use crate::testing::span;

    #[test]
    fn what_came_since_then_and_how_much_was_skipped() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(store::FILE);
        let mut writer = Writer::open(&path, Prices::default()).expect("opens");
        let mut store = |ids: &[u64]| {
            let spans = ids.iter().map(|id| span(*id, 0, "x", *id, *id));
            let written = writer.transaction::<_, StoreError>(|batch| {
                spans
                    .into_iter()
                    .try_for_each(|span| batch.insert(&span, 0))?;
                Ok((Position::default(), ()))
            });
            written.expect("written");
        };
        let conn = store::open_reader(&path).expect("opens");
        let ids = |tail: &Tail| -> Vec<_> {
            let spans = tail.spans.iter();
            spans.map(|span| span.span_id.as_bytes()[7]).collect()
        };

        let empty = read(&conn, None, 3).expect("read");
        store(&[1, 2]);
        let first = read(&conn, Some(empty.place), 3).expect("read");
        assert_eq!((ids(&first), first.skipped), (vec![1, 2], 0));
        let nothing = read(&conn, Some(first.place), 3).expect("read");
        assert_eq!((ids(&nothing), nothing.place), (vec![], first.place));
        store(&[3, 4, 5, 6, 7]);
        let many = read(&conn, Some(first.place), 3).expect("read");
        assert_eq!((ids(&many), many.skipped), (vec![5, 6, 7], 2));
        // Who begins now has missed nothing.
        let begun = read(&conn, None, 3).expect("read");
        assert_eq!((ids(&begun), begun.place), (vec![], many.place));
    }
}
