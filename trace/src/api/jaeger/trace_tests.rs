use serde_json::json;

use super::*;
use crate::model::{Event, Scope, SpanKind, Status};
use crate::testing::{BASE, golden_chain, service, span, span_id, trace, trace_id};
use RefType::{ChildOf, FollowsFrom};

fn shape(spans: Vec<Span>) -> Json {
    serde_json::to_value(JaegerTrace::from(&trace(spans))).expect("plain JSON")
}

#[test]
fn a_span_with_everything() {
    let full = Span {
        kind: SpanKind::Consumer,
        flags: 0x303,
        trace_state: "a=b".to_owned(),
        status: Status {
            code: StatusCode::Error,
            message: "no".to_owned(),
        },
        scope: Arc::new(Scope {
            name: "loom".to_owned(),
            version: "1".to_owned(),
            ..Scope::default()
        }),
        attributes: [("topic", Value::from("sensor.data"))]
            .into_iter()
            .collect(),
        events: vec![Event {
            time_ns: BASE + 1_999,
            name: "exception".to_owned(),
            attributes: [("exception.type", Value::from("ValueError"))]
                .into_iter()
                .collect(),
            dropped_attributes: 0,
        }],
        ..span(2, 1, "agent.on_event", 1, 3)
    };
    let base_us = BASE / 1_000;
    let expected = json!({
        "traceID": "01010101010101010101010101010101",
        "spans": [{
            "traceID": "01010101010101010101010101010101",
            "spanID": "0000000000000002",
            "flags": 1,
            "operationName": "agent.on_event",
            "references": [{
                "refType": "CHILD_OF",
                "traceID": "01010101010101010101010101010101",
                "spanID": "0000000000000001",
            }],
            "startTime": base_us + 1_000,
            "duration": 2_000,
            "tags": [
                {"key": "topic", "type": "string", "value": "sensor.data"},
                {"key": "otel.scope.name", "type": "string", "value": "loom"},
                {"key": "otel.scope.version", "type": "string", "value": "1"},
                {"key": "span.kind", "type": "string", "value": "consumer"},
                {"key": "otel.status_code", "type": "string", "value": "ERROR"},
                {"key": "otel.status_description", "type": "string", "value": "no"},
                {"key": "w3c.tracestate", "type": "string", "value": "a=b"},
                {"key": "error", "type": "bool", "value": true},
            ],
            "logs": [{
                "timestamp": base_us + 1,
                "fields": [
                    {"key": "event", "type": "string", "value": "exception"},
                    {"key": "exception.type", "type": "string", "value": "ValueError"},
                ],
            }],
            "processID": "p1",
            "warnings": null,
        }],
        "processes": {"p1": {"serviceName": "svc", "tags": []}},
        "warnings": null,
    });
    assert_eq!(shape(vec![full]), expected);
}

#[test]
fn a_bare_span_has_empty_lists_and_no_nulls_in_their_place() {
    let mut bare = span(1, 0, "x", 0, 1);
    bare.kind = SpanKind::Unspecified;
    let json = shape(vec![bare]);
    let span = &json["spans"][0];
    for list in ["references", "tags", "logs"] {
        assert_eq!(span[list], json!([]), "{list}");
    }
}

#[test]
fn every_type_of_tag() {
    let safe = 1_i64 << 53;
    let cases = [
        (Value::from("x"), "string", json!("x")),
        (Value::Bool(false), "bool", json!(false)),
        (Value::Int(safe), "int64", json!(safe)),
        (Value::Int(-safe), "int64", json!(-safe)),
        (Value::Int(safe + 1), "int64", json!("9007199254740993")),
        (Value::Int(i64::MIN), "int64", json!("-9223372036854775808")),
        (Value::Double(1.0), "float64", json!(1.0)),
        (Value::Double(f64::NAN), "float64", json!("NaN")),
        (Value::Double(f64::NEG_INFINITY), "float64", json!("-inf")),
        (Value::Bytes(vec![1, 2, 3]), "binary", json!("AQID")),
        (Value::Empty, "string", json!("")),
        (
            Value::Array(vec![Value::Int(1), Value::from("a")]),
            "string",
            json!("[1,\"a\"]"),
        ),
        (
            Value::Map([("k", Value::Bool(true))].into_iter().collect()),
            "string",
            json!("{\"k\":true}"),
        ),
    ];
    for (value, kind, expected) in cases {
        let tag = tag("k", &value);
        assert_eq!((tag.kind, tag.value), (kind, expected), "{value:?}");
    }
}

