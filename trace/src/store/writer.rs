//! The one writer: spans and the spool's position in one transaction.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use loom_proto::semconv::attribute;
use rusqlite::{CachedStatement, Connection};

use super::interned::{Interned, Traces};
use super::row::{self, References};
use crate::error::StoreError;
use crate::measure::measure;
use crate::model::value::to_json;
use crate::model::{Resource, Scope, Span};
use crate::prices::Prices;
use crate::spool::Position;

/// Owns the writing connection.
#[derive(Debug)]
pub struct Writer {
    conn: Connection,
    memory: Memory,
    prices: Prices,
}

/// What is remembered of rows that spans refer to. All of it can be forgotten at any time.
#[derive(Debug)]
struct Memory {
    traces: Traces,
    services: Interned,
    resources: Interned,
    scopes: Interned,
    operations: Interned,
    /// The resource and scope of the last span with their ids: spans of one batch share them.
    last: Option<(Arc<Resource>, Arc<Scope>, Owner)>,
    /// Kept for its capacity.
    key: String,
}

/// Ids that all spans of one resource and scope have in common.
#[derive(Debug, Clone, Copy)]
struct Owner {
    service: i64,
    resource: i64,
    scope: i64,
}

/// What one transaction has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Spans stored.
    pub stored: u64,
    /// Spans that were there already.
    pub duplicates: u64,
    /// Those of them that were another span with the same id.
    pub conflicts: u64,
    /// Stored calls of models whose tokens are known and whose price is not.
    pub unpriced: u64,
}

impl Writer {
    /// Opens or creates the database. Model calls are priced by this table.
    pub fn open(path: &Path, prices: Prices) -> Result<Self, StoreError> {
        Ok(Self {
            conn: super::open(path)?,
            memory: Memory {
                traces: Traces::default(),
                services: Interned::services(),
                resources: Interned::resources(),
                scopes: Interned::scopes(),
                operations: Interned::operations(),
                last: None,
                key: String::new(),
            },
            prices,
        })
    }

    /// How far the spool was indexed when the last transaction was committed.
    pub fn position(&self) -> Result<Position, StoreError> {
        Ok(self
            .conn
            .query_row("SELECT segment, byte FROM spool_position", [], |row| {
                Ok(Position {
                    segment: row.get::<_, i64>(0)?.cast_unsigned(),
                    offset: row.get::<_, i64>(1)?.cast_unsigned(),
                })
            })?)
    }

    /// Runs `work` in one transaction that also stores the position it returns. On any error nothing has happened.
    pub fn transaction<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<(Position, T), E>,
    ) -> Result<(Written, T), E> {
        self.conn
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(StoreError::from)?;
        let result = Batch::new(self).map_err(E::from).and_then(|mut batch| {
            let (position, value) = work(&mut batch)?;
            Ok((position, value, batch.written))
        });
        let result = result.and_then(|(position, value, written)| {
            self.commit(position)?;
            Ok((written, value))
        });
        if result.is_err() {
            if let Err(error) = self.conn.execute_batch("ROLLBACK") {
                // SQLite rolls back by itself after some errors, a full disk for example.
                tracing::debug!(%error, "nothing to roll back");
            }
            // The ids that the transaction gave are void.
            self.forget();
        }
        result
    }

    fn commit(&mut self, position: Position) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("UPDATE spool_position SET segment = ?1, byte = ?2")?
            .execute([row::signed(position.segment), row::signed(position.offset)])?;
        self.memory.traces.fill(&self.conn)?;
        let newest = "SELECT coalesce(max(id), 0) FROM spans";
        let newest = self.conn.query_row(newest, [], |row| row.get(0))?;
        for table in self.memory.tables() {
            table.touch(&self.conn, newest)?;
        }
        self.conn.execute_batch("COMMIT")?;
        Ok(())
    }

    /// Drops everything that is remembered about rows.
    pub(super) fn forget(&mut self) {
        self.memory.last = None;
        self.memory.traces.clear();
        for table in self.memory.tables() {
            table.clear();
        }
    }

    pub(super) fn parts(&mut self) -> (&mut Connection, &mut Traces) {
        (&mut self.conn, &mut self.memory.traces)
    }

    /// Moves all of the WAL into the database file, for a clean end.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// A running transaction.
#[expect(
    missing_debug_implementations,
    reason = "a prepared statement has none"
)]
pub struct Batch<'w> {
    conn: &'w Connection,
    /// Held for the whole transaction: finding it anew for each span is a tenth of the span's cost.
    insert: CachedStatement<'w>,
    memory: &'w mut Memory,
    prices: &'w Prices,
    written: Written,
}

