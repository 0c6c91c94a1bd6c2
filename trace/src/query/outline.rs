//! Reads a trace without the bodies of its spans.

use std::collections::{HashMap, HashSet};

use loom_proto::semconv::{attribute, span as name};
use rusqlite::{Connection, OptionalExtension};

use super::Query;
use crate::error::{QueryError, StoreError};
use crate::measure::Kind;
use crate::model::{Attributes, Span, SpanId, TraceId, Value};
use crate::outline::{GenAi, Outline, OutlineLink, OutlineSpan, Step};
use crate::store::row::{SELECT, SpanReader, signed};

impl Query {
    /// The trace of that id without the bodies of its spans, at most `max_spans` of them by start; `None` if no span of it
    /// is known.
    pub async fn outline(
        &self,
        id: TraceId,
        max_spans: usize,
    ) -> Result<Option<Outline>, QueryError> {
        self.read(move |conn| read(conn, id, max_spans)).await
    }
}

fn read(conn: &Connection, id: TraceId, max_spans: usize) -> Result<Option<Outline>, StoreError> {
    let Some(number) = number(conn, id)? else {
        return Ok(None);
    };
    let count: i64 = conn
        .prepare_cached("SELECT count(*) FROM span_rows WHERE trace = ?1")?
        .query_row([number], |row| row.get(0))?;
    let max = signed(max_spans as u64);
    let truncated = count > max;
    // Sorted here: the database would sort the bodies too.
    let mut latest = i64::MAX;
    if truncated {
        latest = conn
            .prepare_cached(
                "SELECT start_ns FROM span_rows WHERE trace = ?1 ORDER BY start_ns LIMIT 1 OFFSET ?2",
            )?
            .query_row([number, max], |row| row.get(0))?;
    }
    let mut outline = Builder::new(id, truncated, model_calls(conn, number)?);
    let mut statement =
        conn.prepare_cached(&format!("{SELECT} WHERE trace = ?1 AND start_ns <= ?2"))?;
    let mut rows = statement.query([number, latest])?;
    let mut reader = SpanReader::new(conn);
    while let Some(row) = rows.next()? {
        outline.add(reader.span(row)?);
    }
    let outline = outline.finish(max_spans);
    Ok((!outline.spans.is_empty()).then_some(outline))
}

/// Number of a trace.
pub(super) fn number(conn: &Connection, id: TraceId) -> Result<Option<i64>, StoreError> {
    let number = conn
        .prepare_cached("SELECT id FROM traces WHERE trace_id = ?1")?
        .query_row([&id.as_bytes()[..]], |row| row.get(0))
        .optional()?;
    Ok(number)
}

/// Its calls of models.
fn model_calls(conn: &Connection, trace: i64) -> Result<HashSet<SpanId>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT span_id FROM span_rows JOIN measures ON measures.id = span_rows.id
         WHERE span_rows.trace = ?1 AND measures.kind = ?2",
    )?;
    let ids = statement.query_map((trace, Kind::ModelCall as u8), |row| {
        row.get::<_, [u8; 8]>(0)
    })?;
    let mut calls = HashSet::new();
    for id in ids {
        calls.extend(SpanId::from_bytes(&id?));
    }
    Ok(calls)
}

/// Texts in the order in which they came, once each.
#[derive(Default)]
struct Table {
    places: HashMap<String, u32>,
}

impl Table {
    fn place(&mut self, text: &str) -> u32 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = self.places.len() as u32;
        self.places.insert(text.to_owned(), place);
        place
    }

    fn finish(self) -> Vec<String> {
        let mut texts: Vec<_> = self.places.into_iter().collect();
        texts.sort_unstable_by_key(|&(_, place)| place);
        texts.into_iter().map(|(text, _)| text).collect()
    }
}

