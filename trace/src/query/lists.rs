//! Lists of spans by the names that people know.

use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;

use crate::error::StoreError;
use crate::store::blocks::{List, Newest, Posting};

/// Spans that are looked at to find out which list is the shortest.
const PROBED: usize = 2_000;

/// The number by which a list is kept; `None` where nobody has that name.
pub(super) fn number(conn: &Connection, list: List, text: &str) -> Result<Option<i64>, StoreError> {
    let sql = match list {
        List::All | List::Failed | List::Gone => return Ok(Some(0)),
        List::Service => "SELECT id FROM services WHERE name = ?1",
        _ => "SELECT id FROM names WHERE text = ?1",
    };
    let number = conn
        .prepare_cached(sql)?
        .query_row([text], |row| row.get(0))
        .optional()?;
    Ok(number)
}

/// The list of that text; `None` where nobody has that name.
pub(super) fn numbered(
    conn: &Connection,
    list: List,
    text: &str,
) -> Result<Option<(List, i64)>, StoreError> {
    Ok(number(conn, list, text)?.map(|number| (list, number)))
}

/// Texts by their numbers, each read once.
#[derive(Debug)]
pub(super) struct Names<'c> {
    conn: &'c Connection,
    known: FxHashMap<i64, String>,
}

impl<'c> Names<'c> {
    pub(super) fn new(conn: &'c Connection) -> Self {
        Self {
            conn,
            known: FxHashMap::default(),
        }
    }

    /// The text of that number; empty if it has gone.
    pub(super) fn text(&mut self, number: i64) -> Result<String, StoreError> {
        if let Some(text) = self.known.get(&number) {
            return Ok(text.clone());
        }
        let text: Option<String> = self
            .conn
            .prepare_cached("SELECT text FROM names WHERE id = ?1")?
            .query_row([number], |row| row.get(0))
            .optional()?;
        let text = text.unwrap_or_default();
        self.known.insert(number, text.clone());
        Ok(text)
    }
}

/// Of lists with their texts the one on which the fewest spans stand that began in this time; of none, the list of all. `None`
/// when there are none.
pub(super) fn shortest(
    conn: &Connection,
    lists: &[(List, &str)],
    starts: RangeInclusive<i64>,
) -> Result<Option<(List, i64)>, StoreError> {
    let mut numbered = Vec::with_capacity(lists.len());
    for (list, text) in lists {
        let Some(number) = number(conn, *list, text)? else {
            return Ok(None);
        };
        numbered.push((*list, number));
    }
    if numbered.len() < 2 {
        return Ok(Some(numbered.pop().unwrap_or((List::All, 0))));
    }
    let mut best: Option<(usize, (List, i64))> = None;
    for (list, value) in numbered {
        let probed = best.map_or(PROBED, |(least, _)| least);
        let mut spans: Newest<'_, Posting> = Newest::new(conn, list, value, starts.clone())?;
        let count = spans.take(probed)?.len();
        if best.is_none_or(|(least, _)| count < least) {
            best = Some((count, (list, value)));
        }
        if count == 0 {
            break;
        }
    }
    Ok(best.map(|(_, list)| list))
}
