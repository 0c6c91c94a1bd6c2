use super::*;
use crate::model::{Span, SpanKind, StatusCode, Value};
use crate::otlp::decode;

fn spans(json: &str) -> Vec<Span> {
    let protobuf = to_protobuf(json.as_bytes()).unwrap_or_else(|e| panic!("{json}: {e}"));
    decode(&protobuf).expect("own protobuf").spans
}

fn span(fields: &str) -> Span {
    let json = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{
            "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174",{fields}}}]}}]}}]}}"#
    );
    spans(&json).remove(0)
}

#[test]
fn the_example_of_the_specification() {
    let json = r#"{"resourceSpans":[{
        "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},
        "scopeSpans":[{
            "scope":{"name":"my.library","version":"1.0.0","attributes":[{"key":"a","value":{"stringValue":"b"}}]},
            "spans":[{
                "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174",
                "parentSpanId":"EEE19B7EC3C1B173","name":"I'm a server span","kind":2,
                "startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000",
                "attributes":[{"key":"my.span.attr","value":{"stringValue":"some value"}}]}]}]}]}"#;
    let span = &spans(json)[0];
    assert_eq!(span.service(), "my.service");
    assert_eq!(span.scope.name, "my.library");
    assert_eq!(
        span.trace_id.to_string(),
        "5b8efff798038103d269b633813fc60c"
    );
    assert_eq!(
        span.parent_span_id.map(|id| id.to_string()).as_deref(),
        Some("eee19b7ec3c1b173")
    );
    assert_eq!(span.kind, SpanKind::Server);
    assert_eq!(
        (span.start_ns, span.duration_ns()),
        (1_544_712_660_000_000_000, 1_000_000_000)
    );
    assert_eq!(
        span.attributes.get("my.span.attr"),
        Some(&Value::from("some value"))
    );
}

#[test]
fn values_of_every_type_in_every_form() {
    let cases = [
        (r#"{"stringValue":"x"}"#, Value::from("x")),
        (r#"{"boolValue":true}"#, Value::Bool(true)),
        (
            r#"{"intValue":"-9223372036854775808"}"#,
            Value::Int(i64::MIN),
        ),
        (r#"{"intValue":7}"#, Value::Int(7)),
        (r#"{"doubleValue":1.5}"#, Value::Double(1.5)),
        (r#"{"doubleValue":2}"#, Value::Double(2.0)),
        (
            r#"{"doubleValue":"-Infinity"}"#,
            Value::Double(f64::NEG_INFINITY),
        ),
        (r#"{"bytesValue":"+/8="}"#, Value::Bytes(vec![0xfb, 0xff])),
        (r#"{"bytesValue":"-_8"}"#, Value::Bytes(vec![0xfb, 0xff])),
        (r#"{"arrayValue":{}}"#, Value::Array(vec![])),
        (
            r#"{"arrayValue":{"values":[{"intValue":"1"},{}]}}"#,
            Value::Array(vec![Value::Int(1), Value::Empty]),
        ),
        (
            r#"{"kvlistValue":{"values":[{"key":"k","value":{"boolValue":false}}]}}"#,
            Value::Map([("k", Value::Bool(false))].into_iter().collect()),
        ),
        (r"{}", Value::Empty),
        ("null", Value::Empty),
        (r#"{"newValue":1}"#, Value::Empty),
    ];
    for (json, expected) in cases {
        let span = span(&format!(r#""attributes":[{{"key":"a","value":{json}}}]"#));
        assert_eq!(span.attributes.get("a"), Some(&expected), "{json}");
    }
}

#[test]
fn enums_by_number_and_name_and_null_as_absent() {
    let one =
        span(r#""kind":"SPAN_KIND_CONSUMER","status":{"code":"STATUS_CODE_ERROR","message":"m"}"#);
    assert_eq!(
        (one.kind, one.status.code),
        (SpanKind::Consumer, StatusCode::Error)
    );
    let two = span(r#""kind":4,"status":{"code":1},"flags":257"#);
    assert_eq!(
        (two.kind, two.status.code, two.flags),
        (SpanKind::Producer, StatusCode::Ok, 257)
    );
    let none =
        span(r#""kind":null,"status":null,"attributes":null,"parentSpanId":null,"name":null"#);
    assert_eq!(
        (none.kind, none.parent_span_id),
        (SpanKind::Unspecified, None)
    );
}

#[test]
fn events_and_links() {
    let span = span(
        r#""events":[{"timeUnixNano":5,"name":"e","attributes":[{"key":"a","value":{"intValue":1}}]}],
           "links":[{"traceId":"00000000000000000000000000000001","spanId":"0000000000000002","traceState":"a=b"}]"#,
    );
    assert_eq!(
        (span.events[0].time_ns, span.events[0].name.as_str()),
        (5, "e")
    );
    assert_eq!(span.links[0].trace_state, "a=b");
}

#[test]
fn what_is_no_otlp_is_refused() {
    let open = r#"{"arrayValue":{"values":["#.repeat(500);
    let nested = format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"value":{open}{}}}]}}}}]}}"#,
        "]}}".repeat(500)
    );
    let bad = [
        "",
        "[]",
        "1",
        r#"{"resourceSpans":{}}"#,
        r#"{"resourceSpans":[[]]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xy"}]}]}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"abc"}]}]}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":-1}]}]}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SERVER"}]}]}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":1.5}]}]}]}"#,
        nested.as_str(),
    ];
    for json in bad {
        assert!(to_protobuf(json.as_bytes()).is_err(), "{json}");
    }
}
