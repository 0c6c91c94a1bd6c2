//! Which service has called which, as far as parents say it.

use rusqlite::Connection;

use super::Query;
use crate::error::{QueryError, StoreError};
use crate::store::row::signed;

/// Spans that are looked at, the newest of the time.
const MAX_SPANS: u64 = 200_000;

/// Calls from one service to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The service of the parents.
    pub parent: String,
    /// The service of their children.
    pub child: String,
    /// Spans of `child` whose parent is of `parent`.
    pub calls: u64,
}

impl Query {
    /// Dependencies by the spans that began in this time, ns since the Unix epoch: the newest 200,000 of them. Spans of one
    /// service among themselves are none.
    pub async fn dependencies(
        &self,
        from_ns: u64,
        to_ns: u64,
    ) -> Result<Vec<Dependency>, QueryError> {
        self.read(move |conn| read(conn, from_ns, to_ns, MAX_SPANS))
            .await
    }
}

fn read(
    conn: &Connection,
    from_ns: u64,
    to_ns: u64,
    max_spans: u64,
) -> Result<Vec<Dependency>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT parents.name, children.name, calls FROM (
             SELECT above.service_id AS parent, below.service_id AS child, count(*) AS calls
             FROM (
                 SELECT trace, parent_span_id, service_id FROM span_rows
                 WHERE start_ns >= ?1 AND start_ns <= ?2 ORDER BY start_ns DESC LIMIT ?3
             ) AS below
             CROSS JOIN span_rows AS above ON above.trace = below.trace AND above.span_id = below.parent_span_id
             WHERE above.service_id <> below.service_id
             GROUP BY above.service_id, below.service_id
         )
         JOIN services AS parents ON parents.id = parent
         JOIN services AS children ON children.id = child
         ORDER BY parents.name, children.name",
    )?;
    let bounds = (signed(from_ns), signed(to_ns), signed(max_spans));
    let rows = statement.query_map(bounds, |row| {
        Ok(Dependency {
            parent: row.get(0)?,
            child: row.get(1)?,
            calls: row.get::<_, i64>(2)?.unsigned_abs(),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BASE, MS, golden_chain, stored};

    #[test]
    fn a_chain_through_the_bus() {
        let (_dir, conn) = stored(&golden_chain());
        let read = |from_ms: u64, to_ms: u64, max| {
            let found = read(&conn, BASE + from_ms * MS, BASE + to_ms * MS, max).expect("read");
            let shown = found.into_iter().map(|d| (d.parent, d.child, d.calls));
            shown.collect::<Vec<_>>()
        };
        let edge = |parent: &str, child: &str| (parent.to_owned(), child.to_owned(), 1);
        let all = [
            edge("loom", "output"),
            edge("loom", "processor"),
            edge("processor", "loom"),
            edge("sensor", "loom"),
        ];
        assert_eq!(read(0, 100, 100), all);
        assert_eq!(
            read(0, 3, 100),
            [edge("sensor", "loom")],
            "only the first hop"
        );
        assert_eq!(read(0, 100, 1), [edge("loom", "output")], "the newest only");
        assert_eq!(read(50, 100, 100), []);
    }
}
