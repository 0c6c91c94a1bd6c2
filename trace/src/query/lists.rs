//! Lists of spans by the names that people know.

use std::ops::{Range, RangeInclusive};

use rusqlite::{Connection, OptionalExtension};

use crate::error::StoreError;
use crate::store::blocks::{List, Newest, Posting};
use crate::store::row::signed;

/// Spans that are looked at to find out which list is the shortest.
const PROBED: usize = 2_000;

/// The list of that text, as it is kept; `None` where nobody has that name.
pub(super) fn find(
    conn: &Connection,
    list: List,
    text: &str,
) -> Result<Option<(List, i64)>, StoreError> {
    let sql = match list {
        List::All | List::Failed | List::Gone => return Ok(Some((list, 0))),
        List::Service => "SELECT id FROM services WHERE name = ?1",
        _ => "SELECT id FROM names WHERE text = ?1",
    };
    let number = conn
        .prepare_cached(sql)?
        .query_row([text], |row| row.get(0))
        .optional()?;
    Ok(number.map(|number| (list, number)))
}

/// Starts in this time, in ns since the Unix epoch, of which the end is not a part.
pub(super) fn starts(during_ns: &Range<u64>) -> RangeInclusive<i64> {
    signed(during_ns.start)..=signed(during_ns.end).saturating_sub(1)
}

/// Of lists with their texts the one on which the fewest spans stand that began in this time; of none, the list of all. `None`
/// when there are none.
pub(super) fn shortest(
    conn: &Connection,
    lists: &[(List, &str)],
    starts: RangeInclusive<i64>,
) -> Result<Option<(List, i64)>, StoreError> {
    let mut found = Vec::with_capacity(lists.len());
    for (list, text) in lists {
        let Some(list) = find(conn, *list, text)? else {
            return Ok(None);
        };
        found.push(list);
    }
    if found.len() < 2 {
        return Ok(Some(found.pop().unwrap_or((List::All, 0))));
    }
    let mut best: Option<(usize, (List, i64))> = None;
    for list in found {
        let probed = best.map_or(PROBED, |(least, _)| least);
        let mut spans: Newest<'_, Posting> = Newest::new(conn, list, starts.clone())?;
        let count = spans.take(probed)?.len();
        if best.is_none_or(|(least, _)| count < least) {
            best = Some((count, list));
        }
        if count == 0 {
            break;
        }
    }
    Ok(best.map(|(_, list)| list))
}
