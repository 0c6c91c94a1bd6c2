//! Spans that the runtime writes in the place of those that were lost with their process.
//!
//! Each has the id that the lost one had, so its children find their parent, and the attribute `loom.stand_in`. Where both
//! come to the trace store, it keeps the span itself.

use std::sync::Arc;

use loom_proto::trace_context::{SpanId, TraceContext};
use loom_proto::wire::EventHead;
use loom_telemetry::{
    MessageDetail, MessageOperation, SpanDetail, SpanKind, SpanRecord, SpanStatus,
};

use crate::event::{Came, Event};

/// The spans of a publish that a stream has kept, told again from what it kept: `EventBus.publish`, and `bridge.publish`
/// where it came over the bridge. None where the trace was not recorded.
///
/// Only the moment at which the bus took the event is known, so each begins and ends then.
pub fn of_publish(event: &Event) -> impl Iterator<Item = SpanRecord> {
    let lineage = event.lineage();
    let bus = event.trace().filter(|trace| trace.flags.is_sampled());
    let bus = bus.map(|context| {
        let operation = MessageOperation::BusPublish { matched: 0 };
        let of_bus = span(context, lineage.parent, event, operation, None);
        SpanRecord {
            kind: SpanKind::Producer,
            ..of_bus
        }
    });
    let bridge = match (&bus, lineage.came) {
        (Some(bus), Came::OverTheBridge { origin }) if lineage.parent.is_valid() => {
            let context = TraceContext {
                span_id: lineage.parent,
                ..bus.context
            };
            let operation = MessageOperation::BridgePublish {
                body_size: event.payload_len(),
            };
            let of_bridge = span(context, origin, event, operation, sender(event));
            Some(SpanRecord {
                kind: SpanKind::Consumer,
                parent_is_remote: true,
                ..of_bridge
            })
        }
        _ => None,
    };
    bridge.into_iter().chain(bus)
}

fn span(
    context: TraceContext,
    parent: SpanId,
    event: &Event,
    operation: MessageOperation,
    agent: Option<Arc<str>>,
) -> SpanRecord {
    SpanRecord {
        context,
        parent_span_id: parent,
        parent_is_remote: false,
        kind: SpanKind::Internal,
        status: SpanStatus::Unset,
        start_unix_nano: event.published_unix_nano(),
        end_unix_nano: event.published_unix_nano(),
        detail: SpanDetail::Message(MessageDetail {
            operation,
            agent,
            topic: Arc::clone(event.topic()),
            event_id: event.id(),
            error: None,
            is_stand_in: true,
        }),
    }
}

/// The agent that published an event, where the event says so.
fn sender(event: &Event) -> Option<Arc<str>> {
    let head = EventHead::scan(event.wire()).ok()?;
    let sender = head.envelope.sender;
    (!sender.is_empty()).then(|| sender.into())
}
