use loom_proto::wire;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::otlp::decode;
use crate::testing::{attribute, otlp_span, request, string};

/// The door and the full decoder must say the same, whatever the bytes.
fn agree(bytes: &[u8]) {
    let scanned = scan(bytes);
    let message = ExportTraceServiceRequest::decode(bytes);
    assert_eq!(scanned.is_ok(), message.is_ok(), "{scanned:?} {message:?}");
    let Ok(scanned) = scanned else {
        return;
    };
    let decoded = decode(bytes).expect("what the door took can be decoded");
    assert_eq!(scanned.rejected, decoded.rejected);
    assert_eq!(scanned.accepted(), decoded.spans.len() as u64);
}

/// Protobuf that is right in its outer parts, so that random bytes get into the inner ones.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        Just(vec![7; 16]),
        Just(vec![7; 8]),
        "[a-zä]{0,8}".prop_map(String::into_bytes),
    ];
    leaf.prop_recursive(8, 128, 6, |inner| {
        proptest::collection::vec((1_u32..18, 0_u32..6, inner), 0..6).prop_map(|fields| {
            let mut bytes = Vec::new();
            for (number, wire_type, inside) in fields {
                // Mostly messages and bytes, which lead on.
                let wire_type = if wire_type == 4 { 2 } else { wire_type };
                prost::encoding::encode_varint(u64::from(number << 3 | wire_type), &mut bytes);
                match wire_type {
                    0 => prost::encoding::encode_varint(inside.len() as u64, &mut bytes),
                    1 => bytes.extend([1; 8]),
                    5 => bytes.extend([1; 4]),
                    3 => {
                        bytes.extend(&inside);
                        prost::encoding::encode_varint(u64::from(number << 3 | 4), &mut bytes);
                    }
                    _ => {
                        prost::encoding::encode_varint(inside.len() as u64, &mut bytes);
                        bytes.extend(&inside);
                    }
                }
            }
            bytes
        })
    })
}

fn real_request() -> Vec<u8> {
    let mut full = otlp_span(1, 1);
    full.attributes = vec![
        string("agent.id", "a"),
        attribute("n", OtlpValue::IntValue(-1)),
        attribute("d", OtlpValue::DoubleValue(0.5)),
        attribute(
            "l",
            OtlpValue::ArrayValue(ArrayValue {
                values: vec![AnyValue {
                    value: Some(OtlpValue::BytesValue(vec![1, 2])),
                }],
            }),
        ),
    ];
    full.events = vec![otlp::span::Event {
        name: "e".to_owned(),
        ..Default::default()
    }];
    full.links = vec![otlp::span::Link {
        trace_id: vec![3; 16],
        span_id: vec![4; 8],
        ..Default::default()
    }];
    full.status = Some(otlp::Status::default());
    full.flags = 0x101;
    let mut bad = otlp_span(1, 2);
    bad.span_id.clear();
    request("svc", vec![full, bad, otlp_span(2, 3)]).encode_to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn agrees_with_prost_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        agree(&bytes);
    }

    #[test]
    fn agrees_with_prost_on_wire_like_bytes(bytes in wire()) {
        agree(&bytes);
        // The same as the only message of the first field.
        let mut wrapped = vec![0x0a];
        prost::encoding::encode_varint(bytes.len() as u64, &mut wrapped);
        wrapped.extend(&bytes);
        agree(&wrapped);
    }

    #[test]
    fn agrees_with_prost_on_damaged_requests(
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = real_request();
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        agree(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        agree(&bytes);
    }
}

#[test]
fn counts_good_and_bad_spans() {
    let mut spans = vec![
        otlp_span(1, 1),
        otlp_span(1, 2),
        otlp_span(1, 3),
        otlp_span(1, 4),
    ];
    spans[1].trace_id = vec![0; 16];
    // Both ids are bad: counted once, under the first reason.
    spans[2].trace_id.push(1);
    spans[2].span_id.clear();
    spans[3].parent_span_id = vec![1; 7];
    let scanned = scan(&request("svc", spans).encode_to_vec()).expect("a good request");
    assert_eq!(scanned.spans, 4);
    assert_eq!(scanned.accepted(), 1);
    let expected = Rejected {
        trace_id: 2,
        span_id: 0,
        parent_span_id: 1,
    };
    assert_eq!(scanned.rejected, expected);
    assert_eq!(
        scanned.rejected.message(),
        "spans rejected: 2 with a trace id that is not 16 bytes or all zero, 1 with a parent span id that is not 8 bytes"
    );
}

#[test]
fn says_where_it_stopped() {
    let error = scan(&[0x0a, 0x05, 0x12]).expect_err("shorter than it says");
    assert_eq!(
        (error.offset, error.fault),
        (2, Fault::Field(wire::WireError::Truncated))
    );
    assert_eq!(
        error.to_string(),
        "malformed protobuf at byte 2: the message ends inside a field"
    );
}

#[test]
fn depth_ends_where_prost_ends() {
    // A span whose attribute nests lists: two messages a level.
    for levels in [40, 46, 47, 48, 49, 60] {
        let mut value = AnyValue {
            value: Some(OtlpValue::BoolValue(true)),
        };
        for _ in 0..levels {
            value = AnyValue {
                value: Some(OtlpValue::ArrayValue(ArrayValue {
                    values: vec![value],
                })),
            };
        }
        let mut span = otlp_span(1, 1);
        span.attributes = vec![attribute("deep", value.value.expect("set above"))];
        agree(&request("svc", vec![span]).encode_to_vec());
    }
    // Unknown groups nest too.
    for levels in [98, 99, 100, 101, 5_000] {
        let mut bytes = vec![0x7b; levels];
        bytes.extend(vec![0x7c; levels]);
        agree(&bytes);
    }
}
