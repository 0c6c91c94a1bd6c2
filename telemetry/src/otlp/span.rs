//! One span: its own fields, and what a hop of an event says of itself.

use loom_proto::semconv::{attribute, span as name};
use loom_proto::trace_context::TraceContext;

use super::attributes::{self, write_int, write_text, write_truth};
use super::wire::{SHORT, TINY, Writer};
use crate::record::{
    FreeDetail, MessageDetail, MessageOperation, SpanDetail, SpanEvent, SpanRecord, SpanStatus,
    SubscriptionName, Value,
};

mod field {
    pub(super) const TRACE_ID: u32 = 1;
    pub(super) const SPAN_ID: u32 = 2;
    pub(super) const TRACE_STATE: u32 = 3;
    pub(super) const PARENT_SPAN_ID: u32 = 4;
    pub(super) const NAME: u32 = 5;
    pub(super) const KIND: u32 = 6;
    pub(super) const START: u32 = 7;
    pub(super) const END: u32 = 8;
    pub(super) const ATTRIBUTES: u32 = 9;
    pub(super) const DROPPED_ATTRIBUTES: u32 = 10;
    pub(super) const EVENTS: u32 = 11;
    pub(super) const DROPPED_EVENTS: u32 = 12;
    pub(super) const LINKS: u32 = 13;
    pub(super) const DROPPED_LINKS: u32 = 14;
    pub(super) const STATUS: u32 = 15;
    pub(super) const FLAGS: u32 = 16;

    pub(super) const STATUS_MESSAGE: u32 = 2;
    pub(super) const STATUS_CODE: u32 = 3;

    pub(super) const EVENT_TIME: u32 = 1;
    pub(super) const EVENT_NAME: u32 = 2;
    pub(super) const EVENT_ATTRIBUTES: u32 = 3;
    pub(super) const EVENT_DROPPED_ATTRIBUTES: u32 = 4;

    pub(super) const LINK_TRACE_ID: u32 = 1;
    pub(super) const LINK_SPAN_ID: u32 = 2;
    pub(super) const LINK_TRACE_STATE: u32 = 3;
    pub(super) const LINK_ATTRIBUTES: u32 = 4;
    pub(super) const LINK_DROPPED_ATTRIBUTES: u32 = 5;
    pub(super) const LINK_FLAGS: u32 = 6;
}

/// OTLP's bit 8: bit 9 says something.
const HAS_IS_REMOTE: u32 = 0x100;
/// OTLP's bit 9: the parent lives in another process.
const IS_REMOTE: u32 = 0x200;

pub(super) fn write(writer: &mut Writer, field: u32, span: &SpanRecord) {
    writer.message(field, SHORT, |writer| {
        let free = match &span.detail {
            SpanDetail::Message(_) => None,
            SpanDetail::Free(detail) => Some(&**detail),
        };
        writer.bytes(field::TRACE_ID, &span.context.trace_id.0);
        writer.bytes(field::SPAN_ID, &span.context.span_id.0);
        if let Some(free) = free {
            writer.text(field::TRACE_STATE, &free.tracestate);
        }
        if !span.is_root() {
            writer.bytes(field::PARENT_SPAN_ID, &span.parent_span_id.0);
        }
        writer.text(field::NAME, span_name(&span.detail));
        writer.number(field::KIND, span.kind as u64);
        writer.fixed64(field::START, span.start_unix_nano);
        writer.fixed64(field::END, span.end_unix_nano);
        match &span.detail {
            SpanDetail::Message(detail) => write_message(writer, span, detail),
            SpanDetail::Free(detail) => write_free(writer, detail),
        }
        write_status(writer, span.status, free);
        writer.fixed32(field::FLAGS, flags(span));
    });
}

fn span_name(detail: &SpanDetail) -> &str {
    match detail {
        SpanDetail::Free(detail) => detail.name.as_str().unwrap_or_default(),
        SpanDetail::Message(detail) => match detail.operation {
            MessageOperation::BridgePublish { .. } => name::BRIDGE_PUBLISH,
            MessageOperation::BusPublish { .. } => name::BUS_PUBLISH,
            MessageOperation::BridgeForward { .. } => name::BRIDGE_FORWARD,
        },
    }
}

