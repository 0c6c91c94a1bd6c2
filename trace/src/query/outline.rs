//! Reads a trace without the bodies of its spans.

use foldhash::{HashMap, HashSet};
use loom_proto::semconv::{attribute, span as name};
use rusqlite::{Connection, Row};
use rustc_hash::FxHashMap;
use serde::de::IgnoredAny;

use super::Query;
use super::topology::topic;
use crate::error::{QueryError, StoreError};
use crate::measure::{OPENINFERENCE_KIND, is_model_call};
use crate::model::{Attributes, Link, SpanId, SpanKind, StatusCode, TraceId, Value, is_stand_in};
use crate::outline::{GenAi, Outline, OutlineLink, OutlineSpan, Step};
use crate::store::row::{
    SAID, SAID_SPAN_ID, SAID_WIDTH, SaidReader, from_json, json_text, parent_span_id, signed,
    span_id, unsigned,
};
use crate::store::trace_ids;

/// Attributes of which an outline tells.
const KEYS: [&str; 10] = [
    attribute::TOPIC,
    attribute::MESSAGING_DESTINATION,
    attribute::STAND_IN,
    attribute::QUEUE_WAIT_US,
    attribute::GEN_AI_OPERATION_NAME,
    attribute::GEN_AI_REQUEST_MODEL,
    attribute::GEN_AI_INPUT_TOKENS,
    attribute::GEN_AI_OUTPUT_TOKENS,
    attribute::GEN_AI_TOTAL_TOKENS,
    OPENINFERENCE_KIND,
];

/// The columns that [`Builder::add`] reads.
const COLUMNS: &str = "name, agent, resource_id, scope_id, parent_span_id, kind, start_ns, start_ns + took_ns, status, events, links";

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
    let Some(number) = trace_ids::number(conn, id)? else {
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
    let mut outline = Builder::new(conn, id, truncated);
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {SAID}, {COLUMNS} FROM span_rows WHERE trace = ?1 AND start_ns <= ?2"
    ))?;
    let mut rows = statement.query([number, latest])?;
    while let Some(row) = rows.next()? {
        outline.add(row)?;
    }
    let outline = outline.finish(max_spans);
    Ok((!outline.spans.is_empty()).then_some(outline))
}

/// Texts in the order in which they came, once each.
#[derive(Default)]
struct Table {
    places: HashMap<String, u32>,
    /// By the numbers that the store has for them, some of which have the same text.
    numbers: FxHashMap<i64, u32>,
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

    /// The place of the text with that number.
    fn numbered(
        &mut self,
        number: i64,
        text: impl FnOnce(i64) -> Result<String, StoreError>,
    ) -> Result<u32, StoreError> {
        if let Some(place) = self.numbers.get(&number) {
            return Ok(*place);
        }
        let place = self.place(&text(number)?);
        self.numbers.insert(number, place);
        Ok(place)
    }

    fn finish(self) -> Vec<String> {
        let mut texts: Vec<_> = self.places.into_iter().collect();
        texts.sort_unstable_by_key(|&(_, place)| place);
        texts.into_iter().map(|(text, _)| text).collect()
    }
}

/// Puts spans together that come in any order.
struct Builder<'c> {
    id: TraceId,
    truncated: bool,
    said: SaidReader<'c>,
    names: Table,
    services: Table,
    agents: Table,
    scopes: Table,
    topics: Table,
    spans: Vec<(OutlineSpan, Vec<Link>)>,
}

impl<'c> Builder<'c> {
    fn new(conn: &'c Connection, id: TraceId, truncated: bool) -> Self {
        Self {
            id,
            truncated,
            said: SaidReader::new(conn, &KEYS),
            names: Table::default(),
            services: Table::default(),
            agents: Table::default(),
            scopes: Table::default(),
            topics: Table::default(),
            spans: Vec::new(),
        }
    }

    fn add(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        let said = self.said.said(row)?;
        let referred = &mut self.said.referred;
        let at = |column: usize| SAID_WIDTH + column;
        let name = row.get(at(0))?;
        let place = self
            .names
            .numbered(name, |name| referred.names.text(name))?;
        let name = referred.names.find(name)?.unwrap_or_default();
        let step = step(name);
        let gen_ai = if is_model_call(name, &said) {
            GenAi::ModelCall
        } else if is_tool(&said) {
            GenAi::Tool
        } else {
            GenAi::No
        };
        let wait_us = match said.get(attribute::QUEUE_WAIT_US) {
            Some(Value::Int(wait)) if step == Step::Forward => u64::try_from(*wait).ok(),
            _ => None,
        };
        let agent: Option<i64> = row.get(at(1))?;
        let agent = agent.map(|agent| {
            self.agents
                .numbered(agent, |agent| referred.names.text(agent))
        });
        let service = |resource| Ok(referred.resource(resource)?.service().to_owned());
        let service = self.services.numbered(row.get(at(2))?, service)?;
        let scope = |scope| Ok(referred.scope(scope)?.name.clone());
        let scope = self.scopes.numbered(row.get(at(3))?, scope)?;
        let start_ns = unsigned(row.get(at(6))?);
        let events: Vec<IgnoredAny> = from_json("events", json_text(row, at(9))?)?;
        let links: Vec<Link> = from_json("links", json_text(row, at(10))?)?;
        let span = OutlineSpan {
            span_id: span_id(row, SAID_SPAN_ID)?,
            parent_span_id: parent_span_id(row, at(4))?,
            name: place,
            service,
            agent: agent.transpose()?,
            scope,
            topic: topic(&said).map(|topic| self.topics.place(topic)),
            kind: SpanKind::from_number(row.get(at(5))?),
            step,
            start_ns,
            end_ns: unsigned(row.get(at(7))?).max(start_ns),
            status: StatusCode::from_number(row.get(at(8))?),
            events: events.len() as u32,
            links: links.len() as u32,
            is_stand_in: is_stand_in(&said),
            is_orphan: false,
            gen_ai,
            wait_ns: wait_us.map(|us| us.saturating_mul(1_000)),
        };
        self.spans.push((span, links));
        Ok(())
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

fn is_tool(said: &Attributes) -> bool {
    let operation = said.get(attribute::GEN_AI_OPERATION_NAME);
    matches!(operation, Some(Value::String(operation)) if operation == name::EXECUTE_TOOL)
}

#[cfg(test)]
#[path = "outline_tests.rs"]
mod tests;
