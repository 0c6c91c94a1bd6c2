//! Which service has called which, as far as parents say it.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::Query;
use crate::error::{QueryError, StoreError};
use crate::store::blocks::{List, Newest};
use crate::store::row::signed;

/// Spans that are looked at, the newest of the time.
const MAX_SPANS: usize = 200_000;
/// Spans that are looked at together.
const STEP: usize = 4096;

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
    max_spans: usize,
) -> Result<Vec<Dependency>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT above.service_id, below.service_id, count(*)
         FROM span_rows AS below
         CROSS JOIN span_rows AS above ON above.trace = below.trace AND above.span_id = below.parent_span_id
         WHERE below.id IN rarray(?1) AND above.service_id <> below.service_id
         GROUP BY above.service_id, below.service_id",
    )?;
    let starts = signed(from_ns)..=signed(to_ns);
    let mut spans = Newest::new(conn, (List::All, 0), starts)?;
    let mut calls: BTreeMap<(i64, i64), u64> = BTreeMap::new();
    let mut left = max_spans;
    while let Some(ids) = spans.ids(left.min(STEP))? {
        left -= ids.len();
        let mut rows = statement.query([ids])?;
        while let Some(row) = rows.next()? {
            let count: i64 = row.get(2)?;
            *calls.entry((row.get(0)?, row.get(1)?)).or_default() += count.unsigned_abs();
        }
    }
    let mut name = conn.prepare_cached("SELECT name FROM services WHERE id = ?1")?;
    let mut name = |id| name.query_row([id], |row| row.get::<_, String>(0));
    let mut found = Vec::with_capacity(calls.len());
    for ((parent, child), calls) in calls {
        found.push(Dependency {
            parent: name(parent)?,
            child: name(child)?,
            calls,
        });
    }
    found.sort_unstable_by(|a, b| (&a.parent, &a.child).cmp(&(&b.parent, &b.child)));
    Ok(found)
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
