//! What is written by hand is what the generated messages read, and the other way round.

use bytes::{Bytes, BytesMut};
use loom_proto::v1;
use loom_proto::wire::{
    DeliveryHead, EnvelopeHead, EventHead, EventParts, Fields, Value, WireError, put_delivery,
    put_event,
};
use proptest::prelude::*;
use prost::Message;

fn envelope() -> impl Strategy<Value = v1::Envelope> {
    let text = || "[ -~é]{0,200}";
    (
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
        any::<u32>(),
        any::<u32>(),
    )
        .prop_map(
            |(
                traceparent,
                tracestate,
                baggage,
                thread_id,
                correlation_id,
                sender,
                reply_to,
                ttl,
                hop,
            )| v1::Envelope {
                traceparent,
                tracestate,
                baggage,
                thread_id,
                correlation_id,
                sender,
                reply_to,
                ttl,
                hop,
            },
        )
}

fn event() -> impl Strategy<Value = v1::Event> {
    (
        prop::collection::vec(any::<u8>(), 0..20),
        "[a-z.]{0,140}",
        "[a-zé]{0,9}",
        any::<u64>(),
        prop::option::of(envelope()),
        "[a-z/]{0,9}",
        prop::collection::btree_map("[a-z]{0,9}", "[a-zé]{0,9}", 0..4),
        prop::collection::vec(any::<u8>(), 0..300),
    )
        .prop_map(
            |(id, topic, r#type, time_unix_nano, envelope, content_type, metadata, payload)| {
                v1::Event {
                    id: id.into(),
                    topic,
                    r#type,
                    time_unix_nano,
                    envelope,
                    content_type,
                    metadata,
                    payload: payload.into(),
                }
            },
        )
}

fn head(envelope: &v1::Envelope) -> EnvelopeHead<'_> {
    EnvelopeHead {
        traceparent: &envelope.traceparent,
        tracestate: &envelope.tracestate,
        baggage: &envelope.baggage,
        thread_id: &envelope.thread_id,
        correlation_id: &envelope.correlation_id,
        sender: &envelope.sender,
        reply_to: &envelope.reply_to,
        ttl: envelope.ttl,
        hop: envelope.hop,
    }
}

proptest! {
    #[test]
    fn a_scanned_head_is_the_decoded_event(event in event()) {
        let bytes = event.encode_to_vec();
        let scanned = EventHead::scan(&bytes).expect("a valid event");
        prop_assert_eq!(scanned.id, &event.id[..]);
        prop_assert_eq!(scanned.topic, &event.topic);
        prop_assert_eq!(scanned.r#type, &event.r#type);
        prop_assert_eq!(scanned.time_unix_nano, event.time_unix_nano);
        let envelope = event.envelope.clone().unwrap_or_default();
        prop_assert_eq!(scanned.envelope, head(&envelope));
        prop_assert_eq!(scanned.content_type, &event.content_type);
        prop_assert_eq!(scanned.payload, &event.payload[..]);
    }

    #[test]
    fn written_parts_decode_to_the_same_event(event in event()) {
        let metadata: Vec<_> = event.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let envelope = event.envelope.clone().unwrap_or_default();
        let parts = EventParts {
            id: &event.id,
            topic: &event.topic,
            r#type: &event.r#type,
            time_unix_nano: event.time_unix_nano,
            envelope: head(&envelope),
            content_type: &event.content_type,
            metadata: &metadata,
            payload: &event.payload,
        };
        let mut frame = BytesMut::new();
        put_event(&mut frame, &parts);
        let decoded = v1::ClientEvent::decode(frame.freeze()).expect("a valid frame");
        let mut expected = event;
        expected.envelope = expected.envelope.filter(|e| *e != v1::Envelope::default());
        prop_assert_eq!(decoded.publish, vec![expected]);
    }

    #[test]
    fn a_delivery_is_read_by_both(event in event(), subscription: u32, attempt: u32, offset: u64, traceparent in "[0-9a-f-]{0,60}") {
        let mut frame = BytesMut::new();
        let bytes = event.encode_to_vec();
        put_delivery(&mut frame, subscription, traceparent.as_bytes(), attempt, &bytes, offset);
        let frame: Bytes = frame.freeze();
        let decoded = v1::ServerEvent::decode(frame.clone()).expect("a valid frame").delivery;
        let expected = v1::Delivery { subscription, traceparent: traceparent.clone(), attempt, event: Some(event), offset };
        prop_assert_eq!(&decoded, &vec![expected.clone()]);
        let encoded = expected.encode_to_vec();
        let head = DeliveryHead::scan(&encoded).expect("a valid delivery");
        prop_assert_eq!((head.subscription, head.traceparent, head.attempt, head.offset), (subscription, &*traceparent, attempt, offset));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_what_prost_refuses_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Fields::of(&bytes).count() <= bytes.len());
        prop_assert!(DeliveryHead::scan(&bytes).is_ok_and(|head| head.event.len() <= bytes.len()) || DeliveryHead::scan(&bytes).is_err());
        // prost accepts groups as unknown fields, the scan does not: it is the stricter one.
        if EventHead::scan(&bytes).is_ok() {
            prop_assert!(v1::Event::decode(&bytes[..]).is_ok());
        }
    }

    #[test]
    fn with_groups_the_walk_takes_what_prost_takes(bytes in prop::collection::vec(group_byte(), 0..40)) {
        // The empty message knows no field and passes over all of them.
        let is_taken = Fields::with_groups(&bytes, 100).all(|field| field.is_ok());
        prop_assert_eq!(is_taken, <()>::decode(&bytes[..]).is_ok());
    }
}

/// Mostly begins and ends of groups, and sometimes a field of each other type.
fn group_byte() -> impl Strategy<Value = u8> {
    prop::sample::select(vec![
        0x0b, 0x0c, 0x0b, 0x0c, 0x13, 0x14, 0x08, 0x01, 0x00, 0x09, 0x0a, 0x0d, 0x0f, 0x80,
    ])
}

#[test]
fn groups_nest_as_deep_as_prost_follows() {
    for levels in [1, 99, 100, 101, 5_000] {
        let bytes = [vec![0x7b; levels], vec![0x7c; levels]].concat();
        let first = Fields::with_groups(&bytes, 100).try_next();
        assert_eq!(first.is_ok(), <()>::decode(&bytes[..]).is_ok(), "{levels}");
        match first {
            Ok(field) => assert_eq!(field.map(|f| (f.number, f.value)), Some((15, Value::Group))),
            Err(error) => assert_eq!(error, WireError::Depth),
        }
    }
}

#[test]
fn a_group_is_malformed_where_none_is_allowed() {
    let mut fields = Fields::of(&[0x08, 0x01, 0x0b, 0x0c]);
    assert!(fields.next().is_some_and(|field| field.is_ok()));
    assert_eq!(fields.next(), Some(Err(WireError::WireType(3))));
    assert_eq!(fields.next(), None);
}

#[test]
fn a_failed_walk_says_where_it_stopped() {
    let mut fields = Fields::of(&[0x08, 0x01, 0x0a, 0x05, 0x12]);
    assert!(fields.try_next().is_ok());
    assert_eq!(fields.try_next(), Err(WireError::Truncated));
    assert_eq!(fields.rest(), [0x12]);
}