/// The attributes of a hop, Loom's promised names first, then those of the messaging conventions.
fn write_message(writer: &mut Writer, span: &SpanRecord, detail: &MessageDetail) {
    let mut text = |key, value: &[u8]| write_text(writer, field::ATTRIBUTES, key, value);
    let event_id = detail.event_id.to_text();
    let operation = match detail.operation {
        MessageOperation::BridgePublish { .. } | MessageOperation::BusPublish { .. } => "publish",
        MessageOperation::BridgeForward { .. } => "forward",
    };

    if let Some(agent) = &detail.agent {
        text(attribute::AGENT_ID, agent.as_bytes());
    }
    text(attribute::TOPIC, detail.topic.as_bytes());
    text(attribute::EVENT_ID, &event_id);
    text(attribute::TRACE_ID, &span.context.trace_id.to_hex());
    text(attribute::SPAN_ID, &span.context.span_id.to_hex());
    text(attribute::MESSAGING_SYSTEM, b"loom");
    text(attribute::MESSAGING_DESTINATION, detail.topic.as_bytes());
    text(attribute::MESSAGING_MESSAGE_ID, &event_id);
    text(attribute::MESSAGING_OPERATION_NAME, operation.as_bytes());
    text(attribute::MESSAGING_OPERATION_TYPE, b"send");
    if let Some(agent) = &detail.agent {
        text(attribute::MESSAGING_CLIENT_ID, agent.as_bytes());
    }
    if let MessageOperation::BridgeForward { subscription, .. } = &detail.operation {
        let SubscriptionName { pattern, group } = &**subscription;
        text(attribute::MESSAGING_SUBSCRIPTION, pattern.as_bytes());
        if let Some(group) = group {
            text(attribute::MESSAGING_GROUP, group.as_bytes());
        }
    }
    if let Some(error) = detail.error {
        text(attribute::ERROR_TYPE, error.as_bytes());
    }

    if detail.is_stand_in {
        write_truth(writer, field::ATTRIBUTES, attribute::STAND_IN);
    }
    let mut int = |key, value: u32| write_int(writer, field::ATTRIBUTES, key, i64::from(value));
    match detail.operation {
        MessageOperation::BridgePublish { body_size } => {
            int(attribute::MESSAGING_BODY_SIZE, body_size);
        }
        MessageOperation::BusPublish { matched } => int(attribute::BUS_MATCHED, matched),
        MessageOperation::BridgeForward {
            attempt, wait_us, ..
        } => {
            int(attribute::MESSAGING_DELIVERY_ATTEMPT, attempt);
            int(attribute::QUEUE_WAIT_US, wait_us);
        }
    }
    if let Some(context) = &detail.link {
        write_link(writer, context, "", &[]);
    }
}

fn write_free(writer: &mut Writer, detail: &FreeDetail) {
    let unwritten = attributes::write(writer, field::ATTRIBUTES, &detail.attributes);
    let dropped = detail.dropped_attributes.saturating_add(unwritten);
    writer.count(field::DROPPED_ATTRIBUTES, u64::from(dropped));
    for event in &detail.events {
        write_event(writer, event);
    }
    writer.count(field::DROPPED_EVENTS, u64::from(detail.dropped_events));
    for link in &detail.links {
        write_link(writer, &link.context, &link.tracestate, &link.attributes);
    }
    writer.count(field::DROPPED_LINKS, u64::from(detail.dropped_links));
}

fn write_event(writer: &mut Writer, event: &SpanEvent) {
    writer.message(field::EVENTS, TINY, |writer| {
        writer.fixed64(field::EVENT_TIME, event.time_unix_nano);
        writer.text(field::EVENT_NAME, event.name.as_str().unwrap_or_default());
        let unwritten = attributes::write(writer, field::EVENT_ATTRIBUTES, &event.attributes);
        writer.count(field::EVENT_DROPPED_ATTRIBUTES, u64::from(unwritten));
    });
}

fn write_link(
    writer: &mut Writer,
    context: &TraceContext,
    tracestate: &str,
    attributes: &[(Value, Value)],
) {
    writer.message(field::LINKS, TINY, |writer| {
        writer.bytes(field::LINK_TRACE_ID, &context.trace_id.0);
        writer.bytes(field::LINK_SPAN_ID, &context.span_id.0);
        writer.text(field::LINK_TRACE_STATE, tracestate);
        let unwritten = attributes::write(writer, field::LINK_ATTRIBUTES, attributes);
        writer.count(field::LINK_DROPPED_ATTRIBUTES, u64::from(unwritten));
        // Whether the linked span is remote was not recorded, so bits 8 and 9 stay "unknown".
        writer.fixed32(field::LINK_FLAGS, u32::from(context.flags.0));
    });
}

/// Unset is left out. A message belongs to errors alone (OTel API, "Set Status").
fn write_status(writer: &mut Writer, status: SpanStatus, free: Option<&FreeDetail>) {
    if status == SpanStatus::Unset {
        return;
    }
    writer.message(field::STATUS, TINY, |writer| {
        if let (SpanStatus::Error, Some(free)) = (status, free) {
            writer.text(field::STATUS_MESSAGE, &free.status_message);
        }
        writer.number(field::STATUS_CODE, status as u64);
    });
}

fn flags(span: &SpanRecord) -> u32 {
    let remote = if span.parent_is_remote { IS_REMOTE } else { 0 };
    u32::from(span.context.flags.0) | HAS_IS_REMOTE | remote
}
