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
