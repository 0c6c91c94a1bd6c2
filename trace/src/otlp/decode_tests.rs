use opentelemetry_proto::tonic::common::v1 as otlp_common;
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;

use super::*;
use crate::model::{Attributes, Event, Link, SpanKind, Status, StatusCode, Value};
use crate::otlp::scan;
use crate::testing::{attribute, otlp_span, request, service, span_id, string, trace_id};

fn decode_one(span: otlp::Span) -> Span {
    let mut decoded = decode(&request("svc", vec![span]).encode_to_vec()).expect("a good request");
    assert_eq!(decoded.rejected, Rejected::default());
    decoded.spans.remove(0)
}

#[test]
fn every_field_arrives() {
    let any = |value| AnyValue { value: Some(value) };
    let sent = otlp::Span {
        trace_state: "a=b".to_owned(),
        parent_span_id: 9_u64.to_be_bytes().to_vec(),
        flags: 0x301,
        kind: otlp::span::SpanKind::Consumer as i32,
        attributes: vec![
            string("s", "text"),
            attribute("b", OtlpValue::BoolValue(true)),
            attribute("i", OtlpValue::IntValue(i64::MIN)),
            attribute("d", OtlpValue::DoubleValue(-0.5)),
            attribute("y", OtlpValue::BytesValue(vec![0, 255])),
            attribute(
                "a",
                OtlpValue::ArrayValue(ArrayValue {
                    values: vec![any(OtlpValue::IntValue(1)), AnyValue::default()],
                }),
            ),
            attribute(
                "m",
                OtlpValue::KvlistValue(KeyValueList {
                    values: vec![string("k", "v")],
                }),
            ),
            otlp_common::KeyValue {
                key: "none".to_owned(),
                ..Default::default()
            },
        ],
        dropped_attributes_count: 1,
        events: vec![otlp::span::Event {
            time_unix_nano: 5,
            name: "exception".to_owned(),
            attributes: vec![string("exception.type", "ValueError")],
            dropped_attributes_count: 2,
        }],
        dropped_events_count: 3,
        links: vec![otlp::span::Link {
            trace_id: vec![2; 16],
            span_id: 7_u64.to_be_bytes().to_vec(),
            trace_state: "c=d".to_owned(),
            attributes: vec![string("why", "creation")],
            dropped_attributes_count: 4,
            flags: 1,
        }],
        dropped_links_count: 5,
        status: Some(otlp::Status {
            message: "bad".to_owned(),
            code: 2,
        }),
        ..otlp_span(1, 8)
    };
    let list = |pairs: &[(&str, Value)]| -> Attributes { pairs.iter().cloned().collect() };
    let expected = Span {
        trace_id: trace_id(1),
        span_id: span_id(8),
        parent_span_id: Some(span_id(9)),
        trace_state: "a=b".to_owned(),
        flags: 0x301,
        name: "span 8".to_owned(),
        kind: SpanKind::Consumer,
        start_ns: sent.start_time_unix_nano,
        end_ns: sent.end_time_unix_nano,
        status: Status {
            code: StatusCode::Error,
            message: "bad".to_owned(),
        },
        attributes: list(&[
            ("s", Value::from("text")),
            ("b", Value::Bool(true)),
            ("i", Value::Int(i64::MIN)),
            ("d", Value::Double(-0.5)),
            ("y", Value::Bytes(vec![0, 255])),
            ("a", Value::Array(vec![Value::Int(1), Value::Empty])),
            ("m", Value::Map(list(&[("k", Value::from("v"))]))),
            ("none", Value::Empty),
        ]),
        dropped_attributes: 1,
        events: vec![Event {
            time_ns: 5,
            name: "exception".to_owned(),
            attributes: list(&[("exception.type", Value::from("ValueError"))]),
            dropped_attributes: 2,
        }],
        dropped_events: 3,
        links: vec![Link {
            trace_id: trace_id(2),
            span_id: span_id(7),
            trace_state: "c=d".to_owned(),
            flags: 1,
            attributes: list(&[("why", Value::from("creation"))]),
            dropped_attributes: 4,
        }],
        dropped_links: 5,
        identity: Identity::default(),
        resource: service("svc"),
        scope: Arc::new(Scope::default()),
    };
    assert_eq!(decode_one(sent), expected);
}

