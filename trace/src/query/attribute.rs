//! Attributes as a search names them.
//!
//! Jaeger has one name space for all that a span says, and so has whoever types a tag into its search: the span itself, its resource,
//! its scope, its events and its links, and what OTLP keeps in fields of their own. The rules are those of the storage tests that
//! Jaeger holds its own back ends to (`internal/storage/integration`, and `internal/storage/v2/memory` for the names in [`field`]).

use crate::model::{Attributes, Span, SpanKind, StatusCode, Value};

/// Before a key: it is about the resource alone.
const OF_RESOURCE: &str = "resource.";

/// Whether a span says this. Values are compared as text, numbers also by what they are: `1` finds `1.0`.
pub(super) fn says(span: &Span, key: &str, wanted: &str) -> bool {
    if key == "error"
        && let Some(is_error) = flag(wanted)
    {
        let fails = span.is_error() || anywhere(span, key, "true");
        return fails == is_error;
    }
    let of_resource = key.strip_prefix(OF_RESOURCE);
    field(span, key, wanted)
        || of_resource.is_some_and(|key| has(&span.resource.attributes, key, wanted))
        || anywhere(span, key, wanted)
}

/// Fields of a span that a search names like attributes: as Jaeger does, and by the tags as which its trace page shows them.
fn field(span: &Span, key: &str, wanted: &str) -> bool {
    let text = match key {
        "span.kind" => return SpanKind::from_name(wanted) == Some(span.kind),
        "span.status" | "otel.status_code" => return status(wanted) == Some(span.status.code),
        "otel.status_description" => &span.status.message,
        "scope.name" | "otel.scope.name" => &span.scope.name,
        "scope.version" | "otel.scope.version" => &span.scope.version,
        "w3c.tracestate" => &span.trace_state,
        _ => return false,
    };
    !text.is_empty() && text == wanted
}

fn anywhere(span: &Span, key: &str, wanted: &str) -> bool {
    places(span).any(|attributes| has(attributes, key, wanted))
}

/// Everything with attributes that belongs to a span.
pub(super) fn places(span: &Span) -> impl Iterator<Item = &Attributes> {
    let of_process = [&span.resource.attributes, &span.scope.attributes];
    let events = span.events.iter().map(|event| &event.attributes);
    let links = span.links.iter().map(|link| &link.attributes);
    std::iter::once(&span.attributes)
        .chain(of_process)
        .chain(events)
        .chain(links)
}

fn has(attributes: &Attributes, key: &str, wanted: &str) -> bool {
    attributes.get(key).is_some_and(|value| match value {
        Value::String(text) => text == wanted,
        Value::Double(number) if wanted.parse() == Ok(*number) => true,
        other => other.to_text() == wanted,
    })
}

fn status(name: &str) -> Option<StatusCode> {
    let all = [
        ("unset", StatusCode::Unset),
        ("ok", StatusCode::Ok),
        ("error", StatusCode::Error),
    ];
    let mut all = all.into_iter();
    all.find_map(|(said, code)| said.eq_ignore_ascii_case(name).then_some(code))
}

/// True and false in every way in which Jaeger takes them.
fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
#[path = "attribute_tests.rs"]
mod tests;
