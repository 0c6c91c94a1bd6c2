//! The one writer: spans and the spool's position in one transaction.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use foldhash::HashSet;
use rusqlite::{CachedStatement, Connection};

use super::blocks::{self, List, Lists, Sample};
use super::common::says_nothing;
use super::interned::{Interned, Traces};
use super::row::{self, References, Stored};
use super::rows::Rows;
use super::shape::Known;
use super::shapes::Shapes;
use super::trace_ids;
use crate::error::StoreError;
use crate::measure::{Measures, measure, number};
use crate::model::value::to_json;
use crate::model::{Identity, Resource, Scope, Span, SpanId, TraceId};
use crate::prices::Prices;
use crate::spool::Position;

/// Owns the writing connection.
#[derive(Debug)]
pub struct Writer {
    conn: Connection,
    memory: Memory,
    prices: Prices,
    /// Names are looked through when the oldest span has this id.
    swept_to: i64,
}

/// What is remembered of rows that spans refer to. All of it can be forgotten at any time.
#[derive(Debug)]
struct Memory {
    traces: Traces,
    services: Interned,
    resources: Interned,
    scopes: Interned,
    operations: Interned,
    names: Interned,
    shape_texts: Interned,
    shapes: Shapes,
    /// The resource and scope of the last span with their ids: spans of one batch share them.
    last: Option<(Arc<Resource>, Arc<Scope>, Owner)>,
    /// Operations that this transaction has noted: service, name and kind.
    noted: HashSet<(i64, i64, u8)>,
    /// What this transaction adds to the lists.
    lists: Lists,
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
                names: Interned::names(),
                shape_texts: Interned::shapes(),
                shapes: Shapes::default(),
                noted: HashSet::default(),
                last: None,
                lists: Lists::default(),
                key: String::new(),
            },
            prices,
            swept_to: 0,
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
            batch.rows.flush()?;
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
        self.memory.fill(&self.conn)?;
        self.memory.lists.write(&self.conn)?;
        trace_ids::settle(&self.conn)?;
        self.memory.noted.clear();
        let newest = blocks::last_id(&self.conn)?;
        for table in self.memory.tables() {
            table.touch(&self.conn, newest)?;
        }
        self.conn.execute_batch("COMMIT")?;
        Ok(())
    }

    /// Drops everything that is remembered about rows.
    pub(super) fn forget(&mut self) {
        self.memory.last = None;
        self.memory.noted.clear();
        self.memory.lists.clear();
        self.memory.traces.clear();
        self.memory.shapes.clear();
        for table in self.memory.tables() {
            table.clear();
        }
    }

    /// The connection, the traces that are remembered, and the span at which names are looked for next that nobody uses.
    pub(super) fn parts(&mut self) -> (&mut Connection, &mut Traces, &mut i64) {
        (&mut self.conn, &mut self.memory.traces, &mut self.swept_to)
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
    rows: Rows<'w>,
    measures: CachedStatement<'w>,
    memory: &'w mut Memory,
    prices: &'w Prices,
    written: Written,
    /// The next span gets it.
    next_id: i64,
    /// Traces from this number on are of this transaction: what is stored of them is in `ids`.
    first_new: i64,
    ids: HashSet<(i64, SpanId)>,
}

impl<'w> Batch<'w> {
    fn new(writer: &'w mut Writer) -> Result<Self, StoreError> {
        let conn = &writer.conn;
        let first_new = "SELECT coalesce(max(id), 0) + 1 FROM traces";
        Ok(Self {
            conn,
            rows: Rows::new(conn)?,
            measures: conn.prepare_cached(row::INSERT_MEASURES)?,
            next_id: blocks::last_id(conn)? + 1,
            first_new: conn
                .prepare_cached(first_new)?
                .query_row([], |row| row.get(0))?,
            memory: &mut writer.memory,
            prices: &writer.prices,
            written: Written::default(),
            ids: HashSet::default(),
        })
    }

    /// Tells what a span of this trace says that this transaction will store: spans that are stored before it need not be
    /// completed then.
    pub fn announce(&mut self, trace: TraceId, said: &Identity) -> Result<(), StoreError> {
        if says_nothing(said) {
            return Ok(());
        }
        let trace = self.memory.traces.of(self.conn, trace, said)?;
        if trace.common.hear(said) {
            trace.common.store(self.conn, trace.number)?;
        }
        Ok(())
    }

