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
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Event, Link, Resource, Scope};
    use crate::testing::{span, span_id, trace_id};

    fn attributes(pairs: &[(&str, Value)]) -> Attributes {
        pairs.iter().cloned().collect()
    }

    /// A span that says something in every place.
    fn talkative() -> Span {
        let mut span = span(1, 0, "work", 0, 1);
        span.attributes = attributes(&[
            ("text", Value::from("a")),
            ("count", Value::Int(123)),
            ("ratio", Value::Double(72.5)),
            ("whole", Value::Double(3.0)),
            ("lost", Value::Double(f64::NAN)),
            ("flag", Value::Bool(true)),
            ("raw", Value::Bytes(vec![0, 0, 48, 57])),
            ("list", Value::Array(vec![Value::Int(1), Value::from("x")])),
        ]);
        span.resource = Arc::new(Resource {
            attributes: attributes(&[
                ("host.name", Value::from("h1")),
                ("text", Value::from("of the resource")),
            ]),
            ..Resource::default()
        });
        span.scope = Arc::new(Scope {
            name: "library".to_owned(),
            version: "1.1.1".to_owned(),
            attributes: attributes(&[("scoped", Value::from("s"))]),
            ..Scope::default()
        });
        span.events = vec![Event {
            time_ns: 1,
            name: "exception".to_owned(),
            attributes: attributes(&[("exception.type", Value::from("ValueError"))]),
            dropped_attributes: 0,
        }];
        span.links = vec![Link {
            trace_id: trace_id(2),
            span_id: span_id(2),
            trace_state: String::new(),
            flags: 0,
            attributes: attributes(&[("why", Value::from("batch"))]),
            dropped_attributes: 0,
        }];
        span.trace_state = "vendor=1".to_owned();
        span
    }

    #[test]
    fn every_place_is_searched() {
        let span = talkative();
        for (key, wanted) in [
            ("text", "a"),
            ("text", "of the resource"),
            ("host.name", "h1"),
            ("scoped", "s"),
            ("exception.type", "ValueError"),
            ("why", "batch"),
        ] {
            assert!(says(&span, key, wanted), "{key}={wanted}");
        }
        for (key, wanted) in [("text", "b"), ("text", ""), ("other", "a"), ("why", "a")] {
            assert!(!says(&span, key, wanted), "{key}={wanted}");
        }
    }

    #[test]
    fn values_of_every_type_are_found_by_their_text() {
        let span = talkative();
        for (key, wanted) in [
            ("count", "123"),
            ("ratio", "72.5"),
            ("whole", "3"),
            ("whole", "3.0"),
            ("lost", "NaN"),
            ("flag", "true"),
            ("raw", "AAAwOQ=="),
            ("list", r#"[1,"x"]"#),
        ] {
            assert!(says(&span, key, wanted), "{key}={wanted}");
        }
        for (key, wanted) in [
            ("count", "12"),
            ("whole", "30"),
            ("flag", "1"),
            ("lost", "0"),
        ] {
            assert!(!says(&span, key, wanted), "{key}={wanted}");
        }
    }

    #[test]
    fn fields_have_the_names_of_their_tags() {
        let mut span = talkative();
        span.kind = SpanKind::Consumer;
        span.status.code = StatusCode::Error;
        span.status.message = "bad".to_owned();
        for (key, wanted, other) in [
            ("span.kind", "consumer", "producer"),
            ("span.kind", "CONSUMER", "unspecified"),
            ("span.status", "ERROR", "OK"),
            ("otel.status_code", "error", "UNSET"),
            ("otel.status_description", "bad", "ba"),
            ("scope.name", "library", "librar"),
            ("otel.scope.name", "library", ""),
            ("scope.version", "1.1.1", "1.1"),
            ("otel.scope.version", "1.1.1", "1"),
            ("w3c.tracestate", "vendor=1", "vendor"),
            ("resource.host.name", "h1", "h2"),
            ("resource.text", "of the resource", "a"),
        ] {
            assert!(says(&span, key, wanted), "{key}={wanted}");
            assert!(!says(&span, key, other), "{key}={other}");
        }
        // Nothing said is no empty text.
        let span = bare();
        for key in [
            "scope.name",
            "otel.status_description",
            "w3c.tracestate",
            "span.kind",
        ] {
            assert!(!says(&span, key, ""), "{key}");
        }
        assert!(says(&span, "span.status", "unset"));
    }

    fn bare() -> Span {
        let mut bare = span(1, 0, "work", 0, 1);
        bare.kind = SpanKind::Unspecified;
        bare.scope = Arc::default();
        bare
    }

    #[test]
    fn what_failed_and_everything_else() {
        let fine = bare();
        let failed = bare().failed("bad");
        let mut tagged = bare();
        tagged.attributes = attributes(&[("error", Value::Bool(true))]);
        for yes in ["true", "1", "T"] {
            assert!(says(&failed, "error", yes) && says(&tagged, "error", yes));
            assert!(!says(&fine, "error", yes), "{yes}");
        }
        for no in ["false", "0", "F"] {
            assert!(says(&fine, "error", no), "unset is no error: {no}");
            assert!(!says(&failed, "error", no) && !says(&tagged, "error", no));
        }
        // No flag: an attribute like another.
        tagged.attributes = attributes(&[("error", Value::from("timeout"))]);
        assert!(says(&tagged, "error", "timeout") && says(&tagged, "error", "false"));
    }
}