/// Puts spans together that come in any order.
struct Builder {
    id: TraceId,
    truncated: bool,
    model_calls: HashSet<SpanId>,
    names: Table,
    services: Table,
    agents: Table,
    scopes: Table,
    topics: Table,
    spans: Vec<(OutlineSpan, Vec<crate::model::Link>)>,
}

impl Builder {
    fn new(id: TraceId, truncated: bool, model_calls: HashSet<SpanId>) -> Self {
        Self {
            id,
            truncated,
            model_calls,
            names: Table::default(),
            services: Table::default(),
            agents: Table::default(),
            scopes: Table::default(),
            topics: Table::default(),
            spans: Vec::new(),
        }
    }

    fn add(&mut self, span: Span) {
        let said = &span.attributes;
        let step = step(&span.name);
        let wait_us = match said.get(attribute::QUEUE_WAIT_US) {
            Some(Value::Int(wait)) if step == Step::Forward => u64::try_from(*wait).ok(),
            _ => None,
        };
        let agent = span.identity.agent.as_deref();
        let light = OutlineSpan {
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            name: self.names.place(&span.name),
            service: self.services.place(span.service()),
            agent: agent.map(|agent| self.agents.place(agent)),
            scope: self.scopes.place(&span.scope.name),
            topic: topic(said).map(|topic| self.topics.place(topic)),
            kind: span.kind,
            step,
            start_ns: span.start_ns,
            end_ns: span.end_ns.max(span.start_ns),
            status: span.status.code,
            events: span.events.len() as u32,
            links: span.links.len() as u32,
            is_stand_in: span.is_stand_in(),
            is_orphan: false,
            gen_ai: if self.model_calls.contains(&span.span_id) {
                GenAi::ModelCall
            } else if is_tool(said) {
                GenAi::Tool
            } else {
                GenAi::No
            },
            wait_ns: wait_us.map(|us| us.saturating_mul(1_000)),
        };
        self.spans.push((light, span.links));
    }

    fn finish(mut self, max_spans: usize) -> Outline {
        self.spans
            .sort_by_key(|(span, _)| (span.start_ns, span.span_id));
        self.spans.truncate(max_spans);
        let known: HashSet<SpanId> = self.spans.iter().map(|(span, _)| span.span_id).collect();
        let mut links = Vec::new();
        let mut spans = Vec::with_capacity(self.spans.len());
        for (place, (mut span, its_links)) in self.spans.into_iter().enumerate() {
            let parent = span.parent_span_id;
            span.is_orphan = parent.is_some_and(|parent| !known.contains(&parent));
            spans.push(span);
            links.extend(its_links.into_iter().map(|link| OutlineLink {
                from: place as u32,
                trace_id: link.trace_id,
                span_id: link.span_id,
                attributes: link.attributes,
            }));
        }
        Outline {
            id: self.id,
            truncated: self.truncated,
            names: self.names.finish(),
            services: self.services.finish(),
            agents: self.agents.finish(),
            scopes: self.scopes.finish(),
            topics: self.topics.finish(),
            spans,
            links,
        }
    }
}

fn step(span: &str) -> Step {
    match span {
        name::BRIDGE_PUBLISH | name::BUS_PUBLISH => Step::Publish,
        name::BRIDGE_FORWARD => Step::Forward,
        name::ON_EVENT => Step::Handler,
        name::BROKER_INVOKE => Step::Invoke,
        name::ON_ACTION => Step::Action,
        _ => Step::Other,
    }
}

fn topic(said: &Attributes) -> Option<&str> {
    let keys = [attribute::TOPIC, attribute::MESSAGING_DESTINATION];
    keys.into_iter().find_map(|key| match said.get(key) {
        Some(Value::String(topic)) if !topic.is_empty() => Some(topic.as_str()),
        _ => None,
    })
}

fn is_tool(said: &Attributes) -> bool {
    let operation = said.get(attribute::GEN_AI_OPERATION_NAME);
    matches!(operation, Some(Value::String(operation)) if operation == name::EXECUTE_TOOL)
}