    /// Stores a span, or counts it as a duplicate. A span takes the place of one that only stood in for it.
    pub fn insert(&mut self, span: &Span, received_ms: u64) -> Result<(), StoreError> {
        let owner = self.memory.owner(self.conn, span)?;
        let trace = self
            .memory
            .traces
            .of(self.conn, span.trace_id, &span.identity)?;
        let number = trace.number;
        let who = trace.common.complete(&span.identity);
        let refs = References {
            trace: number,
            service: owner.service,
            resource: owner.resource,
            scope: owner.scope,
            name: self.memory.names.text(self.conn, &span.name)?,
            who: self.memory.who(self.conn, &who)?,
        };
        let event = row::event(span);
        let known = Known {
            trace_id: span.trace_id,
            span_id: span.span_id,
            event: event.map(|(text, _)| text),
            who: &who,
        };
        let shapes = &mut self.memory.shape_texts;
        let attributes = self.memory.shapes.pack(&span.attributes, &known, |body| {
            shapes.text(self.conn, body)
        })?;
        let event = event.map(|(_, bytes)| bytes);
        let stored = Stored::of(span, self.next_id, refs, event, attributes, received_ms);
        // The first span of a trace is of this transaction, and so is every other: what is not among them is not there.
        let is_new = number >= self.first_new && self.ids.insert((number, span.span_id));
        if is_new {
            self.rows.add(stored)?;
        } else if !self.insert_where_free(span, &stored)? {
            return Ok(());
        }
        let id = self.next_id;
        self.next_id += 1;
        self.written.stored += u64::from(is_new);
        self.memory.list(span, id, refs);
        if let Some(measures) = measure(span, self.prices) {
            row::insert_measures(&mut self.measures, id, span, &who, number, &measures)?;
            let sample = self.memory.sample(self.conn, span, id, refs, &measures)?;
            self.memory.lists.sample(sample);
            self.written.unpriced += u64::from(measures.is_unpriced());
        }
        row::insert_links(self.conn, span, id)?;
        self.memory.note_common(self.conn, span)?;
        self.memory.note_operation(self.conn, span, refs)
    }
}

impl Batch<'_> {
    /// Inserts a span whose place may be taken; false when it stays with the one that is there.
    fn insert_where_free(&mut self, span: &Span, row: &Stored) -> Result<bool, StoreError> {
        if self.rows.insert(row)? {
            self.written.stored += 1;
            return Ok(true);
        }
        self.written.duplicates += 1;
        if span.is_stand_in() {
            return Ok(false);
        }
        let there = self.rows.in_place_of(row)?;
        if there.is_stand_in() {
            self.rows.remove(row)?;
            return self.rows.insert(row);
        }
        // Sent before, or another one with the same id.
        let is_the_same = there.name == span.name && there.start_ns == span.start_ns;
        self.written.conflicts += u64::from(!is_the_same);
        Ok(false)
    }
}

impl Memory {
    fn tables(&mut self) -> [&mut Interned; 6] {
        [
            &mut self.services,
            &mut self.resources,
            &mut self.scopes,
            &mut self.operations,
            &mut self.names,
            &mut self.shape_texts,
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

    /// Puts a span into the lists in which it is looked for.
    fn list(&mut self, span: &Span, id: i64, refs: References) {
        let start_ns = row::signed(span.start_ns);
        self.lists.open(id, start_ns);
        self.lists.add(List::Service, refs.service, id, start_ns);
        self.lists.add_who(refs.who, id, start_ns);
        if span.is_error() {
            self.lists.add(List::Failed, 0, id, start_ns);
        }
    }

    fn sample(
        &mut self,
        conn: &Connection,
        span: &Span,
        id: i64,
        refs: References,
        measures: &Measures,
    ) -> Result<Sample, StoreError> {
        let [agent, workflow, ..] = refs.who;
        let mut phases = Vec::with_capacity(measures.phases.len());
        for (name, value) in measures.phases.iter() {
            let name = self.names.text(conn, name)?;
            phases.extend(number(value).map(|ms| (name, ms)));
        }
        Ok(Sample {
            start_ns: row::signed(span.start_ns),
            id,
            trace: refs.trace,
            agent,
            workflow,
            kind: measures.kind,
            is_error: span.is_error(),
            duration_ns: measures.duration_ns.map(row::signed),
            ttft_ms: measures.ttft_ms,
            prompt_tokens: measures.prompt_tokens,
            completion_tokens: measures.completion_tokens,
            total_tokens: measures.total_tokens,
            cost_usd: measures.cost_usd,
            phases,
        })
    }

    /// Completes the spans of which more is known now, and puts them into the lists of what they are about too.
    fn fill(&mut self, conn: &Connection) -> Result<(), StoreError> {
        for span in self.traces.fill(conn, &mut self.names)? {
            self.lists.add_who(span.learned, span.id, span.start_ns);
            if let Some(sample) = blocks::stored_sample(conn, span.id)? {
                self.lists.sample(sample);
            }
        }
        Ok(())
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

    fn note_operation(
        &mut self,
        conn: &Connection,
        span: &Span,
        refs: References,
    ) -> Result<(), StoreError> {
        if !self
            .noted
            .insert((refs.service, refs.name, span.kind as u8))
        {
            return Ok(());
        }
        let (service, name, kind) = (span.service(), span.name.as_str(), span.kind as u8);
        self.key.clear();
        // No two operations have one key: the number of bytes says where the name ends. Writing to a String does not
        // fail.
        _ = write!(self.key, "{kind} {} {name}{service}", name.len());
        self.operations.id(conn, &self.key, (service, name, kind))?;
        Ok(())
    }

    fn who(&mut self, conn: &Connection, who: &Identity) -> Result<[Option<i64>; 6], StoreError> {
        let mut ids = [None; 6];
        let texts = [
            &who.agent,
            &who.workflow,
            &who.session,
            &who.user,
            &who.tenant,
            &who.thread,
        ];
        for (id, text) in ids.iter_mut().zip(texts) {
            if let Some(text) = text {
                *id = Some(self.names.text(conn, text)?);
            }
        }
        Ok(ids)
    }
}
