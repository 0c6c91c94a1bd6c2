//! A trace as columns: one entry for each span in every column, written straight to bytes.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

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
    let answer = TraceColumns {
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

/// A whole trace without the bodies of its spans.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct TraceColumns<'a> {
    /// Its id.
    trace_id: TraceId,
    /// There are more spans than one answer may have: the latest are left out.
    truncated: bool,
    /// ns since the Unix epoch, as text because a browser would round it.
    start_ns: String,
    /// ns, as text.
    duration_ns: String,
    /// How many.
    spans: usize,
    /// Spans that failed.
    errors: usize,
    /// Spans whose parent is not there.
    orphans: usize,
    /// Spans without a parent.
    roots: usize,
    /// What `columns.name` refers to by place; the others likewise.
    names: &'a [String],
    /// Names of services.
    services: &'a [String],
    /// Ids of agents.
    agents: &'a [String],
    /// Names of instrumentation scopes.
    scopes: &'a [String],
    /// Topics.
    topics: &'a [String],
    /// One entry for each span in every column, by start and then by id.
    #[schema(value_type = ColumnsOfSpans)]
    columns: Columns<'a>,
    /// Spans of other traces that link here; 100 at most.
    linked_from: Vec<LinkFrom<'a>>,
    /// Links of its spans, 1,000 at most.
    linked_to: Vec<LinkTo<'a>>,
    /// What its duration was spent on.
    summary: Summary,
}

/// A link to a span of this trace.
#[derive(Serialize, ToSchema)]
#[schema(as = LinkFromTrace)]
struct LinkFrom<'a> {
    /// Trace of the span that links.
    trace_id: TraceId,
    /// The span that links.
    span_id: SpanId,
    /// Its name.
    name: &'a str,
    /// The span of this trace.
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

/// A link of a span of this trace.
#[derive(Serialize, ToSchema)]
#[schema(as = LinkToTrace)]
struct LinkTo<'a> {
    /// Trace of the other span.
    trace_id: TraceId,
    /// The other span.
    span_id: SpanId,
    /// The span of this trace.
    from_span_id: SpanId,
    /// The link's attributes.
    #[schema(value_type = Object)]
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

/// As [`Columns`] writes it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description")]
struct ColumnsOfSpans {
    /// Ids.
    span_id: Vec<SpanId>,
    /// Ids of the spans above; null: a root.
    parent_span_id: Vec<Option<SpanId>>,
    /// Place in `names`.
    name: Vec<u32>,
    /// Place in `services`.
    service: Vec<u32>,
    /// Place in `agents`.
    agent: Vec<Option<u32>>,
    /// Place in `scopes`.
    scope: Vec<u32>,
    /// Place in `topics`.
    topic: Vec<Option<u32>>,
    /// OTLP's number: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    kind: Vec<u8>,
    /// ns after the trace's start.
    start: Vec<u64>,
    /// ns.
    duration: Vec<u64>,
    /// OTLP's number: 0 unset, 1 ok, 2 error.
    status: Vec<u8>,
    /// How many.
    events: Vec<u32>,
    /// How many.
    links: Vec<u32>,
    /// Bit 0: a stand-in, 1: its parent is not there, 2: a model call, 3: a tool.
    flags: Vec<u8>,
    /// ns that the event lay in a mailbox before; null where that was not measured.
    wait: Vec<Option<u64>>,
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