#[test]
fn links_follow_and_a_link_to_the_parent_refines_it() {
    let link = |trace: u8, id: u64, kind: Option<&str>| Link {
        trace_id: trace_id(trace),
        span_id: span_id(id),
        trace_state: String::new(),
        flags: 0,
        attributes: kind
            .map(|kind| ("opentracing.ref_type", Value::from(kind)))
            .into_iter()
            .collect(),
        dropped_attributes: 0,
    };
    let kinds = |parent: u64, links: Vec<Link>| -> Vec<(RefType, u64)> {
        let mut span = span(9, parent, "x", 0, 1);
        span.links = links;
        references(&span)
            .iter()
            .map(|r| (r.ref_type, u64::from_be_bytes(*r.span_id.as_bytes())))
            .collect()
    };
    assert_eq!(
        kinds(1, vec![link(2, 5, None)]),
        [(ChildOf, 1), (FollowsFrom, 5)]
    );
    assert_eq!(kinds(0, vec![link(2, 5, Some("child_of"))]), [(ChildOf, 5)]);
    assert_eq!(kinds(1, vec![link(1, 1, None)]), [(ChildOf, 1)]);
    assert_eq!(
        kinds(1, vec![link(1, 1, Some("follows_from"))]),
        [(FollowsFrom, 1)]
    );
    // The same span id in another trace is another span.
    assert_eq!(
        kinds(1, vec![link(2, 1, None)]),
        [(ChildOf, 1), (FollowsFrom, 1)]
    );
}

#[test]
fn equal_processes_share_an_id_and_different_ones_of_one_name_do_not() {
    let spans = golden_chain();
    let json = shape(spans);
    let ids: Vec<_> = json["spans"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|s| s["processID"].clone())
        .collect();
    assert_eq!(ids, ["p1", "p2", "p2", "p2", "p3", "p2", "p2", "p2", "p4"]);
    assert_eq!(json["processes"]["p3"]["serviceName"], "processor");

    let mut second = span(2, 1, "x", 0, 1);
    let mut resource = (*service("svc")).clone();
    resource
        .attributes
        .0
        .push(("pid".to_owned(), Value::Int(7)));
    second.resource = Arc::new(resource);
    let json = shape(vec![span(1, 0, "x", 0, 1), second]);
    assert_eq!(json["spans"][1]["processID"], "p2");
    assert_eq!(
        json["processes"]["p2"]["tags"],
        json!([{"key": "pid", "type": "int64", "value": 7}])
    );
}

#[test]
fn a_span_without_service_name_has_a_process_all_the_same() {
    let mut nameless = span(1, 0, "x", 0, 1);
    nameless.resource = Arc::default();
    let json = shape(vec![nameless]);
    assert_eq!(
        json["processes"]["p1"]["serviceName"],
        "OTLPResourceNoServiceName"
    );
}

#[test]
fn a_span_that_ends_before_it_starts_is_shown_with_a_warning() {
    let json = shape(vec![span(1, 0, "x", 5, 3)]);
    assert_eq!(json["spans"][0]["duration"], 0);
    assert_eq!(
        json["spans"][0]["warnings"].as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn a_truncated_trace_is_shown_with_a_warning() {
    let mut part = trace(golden_chain());
    part.truncated = true;
    let json = serde_json::to_value(JaegerTrace::from(&part)).expect("plain JSON");
    assert_eq!(json["warnings"].as_array().map(Vec::len), Some(1));
}
