//! Spans as OTLP, written directly: no message structs, no allocation per span.
//!
//! One call gives one `ExportTraceServiceRequest` with one `ResourceSpans`; in it one `ScopeSpans` for Loom's own spans
//! and one for each foreign instrumentation scope. The bytes are those that prost would write: fields in the order of
//! their numbers, lengths in the fewest bytes, default values left out.

mod attributes;
mod span;
mod wire;

use bytes::Bytes;
use loom_proto::semconv::{SCHEMA_URL, SCOPE};

use crate::record::{SpanDetail, SpanRecord, Value};
use wire::{LONG, SHORT, Writer};

/// gRPC path of the OTLP trace service.
pub const EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Version of Loom's own instrumentation scope.
pub const SCOPE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Writes requests; keeps its scratch room and the measure of its last request.
#[derive(Debug)]
pub struct Encoder {
    /// Positions of the spans of foreign scopes.
    foreign: Vec<usize>,
    /// Mean size of a span in the last request, so that the next one is allocated once.
    bytes_per_span: usize,
}

/// Field numbers of the messages around a span.
mod field {
    pub(super) const REQUEST_RESOURCE_SPANS: u32 = 1;
    pub(super) const RESOURCE: u32 = 1;
    pub(super) const RESOURCE_SCOPE_SPANS: u32 = 2;
    pub(super) const RESOURCE_SCHEMA_URL: u32 = 3;
    pub(super) const RESOURCE_ATTRIBUTES: u32 = 1;
    pub(super) const SCOPE: u32 = 1;
    pub(super) const SCOPE_SPANS: u32 = 2;
    pub(super) const SCOPE_SCHEMA_URL: u32 = 3;
    pub(super) const SCOPE_NAME: u32 = 1;
    pub(super) const SCOPE_VERSION: u32 = 2;
}

/// A span of the bus takes about this much.
const USUAL_SPAN_BYTES: usize = 640;
const FRAME_BYTES: usize = 1024;

impl Encoder {
    /// An encoder without history.
    pub fn new() -> Self {
        Self {
            foreign: Vec::new(),
            bytes_per_span: USUAL_SPAN_BYTES,
        }
    }

    /// Writes one request. The order of spans within a scope is kept; Loom's scope comes first, the others follow by
    /// name and version.
    pub fn encode(&mut self, resource: &[(Value, Value)], spans: &[SpanRecord]) -> Bytes {
        self.foreign.clear();
        self.foreign
            .extend((0..spans.len()).filter(|&at| foreign_scope(&spans[at]).is_some()));
        self.foreign.sort_by_key(|&at| foreign_scope(&spans[at]));

        let room = FRAME_BYTES + spans.len() * self.bytes_per_span;
        let mut writer = Writer::with_capacity(room);
        writer.message(field::REQUEST_RESOURCE_SPANS, LONG, |writer| {
            write_resource(writer, resource);
            if self.foreign.len() < spans.len() {
                let own = spans.iter().filter(|span| foreign_scope(span).is_none());
                write_scope(writer, (SCOPE, SCOPE_VERSION), SCHEMA_URL, own);
            }
            let same_scope =
                |a: &usize, b: &usize| foreign_scope(&spans[*a]) == foreign_scope(&spans[*b]);
            for group in self.foreign.chunk_by(same_scope) {
                let scope = foreign_scope(&spans[group[0]]).unwrap_or_default();
                write_scope(writer, scope, "", group.iter().map(|&at| &spans[at]));
            }
            writer.text(field::RESOURCE_SCHEMA_URL, SCHEMA_URL);
        });

        let request = writer.finish();
        if !spans.is_empty() {
            let mean = request.len() / spans.len();
            self.bytes_per_span = mean + mean / 16;
        }
        request
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Name and version of the scope, when it is not Loom's own.
fn foreign_scope(span: &SpanRecord) -> Option<(&str, &str)> {
    let SpanDetail::Free(detail) = &span.detail else {
        return None;
    };
    let name = detail.scope_name.as_str().filter(|name| !name.is_empty())?;
    Some((name, detail.scope_version.as_str().unwrap_or_default()))
}

fn write_resource(writer: &mut Writer, resource: &[(Value, Value)]) {
    writer.message(field::RESOURCE, SHORT, |writer| {
        let unwritten = attributes::write(writer, field::RESOURCE_ATTRIBUTES, resource);
        debug_assert_eq!(unwritten, 0, "keys of a resource are texts");
    });
}

fn write_scope<'a>(
    writer: &mut Writer,
    (name, version): (&str, &str),
    schema_url: &str,
    spans: impl Iterator<Item = &'a SpanRecord>,
) {
    writer.message(field::RESOURCE_SCOPE_SPANS, LONG, |writer| {
        writer.message(field::SCOPE, SHORT, |writer| {
            writer.text(field::SCOPE_NAME, name);
            writer.text(field::SCOPE_VERSION, version);
        });
        for span in spans {
            span::write(writer, field::SCOPE_SPANS, span);
        }
        writer.text(field::SCOPE_SCHEMA_URL, schema_url);
    });
}

#[cfg(test)]
mod tests;
