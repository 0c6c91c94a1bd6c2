use loom_proto::wire;
use prost::Message as _;

use super::*;
use crate::testing::{otlp_span, request};

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