impl<'w> Batch<'w> {
    fn new(writer: &'w mut Writer) -> Result<Self, StoreError> {
        Ok(Self {
            conn: &writer.conn,
            insert: writer.conn.prepare_cached(row::INSERT)?,
            memory: &mut writer.memory,
            prices: &writer.prices,
            written: Written::default(),
        })
    }

    /// Stores a span, or counts it as a duplicate. A span takes the place of one that only stood in for it.
    pub fn insert(&mut self, span: &Span, received_ms: u64) -> Result<(), StoreError> {
        let owner = self.memory.owner(self.conn, span)?;
        let trace = self
            .memory
            .traces
            .of(self.conn, span.trace_id, &span.identity)?;
        let refs = References {
            trace: trace.number,
            service: owner.service,
            resource: owner.resource,
            scope: owner.scope,
        };
        let who = trace.common.complete(&span.identity);
        row::bind(&mut self.insert, span, &who, refs, received_ms)?;
        if self.insert.raw_execute()? == 0 {
            self.written.duplicates += 1;
            if span.is_stand_in() {
                return Ok(());
            }
            if !self.remove_stand_in(span, refs)? {
                self.written.conflicts += u64::from(!self.is_the_same(span, refs)?);
                return Ok(());
            }
            self.insert.raw_execute()?;
        } else {
            self.written.stored += 1;
        }
        // Before anything else is inserted: it is the id of the span. Measures have the same, and links have none.
        let id = self.conn.last_insert_rowid();
        if let Some(measures) = measure(span, self.prices) {
            row::insert_measures(self.conn, span, &who, refs.trace, &measures)?;
            self.written.unpriced += u64::from(measures.is_unpriced());
        }
        row::insert_links(self.conn, span, id)?;
        self.memory.note_common(self.conn, span)?;
        self.memory.note_operation(self.conn, span)
    }
}

impl Batch<'_> {
    /// Makes room for a span whose place is taken by another; false when that is no stand-in.
    fn remove_stand_in(&self, span: &Span, refs: References) -> Result<bool, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "DELETE FROM spans WHERE trace = ?1 AND span_id = ?2
             AND json_extract(attributes, '$.\"' || ?3 || '\"') IS TRUE",
        )?;
        let id = &span.span_id.as_bytes()[..];
        Ok(statement.execute((refs.trace, id, attribute::STAND_IN))? > 0)
    }

    /// Whether the span that is there was sent before, and not another one with the same id.
    fn is_the_same(&self, span: &Span, refs: References) -> Result<bool, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT 1 FROM spans WHERE trace = ?1 AND span_id = ?2 AND name = ?3 AND start_ns = ?4",
        )?;
        let id = &span.span_id.as_bytes()[..];
        let start = row::signed(span.start_ns);
        Ok(statement.exists((refs.trace, id, &span.name, start))?)
    }
}

impl Memory {
    fn tables(&mut self) -> [&mut Interned; 4] {
        [
            &mut self.services,
            &mut self.resources,
            &mut self.scopes,
            &mut self.operations,
        ]
    }

    fn owner(&mut self, conn: &Connection, span: &Span) -> Result<Owner, StoreError> {
        if let Some((resource, scope, owner)) = &self.last
            && Arc::ptr_eq(resource, &span.resource)
            && Arc::ptr_eq(scope, &span.scope)
        {
            return Ok(*owner);
        }
        let mut id =
            |table: fn(&mut Self) -> &mut Interned, text: &str| table(self).id(conn, text, [text]);
        let owner = Owner {
            service: id(|memory| &mut memory.services, span.service())?,
            resource: id(|memory| &mut memory.resources, &to_json(&*span.resource))?,
            scope: id(|memory| &mut memory.scopes, &to_json(&*span.scope))?,
        };
        self.last = Some((Arc::clone(&span.resource), Arc::clone(&span.scope), owner));
        Ok(owner)
    }

    /// What the span says of its trace is what the other spans of the trace take over.
    fn note_common(&mut self, conn: &Connection, span: &Span) -> Result<(), StoreError> {
        let trace = self.traces.of(conn, span.trace_id, &span.identity)?;
        let learned = trace.common.learn(&span.identity);
        if learned.is_new {
            let number = trace.number;
            trace.common.store(conn, number)?;
            if learned.is_missing {
                self.traces.fill_later(number);
            }
        }
        Ok(())
    }

    fn note_operation(&mut self, conn: &Connection, span: &Span) -> Result<(), StoreError> {
        let (service, name, kind) = (span.service(), span.name.as_str(), span.kind as u8);
        self.key.clear();
        // No two operations have one key: the number of bytes says where the name ends. Writing to a String does not
        // fail.
        _ = write!(self.key, "{kind} {} {name}{service}", name.len());
        self.operations.id(conn, &self.key, (service, name, kind))?;
        Ok(())
    }
}
