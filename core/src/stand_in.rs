//! Spans that the runtime writes in the place of those that were lost with their process.
//!
//! Each has the id that the lost one had, so its children find their parent, and the attribute `loom.stand_in`. Where both
//! come to the trace store, it keeps the span itself.

use std::sync::Arc;

use loom_proto::EventId;
use loom_proto::semconv::{attribute as key, span as name};
use loom_proto::trace_context::{SpanId, TraceContext};
use loom_proto::wire::EventHead;
use loom_telemetry::{
    FreeDetail, MessageDetail, MessageOperation, SpanDetail, SpanKind, SpanRecord, SpanStatus,
    SubscriptionName, Value, ids,
};

use crate::event::{Came, Event};

/// The spans of a publish that a stream has kept, told again from what it kept: `EventBus.publish`, and `bridge.publish`
/// where it came over the bridge. None where the trace was not recorded.
///
/// Only the moment at which the bus took the event is known, so each begins and ends then.
pub fn of_publish(event: &Event) -> impl Iterator<Item = SpanRecord> {
    let lineage = event.lineage();
    let bus = event.sampled_trace();
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

/// A delivery of an event that a group has settled and nobody told of: `bridge.forward`, to an agent that nobody knows. `trace` is
/// that of the event.
pub fn of_delivery(event: &Event, trace: TraceContext, pattern: &str, group: &str) -> SpanRecord {
    let attempt = Attempt {
        number: 1,
        span: ids::new_span_id(),
        previous: None,
    };
    of_attempt(event, trace, pattern, group, attempt)
}

/// What a group remembers of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    /// From 1.
    pub(crate) number: u32,
    /// Its `bridge.forward`.
    pub(crate) span: SpanId,
    /// The `bridge.forward` of the attempt before it, to link to.
    pub(crate) previous: Option<TraceContext>,
}

/// An attempt that a group remembers: `bridge.forward`, to an agent that nobody knows. `trace` is that of the event.
pub(crate) fn of_attempt(
    event: &Event,
    trace: TraceContext,
    pattern: &str,
    group: &str,
    attempt: Attempt,
) -> SpanRecord {
    let operation = MessageOperation::BridgeForward {
        subscription: Arc::new(SubscriptionName {
            pattern: pattern.to_owned(),
            group: Some(group.to_owned()),
        }),
        attempt: attempt.number,
        wait_us: 0,
    };
    let context = TraceContext {
        span_id: attempt.span,
        ..trace
    };
    let mut told = span(context, trace.span_id, event, operation, None);
    told.kind = SpanKind::Producer;
    if let SpanDetail::Message(detail) = &mut told.detail {
        detail.link = attempt.previous.map(Box::new);
    }
    told
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
            link: None,
            is_stand_in: true,
        }),
    }
}

/// What is known of a span that was lost with an agent's process.
#[derive(Clone, Debug)]
pub struct Lost {
    /// The agent.
    pub agent: Arc<str>,
    /// Trace and flags, and the lost span's own id; for a handler the id of its delivery.
    pub context: TraceContext,
    /// Its parent; all zero where nobody knows it. Not used for a handler, whose parent is its delivery.
    pub parent: SpanId,
    /// Nanoseconds since the Unix epoch; the best guess there is.
    pub start_unix_nano: u64,
    /// Nanoseconds since the Unix epoch.
    pub end_unix_nano: u64,
    /// The event that it was about.
    pub event: Option<(Arc<str>, EventId)>,
    /// Number of the delivery attempt, from 1.
    pub attempt: u32,
}

impl Lost {
    /// `bridge.forward`, in the place of one that was lost with the server while the agent's handler lived on.
    pub fn delivery(self) -> SpanRecord {
        let (topic, event_id) = self.event.clone().unwrap_or_default();
        let detail = MessageDetail {
            operation: MessageOperation::BridgeForward {
                subscription: Arc::default(),
                attempt: self.attempt,
                wait_us: 0,
            },
            agent: Some(Arc::clone(&self.agent)),
            topic,
            event_id,
            error: None,
            link: None,
            is_stand_in: true,
        };
        self.record(SpanKind::Producer, SpanDetail::Message(detail))
    }

    /// `agent.on_event`. `is_answered`: the agent had said what became of the delivery; else it died over it.
    pub fn handler(mut self, is_answered: bool) -> SpanRecord {
        self.parent = self.context.span_id;
        self.context.span_id = ids::handler_span_id(self.parent);
        let mut detail = self.free(name::ON_EVENT);
        if is_answered {
            return self.record(SpanKind::Consumer, SpanDetail::Free(Arc::new(detail)));
        }
        detail.attributes.extend([
            (key::ERROR_TYPE.into(), "agent_lost".into()),
            (key::EXECUTION_STATE.into(), "DEAD".into()),
        ]);
        "the agent was lost before its handler came to an end"
            .clone_into(&mut detail.status_message);
        SpanRecord {
            status: SpanStatus::Error,
            ..self.record(SpanKind::Consumer, SpanDetail::Free(Arc::new(detail)))
        }
    }

    /// Anything else of which only the children are known.
    pub fn anything(self) -> SpanRecord {
        let detail = self.free(name::LOST);
        self.record(SpanKind::Internal, SpanDetail::Free(Arc::new(detail)))
    }

    fn free(&self, name: &'static str) -> FreeDetail {
        let agent = || Value::Shared(Arc::clone(&self.agent));
        let mut attributes = vec![
            (key::AGENT.into(), agent()),
            (key::STAND_IN.into(), true.into()),
        ];
        if let Some((topic, event_id)) = &self.event {
            let topic = || Value::Shared(Arc::clone(topic));
            attributes.extend([
                (key::EVENT.into(), event_id.to_string().into()),
                (key::TOPIC.into(), topic()),
                (key::MESSAGING_SYSTEM.into(), "loom".into()),
                (key::MESSAGING_DESTINATION.into(), topic()),
            ]);
        }
        if self.attempt > 1 {
            let attempt = i64::from(self.attempt);
            attributes.push((key::MESSAGING_DELIVERY_ATTEMPT.into(), attempt.into()));
        }
        FreeDetail {
            name: name.into(),
            attributes,
            ..FreeDetail::default()
        }
    }

    fn record(&self, kind: SpanKind, detail: SpanDetail) -> SpanRecord {
        SpanRecord {
            context: self.context,
            parent_span_id: self.parent,
            parent_is_remote: false,
            kind,
            status: SpanStatus::Unset,
            start_unix_nano: self.start_unix_nano,
            end_unix_nano: self.end_unix_nano.max(self.start_unix_nano),
            detail,
        }
    }
}

/// The agent that published an event, where the event says so.
fn sender(event: &Event) -> Option<Arc<str>> {
    let head = EventHead::scan(event.wire()).ok()?;
    let sender = head.envelope.sender;
    (!sender.is_empty()).then(|| sender.into())
}
