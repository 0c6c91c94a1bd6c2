//! A trace as columns: one entry for each span in every column, written straight to bytes.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::span::Plain;
use crate::critical_path::{Summary, critical_path};
use crate::model::{SpanId, StatusCode, TraceId};
use crate::outline::{GenAi, Outline, OutlineLink, OutlineSpan};
use crate::query::LinkedFrom;

/// Links of one answer at most.
const MAX_LINKS: usize = 1_000;
/// Bytes that a span takes in the answer, roughly.
const SPAN_BYTES: usize = 100;

/// The body of the answer.
pub(super) fn body(outline: &Outline, linked_from: &[LinkedFrom]) -> Vec<u8> {
    let start_ns = outline.start_ns();
    let count = |is: fn(&OutlineSpan) -> bool| outline.spans.iter().filter(|span| is(span)).count();
    let answer = Answer {
        trace_id: outline.id,
        truncated: outline.truncated,
        start_ns: start_ns.to_string(),
        duration_ns: (outline.end_ns() - start_ns).to_string(),
        spans: outline.spans.len(),
        errors: count(|span| span.status == StatusCode::Error),
        orphans: count(|span| span.is_orphan),
        roots: count(|span| span.parent_span_id.is_none()),
        names: &outline.names,
        services: &outline.services,
        agents: &outline.agents,
        scopes: &outline.scopes,
        topics: &outline.topics,
        columns: Columns {
            spans: &outline.spans,
            start_ns,
        },
        linked_from: linked_from.iter().map(From::from).collect(),
        linked_to: outline
            .links
            .iter()
            .take(MAX_LINKS)
            .map(|link| LinkTo::of(link, outline))
            .collect(),
        summary: Summary::of(&critical_path(outline)),
    };
    let mut body = Vec::with_capacity(1024 + SPAN_BYTES * outline.spans.len());
    // As in `to_json`: there is nothing in it that JSON cannot say, and writing to memory does not fail.
    serde_json::to_writer(&mut body, &answer).expect("plain data with texts as keys");
    body
}

#[derive(Serialize)]
struct Answer<'a> {
    trace_id: TraceId,
    truncated: bool,
    start_ns: String,
    duration_ns: String,
    spans: usize,
    errors: usize,
    orphans: usize,
    roots: usize,
    names: &'a [String],
    services: &'a [String],
    agents: &'a [String],
    scopes: &'a [String],
    topics: &'a [String],
    columns: Columns<'a>,
    linked_from: Vec<LinkFrom<'a>>,
    linked_to: Vec<LinkTo<'a>>,
    summary: Summary,
}

#[derive(Serialize)]
struct LinkFrom<'a> {
    trace_id: TraceId,
    span_id: SpanId,
    name: &'a str,
    to_span_id: SpanId,
}

impl<'a> From<&'a LinkedFrom> for LinkFrom<'a> {
    fn from(link: &'a LinkedFrom) -> Self {
        Self {
            trace_id: link.trace_id,
            span_id: link.span_id,
            name: &link.name,
            to_span_id: link.to,
        }
    }
}

#[derive(Serialize)]
struct LinkTo<'a> {
    trace_id: TraceId,
    span_id: SpanId,
    from_span_id: SpanId,
    attributes: Plain<'a>,
}

impl<'a> LinkTo<'a> {
    fn of(link: &'a OutlineLink, outline: &Outline) -> Self {
        Self {
            trace_id: link.trace_id,
            span_id: link.span_id,
            from_span_id: outline.spans[link.from as usize].span_id,
            attributes: Plain::Map(&link.attributes),
        }
    }
}

struct Columns<'a> {
    spans: &'a [OutlineSpan],
    start_ns: u64,
}

/// One column: a value of each span.
struct Column<'a, F>(&'a [OutlineSpan], F);

impl<T: Serialize, F: Fn(&OutlineSpan) -> T> Serialize for Column<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { spans, start_ns } = *self;
        let mut columns = serializer.serialize_struct("Columns", 15)?;
        macro_rules! column {
            ($name:literal, |$span:ident| $of:expr) => {
                columns.serialize_field($name, &Column(spans, |$span: &OutlineSpan| $of))?;
            };
        }
        column!("span_id", |span| Hex(*span.span_id.as_bytes()));
        column!("parent_span_id", |span| span
            .parent_span_id
            .map(|id| Hex(*id.as_bytes())));
        column!("name", |span| span.name);
        column!("service", |span| span.service);
        column!("agent", |span| span.agent);
        column!("scope", |span| span.scope);
        column!("topic", |span| span.topic);
        column!("kind", |span| span.kind as u8);
        column!("start", |span| span.start_ns - start_ns);
        column!("duration", |span| span.end_ns - span.start_ns);
        column!("status", |span| span.status as u8);
        column!("events", |span| span.events);
        column!("links", |span| span.links);
        column!("flags", |span| flags(span));
        column!("wait", |span| span.wait_ns);
        columns.end()
    }
}

fn flags(span: &OutlineSpan) -> u8 {
    u8::from(span.is_stand_in)
        | u8::from(span.is_orphan) << 1
        | u8::from(span.gen_ai == GenAi::ModelCall) << 2
        | u8::from(span.gen_ai == GenAi::Tool) << 3
}

/// A span's id as text. Ids are half of the answer: written by table, they take a tenth of the time of the formatter.
struct Hex([u8; 8]);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 16];
        for (place, byte) in self.0.into_iter().enumerate() {
            text[2 * place] = DIGITS[usize::from(byte >> 4)];
            text[2 * place + 1] = DIGITS[usize::from(byte & 15)];
        }
        let text = std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(text)
    }
}
