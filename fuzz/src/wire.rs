//! Arbitrary bytes into everything that reads what a stranger sends. `make fuzz` runs it for some seconds,
//! `make fuzz FUZZ_SECONDS=3600` for longer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use loom_proto::trace_context::{TraceContext, baggage_is_valid, tracestate_is_valid};
use loom_proto::wire::{DeliveryHead, EventHead, EventParts, Field, Fields, Value, number};
use loom_proto::{topic, v1};
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    frame(bytes);
    event(bytes);
    text(bytes);
});

/// A frame as the bridge and the SDK walk it.
fn frame(bytes: &[u8]) {
    for field in Fields::of(bytes).map_while(Result::ok) {
        match field {
            Field { number: number::PUBLISH, value: Value::Bytes(inner) } => {
                event(inner);
                if let Ok(delivery) = DeliveryHead::scan(inner) {
                    event(delivery.event);
                }
            }
            Field { value: Value::Bytes(inner), .. } => assert!(inner.len() < bytes.len()),
            _ => {}
        }
    }
}

/// The scan must agree with the decoder, and what is written from a head must be read as the same head.
fn event(bytes: &[u8]) {
    let Ok(head) = EventHead::scan(bytes) else { return };
    let decoded = v1::Event::decode(bytes).expect("what the scan accepts, the decoder accepts");
    assert_eq!(head.id, &decoded.id[..]);
    assert_eq!(head.topic, decoded.topic);
    assert_eq!(head.payload, &decoded.payload[..]);
    assert_eq!(head.envelope.traceparent, decoded.envelope.unwrap_or_default().traceparent);

    let EventHead { id, topic, r#type, time_unix_nano, envelope, content_type, payload, .. } = head;
    let parts = EventParts { id, topic, r#type, time_unix_nano, envelope, content_type, metadata: &[], payload };
    let mut written = Vec::new();
    parts.put(&mut written);
    assert_eq!(written.len(), parts.encoded_len());
    assert_eq!(EventHead::scan(&written), Ok(EventHead { metadata_traceparent: None, ..head }));
}

/// The texts inside: contexts and topics.
fn text(bytes: &[u8]) {
    if let Ok(context) = TraceContext::parse(bytes) {
        assert!(context.is_valid());
        assert_eq!(TraceContext::parse(&context.to_traceparent()), Ok(context));
    }
    let (_, _) = (tracestate_is_valid(bytes), baggage_is_valid(bytes));
    if let Ok(text) = std::str::from_utf8(bytes)
        && topic::validate_topic(text).is_ok()
    {
        assert!(topic::validate_pattern(text).is_ok() && topic::matches(text, text));
    }
}
