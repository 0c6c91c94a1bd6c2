//! What the spans of one trace have in common: workflow, session, user and tenant.
//!
//! Who never heard of them cannot say them: the bus, a service behind a call, a database. What one span of a trace says is
//! therefore taken over for those that say nothing, those that came before it too. Where two spans disagree nobody can
//! know which of the two the others belong to, and from then on nothing is taken over. Only columns are filled; the
//! attributes stay as they were sent.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension};

use super::trace_ids;
use crate::error::StoreError;
use crate::model::{Identity, TraceId};

/// How many values a trace has in common.
const VALUES: usize = 4;

/// The values of one trace, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Common {
    /// The first that came of each.
    values: [Option<Box<str>>; VALUES],
    /// One bit for each: two spans said something different.
    ambiguous: u8,
    /// One bit for each: a span that says nothing may be stored.
    missing: u8,
}

/// Whether a span says nothing that its trace could have in common.
pub(super) fn says_nothing(identity: &Identity) -> bool {
    of(identity).iter().all(|value| value.is_none())
}

/// What a span has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Learned {
    /// A value was not known before, or two disagree now.
    pub(super) is_new: bool,
    /// And spans that were stored before it may be without it.
    pub(super) is_missing: bool,
}

fn of(identity: &Identity) -> [&Option<String>; VALUES] {
    [
        &identity.workflow,
        &identity.session,
        &identity.user,
        &identity.tenant,
    ]
}

impl Common {
    /// Who a span is about: what it says, and what its trace says where it says nothing.
    pub(super) fn complete<'a>(&self, said: &'a Identity) -> Cow<'a, Identity> {
        let mut who = Cow::Borrowed(said);
        for (place, value) in self.values.iter().enumerate() {
            let Some(value) = value else { continue };
            if self.ambiguous & 1 << place == 0 && of(said)[place].is_none() {
                let who = who.to_mut();
                let field = match place {
                    0 => &mut who.workflow,
                    1 => &mut who.session,
                    2 => &mut who.user,
                    _ => &mut who.tenant,
                };
                *field = Some(value.to_string());
            }
        }
        who
    }

    /// Takes note of what a stored span says.
    pub(super) fn learn(&mut self, said: &Identity) -> Learned {
        let mut learned = Learned::default();
        for (place, said) in of(said).into_iter().enumerate() {
            let bit = 1 << place;
            match (said, &mut self.values[place]) {
                (None, None) => self.missing |= bit,
                (None, Some(_)) => {}
                (Some(said), value @ None) => {
                    *value = Some(said.as_str().into());
                    learned.is_new = true;
                    learned.is_missing |= self.missing & bit != 0;
                }
                (Some(said), Some(known)) => {
                    if **known != **said && self.ambiguous & bit == 0 {
                        self.ambiguous |= bit;
                        learned.is_new = true;
                    }
                }
            }
        }
        learned
    }

    /// Takes note of what a span says that will be stored. Whether anything is new.
    pub(super) fn hear(&mut self, said: &Identity) -> bool {
        let missing = self.missing;
        let learned = self.learn(said);
        // It is not stored, so nothing can be missing for its sake.
        self.missing = missing;
        learned.is_new
    }

    /// A trace that is not known and whose first span says this: its number, and what it has in common.
    pub(super) fn create(
        conn: &Connection,
        id: TraceId,
        said: &Identity,
    ) -> Result<(i64, Self), StoreError> {
        conn.prepare_cached(
            "INSERT INTO traces (trace_id, workflow_id, session_id, user_id, tenant_id)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            &id.as_bytes()[..],
            &said.workflow,
            &said.session,
            &said.user,
            &said.tenant,
        ))?;
        let number = conn.last_insert_rowid();
        trace_ids::add(conn, id, number)?;
        let mut common = Self::default();
        common.hear(said);
        Ok((number, common))
    }

    /// What is written down of trace `number`.
    pub(super) fn load(conn: &Connection, number: i64) -> Result<Self, StoreError> {
        let common = conn
            .prepare_cached(
                "SELECT workflow_id, session_id, user_id, tenant_id, ambiguous FROM traces WHERE id = ?1",
            )?
            .query_row([number], |row| {
                Ok(Self {
                    values: [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?],
                    ambiguous: row.get(4)?,
                    // Nobody has written down what its spans say.
                    missing: u8::MAX,
                })
            })?;
        Ok(common)
    }

    /// Writes down what is known of trace `number`.
    pub(super) fn store(&self, conn: &Connection, number: i64) -> Result<(), StoreError> {
        let [workflow, session, user, tenant] = self.values.each_ref().map(Option::as_deref);
        conn.prepare_cached(
            "UPDATE traces SET workflow_id = ?1, session_id = ?2, user_id = ?3, tenant_id = ?4, ambiguous = ?5
             WHERE id = ?6",
        )?
        .execute((workflow, session, user, tenant, self.ambiguous, number))?;
        Ok(())
    }
}

/// A span that was completed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filled {
    /// `spans.id`
    pub(super) id: i64,
    pub(super) start_ns: i64,
    /// What it did not say before, as `names.id`, in the order of `References::who`.
    pub(super) learned: [Option<i64>; 6],
}

/// Completes the stored spans of trace `number` by what is written down of it; `id` numbers a text.
pub(super) fn fill(
    conn: &Connection,
    number: i64,
    mut id: impl FnMut(&str) -> Result<i64, StoreError>,
) -> Result<Vec<Filled>, StoreError> {
    let known = conn
        .prepare_cached(
            "SELECT iif(ambiguous & 1, NULL, workflow_id), iif(ambiguous & 2, NULL, session_id),
                    iif(ambiguous & 4, NULL, user_id), iif(ambiguous & 8, NULL, tenant_id)
             FROM traces WHERE id = ?1",
        )?
        .query_row([number], |row| {
            let text = |at| row.get::<_, Option<Box<str>>>(at);
            Ok([text(0)?, text(1)?, text(2)?, text(3)?])
        })
        .optional()?;
    let Some(known) = known else {
        return Ok(Vec::new());
    };
    let mut ids = [None; VALUES];
    for (id_of, text) in ids.iter_mut().zip(known) {
        *id_of = text.map(|text| id(&text)).transpose()?;
    }
    let [workflow, session, user, tenant] = ids;
    // A row that is complete is not written again.
    let incomplete = "trace = ?1 AND (
             workflow IS NULL AND ?2 IS NOT NULL OR session IS NULL AND ?3 IS NOT NULL
             OR user IS NULL AND ?4 IS NOT NULL OR tenant IS NULL AND ?5 IS NOT NULL
         )";
    let values = (number, workflow, session, user, tenant);
    let mut before = conn.prepare_cached(&format!(
        "SELECT id, start_ns, iif(workflow IS NULL, ?2, NULL), iif(session IS NULL, ?3, NULL),
                iif(user IS NULL, ?4, NULL), iif(tenant IS NULL, ?5, NULL)
         FROM span_rows WHERE {incomplete}"
    ))?;
    let filled = before.query_map(values, |row| {
        Ok(Filled {
            id: row.get(0)?,
            start_ns: row.get(1)?,
            learned: [
                None,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                None,
            ],
        })
    })?;
    let filled = filled.collect::<Result<_, _>>()?;
    conn.prepare_cached(&format!(
        "UPDATE span_rows SET workflow = coalesce(workflow, ?2), session = coalesce(session, ?3),
             user = coalesce(user, ?4), tenant = coalesce(tenant, ?5)
         WHERE {incomplete}"
    ))?
    .execute(values)?;
    Ok(filled)
}

#[cfg(test)]
#[path = "common_tests.rs"]
mod tests;
