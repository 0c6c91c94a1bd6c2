use std::sync::Arc;

use super::*;
use crate::model::{Event, Link, Resource, Scope};
use crate::testing::{span, span_id, trace_id};

fn attributes(pairs: &[(&str, Value)]) -> Attributes {
    pairs.iter().cloned().collect()
}

/// A span with attributes in every place.
fn full_span() -> Span {
    let mut span = span(1, 0, "work", 0, 1);
    span.attributes = attributes(&[
        ("text", Value::from("a")),
        ("count", Value::Int(123)),
        ("ratio", Value::Double(72.5)),
        ("whole", Value::Double(3.0)),
        ("lost", Value::Double(f64::NAN)),
        ("flag", Value::Bool(true)),
        ("nothing", Value::Empty),
        ("huge", Value::Int(i64::MAX)),
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
    let span = full_span();
    for (key, wanted) in [
        ("text", "a"),
        ("text", "of the resource"),
        ("host.name", "h1"),
        ("scoped", "s"),
        ("exception.type", "ValueError"),
        ("why", "batch"),
    ] {
        assert!(has_attribute(&span, key, wanted), "{key}={wanted}");
    }
    for (key, wanted) in [("text", "b"), ("text", ""), ("other", "a"), ("why", "a")] {
        assert!(!has_attribute(&span, key, wanted), "{key}={wanted}");
    }
}

#[test]
fn values_of_every_type_are_found_by_their_text() {
    let span = full_span();
    for (key, wanted) in [
        ("count", "123"),
        ("count", "123.0"),
        ("huge", "9223372036854775807"),
        ("nothing", ""),
        ("ratio", "72.5"),
        ("whole", "3"),
        ("whole", "3.0"),
        ("lost", "NaN"),
        ("flag", "true"),
        ("raw", "AAAwOQ=="),
        ("list", r#"[1,"x"]"#),
    ] {
        assert!(has_attribute(&span, key, wanted), "{key}={wanted}");
    }
    for (key, wanted) in [
        ("count", "12"),
        ("count", "123.5"),
        ("huge", "9223372036854775806"),
        ("huge", "9223372036854775807.0"),
        ("nothing", "null"),
        ("whole", "30"),
        ("flag", "1"),
        ("lost", "0"),
    ] {
        assert!(!has_attribute(&span, key, wanted), "{key}={wanted}");
    }
}

#[test]
fn fields_have_the_names_of_their_tags() {
    let mut span = full_span();
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
        assert!(has_attribute(&span, key, wanted), "{key}={wanted}");
        assert!(!has_attribute(&span, key, other), "{key}={other}");
    }
    // Nothing said is no empty text.
    let span = bare();
    for key in [
        "scope.name",
        "otel.status_description",
        "w3c.tracestate",
        "span.kind",
    ] {
        assert!(!has_attribute(&span, key, ""), "{key}");
    }
    assert!(has_attribute(&span, "span.status", "unset"));
}

fn bare() -> Span {
    let mut bare = span(1, 0, "work", 0, 1);
    bare.kind = SpanKind::Unspecified;
    bare.scope = Arc::default();
    bare
}

#[test]
fn what_failed_and_everything_else() {
    let says = |value: Value| Span {
        attributes: attributes(&[("error", value)]),
        ..bare()
    };
    let failed = [
        bare().failed("bad"),
        says(Value::Bool(true)),
        says(Value::Int(1)),
        says(Value::from("True")),
    ];
    // Of whom others say it, or nobody: an unset status is no error.
    let mut of_others = full_span();
    of_others.events[0].attributes = attributes(&[("error", Value::Bool(true))]);
    of_others.links[0].attributes = attributes(&[("error", Value::Bool(true))]);
    let fine = [
        bare(),
        of_others,
        says(Value::Bool(false)),
        says(Value::from("timeout")),
    ];
    for (wanted, is_failed) in [
        ("true", true),
        ("1", true),
        ("T", true),
        ("false", false),
        ("0", false),
        ("F", false),
    ] {
        for span in &failed {
            assert_eq!(
                has_attribute(span, "error", wanted),
                is_failed,
                "{wanted}: {span:?}"
            );
        }
        for span in &fine {
            assert_eq!(
                has_attribute(span, "error", wanted),
                !is_failed,
                "{wanted}: {span:?}"
            );
        }
    }
    // No yes and no no: an attribute like another.
    assert!(has_attribute(&fine[3], "error", "timeout"));
}

#[test]
fn an_attribute_with_the_name_of_a_field_is_found_too() {
    let mut span = bare();
    span.attributes = attributes(&[
        ("span.kind", Value::from("boss")),
        ("resource.name", Value::from("GET /")),
    ]);
    assert!(has_attribute(&span, "span.kind", "boss"));
    assert!(has_attribute(&span, "resource.name", "GET /"));
    assert!(!has_attribute(&span, "name", "GET /"));
}
