//! Attributes as a search names them.
//!
//! Jaeger has one name space for all that a span says, and so has whoever types a tag into its search: the span itself, its resource,
//! its scope, its events and its links, and what OTLP keeps in fields of their own. What is found is what the storage tests demand that
//! Jaeger holds its own back ends to (`internal/storage/integration`); the names in [`field`] are those of its storage in memory, and of
//! the tags as which its trace page shows a field. Loom finds more: an attribute that has such a name itself is found by it too.

use crate::model::{Attributes, Span, SpanKind, StatusCode, Value};

/// Before a key: it is about the resource alone.
const OF_RESOURCE: &str = "resource.";

/// Whether a span has this attribute. Values are compared as text, and numbers by what they are: `1` finds `1.0`.
pub(super) fn has_attribute(span: &Span, key: &str, wanted: &str) -> bool {
    if key == "error"
        && let Some(wanted) = parse_bool(wanted)
    {
        return fails(span) == wanted;
    }
    let of_resource = key.strip_prefix(OF_RESOURCE);
    field(span, key, wanted)
        || of_resource.is_some_and(|key| has(&span.resource.attributes, key, wanted))
        || attribute_sets(span).any(|attributes| has(attributes, key, wanted))
}

/// By its status, or because it says so itself: an event or a link may tell of somebody else's error.
fn fails(span: &Span) -> bool {
    let said = span.attributes.get("error").map(Value::to_text);
    span.is_error() || said.and_then(|text| parse_bool(&text)) == Some(true)
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

/// Everything with attributes that belongs to a span.
pub(super) fn attribute_sets(span: &Span) -> impl Iterator<Item = &Attributes> {
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
        Value::Empty => wanted.is_empty(),
        Value::Int(number) if is_whole(wanted, *number) => true,
        Value::Double(number) if wanted.parse() == Ok(*number) => true,
        other => other.to_text() == wanted,
    })
}

/// Whether a text is this number, written as one with a fraction. Such a number is exact up to 2⁵³.
fn is_whole(text: &str, number: i64) -> bool {
    const EXACT: u64 = 1 << 53;
    #[expect(clippy::cast_precision_loss, reason = "it is within what is exact")]
    let as_double = || number as f64;
    number.unsigned_abs() <= EXACT && text.parse() == Ok(as_double())
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
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
#[path = "attribute_tests.rs"]
mod tests;