#[test]
fn identity_under_all_its_names() {
    let names = [
        ("agent.id", 0),
        ("agent_id", 0),
        ("gen_ai.agent.id", 0),
        ("workflow_id", 1),
        ("workflow.id", 1),
        ("session_id", 2),
        ("session.id", 2),
        ("user_id", 3),
        ("user.id", 3),
        ("tenant_id", 4),
        ("tenant.id", 4),
        ("thread_id", 5),
        ("gen_ai.conversation.id", 5),
    ];
    for (key, place) in names {
        let mut span = otlp_span(1, 1);
        span.attributes = vec![string(key, "x")];
        let who = decode_one(span).identity;
        let all = [
            who.agent,
            who.workflow,
            who.session,
            who.user,
            who.tenant,
            who.thread,
        ];
        for (at, found) in all.into_iter().enumerate() {
            assert_eq!(found.as_deref(), (at == place).then_some("x"), "{key}");
        }
    }
}

#[test]
fn identity_of_the_span_goes_before_that_of_its_process() {
    let mut span = otlp_span(1, 1);
    span.attributes = vec![attribute("agent.id", OtlpValue::IntValue(7))];
    let mut request = request("svc", vec![span, otlp_span(1, 2)]);
    let resource = request.resource_spans[0].resource.as_mut().expect("set");
    resource.attributes.push(string("agent.id", "process"));
    let spans = decode(&request.encode_to_vec()).expect("good").spans;
    assert_eq!(spans[0].identity.agent.as_deref(), Some("7"));
    assert_eq!(spans[1].identity.agent.as_deref(), Some("process"));
}

#[test]
fn the_old_name_of_the_provider_is_stored_as_the_new_one() {
    let provider = |attributes: Vec<otlp_common::KeyValue>| {
        let span = decode_one(otlp::Span {
            attributes,
            ..otlp_span(1, 1)
        });
        assert_eq!(span.attributes.get("gen_ai.system"), None);
        assert_eq!(span.attributes.len(), 1);
        span.attributes.get("gen_ai.provider.name").cloned()
    };
    assert_eq!(
        provider(vec![string("gen_ai.system", "groq")]),
        Some(Value::from("groq"))
    );
    let both = vec![
        string("gen_ai.system", "old"),
        string("gen_ai.provider.name", "new"),
    ];
    assert_eq!(provider(both), Some(Value::from("new")));
}

#[test]
fn a_parent_of_zeros_is_no_parent_and_a_link_to_nothing_is_counted() {
    let span = decode_one(otlp::Span {
        parent_span_id: vec![0; 8],
        links: vec![otlp::span::Link::default()],
        dropped_links_count: 2,
        ..otlp_span(1, 1)
    });
    assert_eq!(span.parent_span_id, None);
    assert_eq!((span.links.len(), span.dropped_links), (0, 3));
}

#[test]
fn numbers_that_otlp_does_not_define_become_unspecified() {
    let span = decode_one(otlp::Span {
        kind: 99,
        status: Some(otlp::Status {
            code: -1,
            ..Default::default()
        }),
        ..otlp_span(1, 1)
    });
    assert_eq!(
        (span.kind, span.status.code),
        (SpanKind::Unspecified, StatusCode::Unset)
    );
}

#[test]
fn the_resource_may_stand_behind_its_spans() {
    let good = request("svc", vec![otlp_span(1, 1)]);
    let spans_only = otlp::ResourceSpans {
        resource: None,
        ..good.resource_spans[0].clone()
    };
    let resource_only = otlp::ResourceSpans {
        resource: good.resource_spans[0].resource.clone(),
        ..Default::default()
    };
    let inside = [spans_only.encode_to_vec(), resource_only.encode_to_vec()].concat();
    let mut bytes = vec![0x0a];
    prost::encoding::encode_varint(inside.len() as u64, &mut bytes);
    bytes.extend(inside);
    assert_eq!(decode(&bytes).expect("good").spans[0].service(), "svc");
}

#[test]
fn the_sink_can_stop() {
    let bytes = request("svc", (1..=3).map(|id| otlp_span(1, id)).collect()).encode_to_vec();
    let mut seen = 0;
    let result = decode_each::<DecodeError>(&bytes, |_| {
        seen += 1;
        Err(scan(&[0xff]).expect_err("no protobuf").into())
    });
    assert!(result.is_err());
    assert_eq!(seen, 1);
}
