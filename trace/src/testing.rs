//! Spans and OTLP requests for the tests of this crate.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1 as otlp;

use crate::error::StoreError;
use crate::model::{
    Identity, Resource, Scope, Span, SpanId, SpanKind, Status, StatusCode, Trace, TraceId, Value,
};
use crate::prices::Prices;
use crate::spool::Position;
use crate::store::row::{SELECT, SpanReader};
use crate::store::{self, Retention, Writer};

pub(crate) const MS: u64 = 1_000_000;
/// 2026-01-01T00:00:00Z
pub(crate) const BASE: u64 = 1_767_225_600_000_000_000;

pub(crate) fn trace_id(number: u8) -> TraceId {
    TraceId::from_bytes(&[number; 16]).expect("not zero")
}

pub(crate) fn span_id(number: u64) -> SpanId {
    SpanId::from_bytes(&number.to_be_bytes()).expect("not zero")
}

/// A span of trace 1: its id, its parent's id or 0, its name, start and end in ms after [`BASE`].
pub(crate) fn span(id: u64, parent: u64, name: &str, start_ms: u64, end_ms: u64) -> Span {
    Span {
        trace_id: trace_id(1),
        span_id: span_id(id),
        parent_span_id: SpanId::from_bytes(&parent.to_be_bytes()),
        trace_state: String::new(),
        flags: 1,
        name: name.to_owned(),
        kind: SpanKind::Internal,
        start_ns: BASE + start_ms * MS,
        end_ns: BASE + end_ms * MS,
        status: Status::default(),
        attributes: crate::model::Attributes::default(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        identity: Identity::default(),
        resource: service("svc"),
        scope: Arc::new(Scope::default()),
    }
}

impl Span {
    pub(crate) fn of(mut self, name: &str) -> Self {
        self.resource = service(name);
        self
    }

    pub(crate) fn failed(mut self, why: &str) -> Self {
        self.status = Status {
            code: StatusCode::Error,
            message: why.to_owned(),
        };
        self
    }
}

pub(crate) fn service(name: &str) -> Arc<Resource> {
    Arc::new(Resource {
        attributes: [("service.name", Value::from(name))].into_iter().collect(),
        ..Resource::default()
    })
}

pub(crate) fn trace(spans: Vec<Span>) -> Trace {
    Trace {
        id: spans[0].trace_id,
        spans,
        truncated: false,
    }
}

/// A database with these spans, and the folder that it is in.
pub(crate) fn stored(spans: &[Span]) -> (tempfile::TempDir, rusqlite::Connection) {
    let dir = tempfile::tempdir().expect("a folder");
    let prices = Prices::own().expect("readable");
    let mut writer = Writer::open(&dir.path().join(store::FILE), prices).expect("opens");
    insert(&mut writer, spans);
    let conn = reader(&dir);
    (dir, conn)
}

/// Writes to the database in a folder.
pub(crate) fn writer(dir: &tempfile::TempDir) -> Writer {
    Writer::open(&dir.path().join(store::FILE), Prices::default()).expect("opens")
}

/// Reads the database in a folder.
pub(crate) fn reader(dir: &tempfile::TempDir) -> rusqlite::Connection {
    store::open_reader(&dir.path().join(store::FILE)).expect("opens")
}

/// Stores these spans in one transaction.
pub(crate) fn insert(writer: &mut Writer, spans: &[Span]) {
    let written = writer.transaction::<_, StoreError>(|batch| {
        spans.iter().try_for_each(|span| batch.insert(span, 0))?;
        Ok((Position::default(), ()))
    });
    written.expect("written");
}

/// Stores these spans in a transaction that fails.
pub(crate) fn insert_and_fail(writer: &mut Writer, spans: &[Span]) {
    let failed = writer.transaction::<(), StoreError>(|batch| {
        spans.iter().try_for_each(|span| batch.insert(span, 0))?;
        Err(rusqlite::Error::InvalidQuery.into())
    });
    assert!(failed.is_err(), "{failed:?}");
}

/// Everything that is stored in a folder, in the order in which it came.
pub(crate) fn all_spans(dir: &tempfile::TempDir) -> Vec<Span> {
    let conn = reader(dir);
    let mut reader = SpanReader::new(&conn);
    let mut statement = conn
        .prepare(&format!("{SELECT} ORDER BY id"))
        .expect("valid");
    let mut rows = statement.query([]).expect("runs");
    let mut spans = Vec::new();
    while let Some(row) = rows.next().expect("runs") {
        spans.push(reader.span(row).expect("readable"));
    }
    spans
}

/// Lets spans go until no more than these are left, and what is with them in their traces.
pub(crate) fn expire_to(writer: &mut Writer, max_spans: u64) {
    let retention = Retention {
        max_age_s: 0,
        max_spans,
        max_bytes: 0,
    };
    while writer.expire(&retention, 0).expect("deleted") > 0 {}
}

/// How SQLite goes about a statement with these values, step by step.
pub(crate) fn plan(
    conn: &rusqlite::Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Vec<String> {
    let explained = format!("EXPLAIN QUERY PLAN {sql}");
    let mut statement = conn.prepare(&explained).expect(sql);
    let steps = statement.query_map(values, |row| row.get("detail"));
    steps.and_then(Iterator::collect).expect(sql)
}

/// Nine spans, one reading that went from a sensor over a processor to an output.
pub(crate) fn golden_chain() -> Vec<Span> {
    let names = [
        ("sensor.emit_data", "sensor", 0, 1),
        ("bridge.publish", "loom", 1, 2),
        ("EventBus.publish", "loom", 1, 2),
        ("bridge.forward", "loom", 2, 3),
        ("agent.on_event", "processor", 4, 8),
        ("bridge.publish", "loom", 7, 8),
        ("EventBus.publish", "loom", 7, 8),
        ("bridge.forward", "loom", 8, 9),
        ("agent.on_event", "output", 9, 12),
    ];
    let place = |(place, (name, service, start, end)): (usize, &(&str, &str, u64, u64))| {
        span(place as u64 + 1, place as u64, name, *start, *end).of(service)
    };
    names.iter().enumerate().map(place).collect()
}

pub(crate) fn string(key: &str, text: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(text.to_owned()))
}

pub(crate) fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// A request of one service with these spans.
pub(crate) fn request(service: &str, spans: Vec<otlp::Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![otlp::ResourceSpans {
            resource: Some(OtlpResource {
                attributes: vec![string("service.name", service)],
                ..OtlpResource::default()
            }),
            scope_spans: vec![otlp::ScopeSpans {
                spans,
                ..otlp::ScopeSpans::default()
            }],
            schema_url: String::new(),
        }],
    }
}

/// An OTLP span of trace `trace` with good ids.
pub(crate) fn otlp_span(trace: u8, id: u64) -> otlp::Span {
    otlp::Span {
        trace_id: vec![trace; 16],
        span_id: id.to_be_bytes().to_vec(),
        name: format!("span {id}"),
        start_time_unix_nano: BASE + id * MS,
        end_time_unix_nano: BASE + id * MS + MS,
        ..otlp::Span::default()
    }
}
