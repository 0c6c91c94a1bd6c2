//! The door, the decoder and prost say the same of every request: whether it is one, and the decoder and prost also what is
//! in it.

use std::convert::Infallible;

use loom_proto::wire::put_varint;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use proptest::prelude::*;
use prost::Message as _;

use super::arbitrary::{self, Faults};
use super::{decode, decode_each, identify_each, scan, yardstick};
use crate::error::DecodeError;
use crate::model::{Identity, Span, TraceId};
use crate::testing::{attribute, otlp_span, request, string};

fn agree(bytes: &[u8]) {
    let scanned = scan(bytes);
    let decoded = decode(bytes);
    let message = ExportTraceServiceRequest::decode(bytes);
    assert_eq!(scanned.is_ok(), message.is_ok(), "{scanned:?} {message:?}");
    assert_eq!(decoded.is_ok(), message.is_ok(), "{decoded:?} {message:?}");
    let shown: Vec<_> = one_by_one(bytes);
    let announced = identities(bytes);
    let of_shown = shown
        .iter()
        .map(|span| (span.trace_id, span.identity.clone()));
    let (Ok(scanned), Ok(decoded), Ok(message)) = (scanned, decoded, message) else {
        // Nothing is stored that was not announced.
        assert!(announced.starts_with(&of_shown.collect::<Vec<_>>()));
        return;
    };
    assert_eq!(scanned.rejected, decoded.rejected);
    assert_eq!(scanned.accepted(), decoded.spans.len() as u64);
    // As text, because NaN is not equal to itself and zero is to its negative.
    let expected = yardstick::spans(message);
    assert_eq!(format!("{:?}", decoded.spans), format!("{expected:?}"));
    assert_eq!(format!("{shown:?}"), format!("{expected:?}"));
    let expected = expected
        .into_iter()
        .map(|span| (span.trace_id, span.identity));
    assert_eq!(announced, expected.collect::<Vec<_>>());
}

fn one_by_one(bytes: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    let decoded = decode_each::<DecodeError>(bytes, |span| {
        spans.push(span.clone());
        Ok(())
    });
    assert_eq!(decoded.is_ok(), decode(bytes).is_ok());
    spans
}

fn identities(bytes: &[u8]) -> Vec<(TraceId, Identity)> {
    let mut found = Vec::new();
    identify_each::<Infallible>(bytes, |trace, identity| {
        found.push((trace, identity.clone()));
        Ok(())
    })
    .expect("the sink takes all");
    found
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
                put_varint(&mut bytes, u64::from(number << 3 | wire_type));
                match wire_type {
                    0 => put_varint(&mut bytes, inside.len() as u64),
                    1 => bytes.extend([1; 8]),
                    5 => bytes.extend([1; 4]),
                    3 => {
                        bytes.extend(&inside);
                        put_varint(&mut bytes, u64::from(number << 3 | 4));
                    }
                    _ => {
                        put_varint(&mut bytes, inside.len() as u64);
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
        agree(&within(bytes, 1));
    }

    #[test]
    fn agrees_with_prost_on_requests_of_the_schema(choices in arbitrary::choices()) {
        agree(&arbitrary::request(&choices, Faults::None));
        agree(&arbitrary::request(&choices, Faults::Some));
    }

    #[test]
    fn agrees_with_prost_on_damaged_requests(
        choices in arbitrary::choices(),
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        for mut bytes in [real_request(), arbitrary::request(&choices, Faults::None)] {
            for (place, byte) in &places {
                let place = place.index(bytes.len() + 1);
                if let Some(found) = bytes.get_mut(place) {
                    *found = *byte;
                }
            }
            agree(&bytes);
            bytes.truncate(cut.index(bytes.len() + 1));
            agree(&bytes);
        }
    }
}

/// The only message in field `number` of another one.
fn within(inner: Vec<u8>, number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_varint(&mut bytes, u64::from(number << 3 | 2));
    put_varint(&mut bytes, inner.len() as u64);
    bytes.extend(inner);
    bytes
}

#[test]
fn depth_ends_where_prost_ends() {
    // An attribute that nests lists. At the limit an empty one may stand, and one with a field that nobody knows may not.
    for innermost in [&[][..], &[0x10, 1], &[0x78, 1]] {
        for levels in 85..=100 {
            let lists = [5, 1].into_iter().cycle().take(levels);
            let numbers: Vec<u32> = [1, 2, 2, 9, 2].into_iter().chain(lists).collect();
            let from_inside = numbers.into_iter().rev();
            agree(&from_inside.fold(innermost.to_vec(), within));
        }
    }
    // Unknown groups nest too.
    for levels in [98, 99, 100, 101, 5_000] {
        let mut bytes = vec![0x7b; levels];
        bytes.extend(vec![0x7c; levels]);
        agree(&bytes);
    }
}
