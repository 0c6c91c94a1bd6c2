//! One delivery from a mailbox to the frame that carries it: the span `bridge.forward`. Hot path.

use std::sync::Arc;

use loom_core::{Attempt, Event, Tracer};
use loom_proto::trace_context::{SpanId, TraceContext};
use loom_proto::wire::put_delivery;
use loom_telemetry::{
    MessageDetail, MessageOperation, SpanDetail, SpanKind, SpanStatus, SubscriptionName, ids,
};
use rustc_hash::FxHashMap;

/// Writes deliveries for one agent.
#[derive(Debug)]
pub(crate) struct Forward {
    tracer: Tracer,
    agent: Arc<str>,
    /// Their names by their ids.
    subscriptions: FxHashMap<u32, Arc<SubscriptionName>>,
}

/// One attempt to hand one event to one subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    subscription: u32,
    attempt: u32,
    /// Its place in its stream; 0 where the subscription is not acknowledged.
    offset: u64,
    event: &'a Event,
    /// Context of the attempt before.
    previous: Option<TraceContext>,
}

impl<'a> Outgoing<'a> {
    /// The only attempt of a delivery that is not acknowledged.
    pub(crate) fn first(subscription: u32, event: &'a Event) -> Self {
        Self {
            subscription,
            attempt: 1,
            offset: 0,
            event,
            previous: None,
        }
    }

    /// An attempt that the agent will say something of.
    pub(crate) fn attempt(subscription: u32, attempt: &'a Attempt) -> Self {
        Self {
            subscription,
            attempt: attempt.number,
            offset: attempt.offset,
            event: &attempt.event,
            previous: attempt.previous,
        }
    }

    /// Size of its encoded event.
    pub(crate) fn wire_len(&self) -> usize {
        self.event.wire().len()
    }
}

impl Forward {
    pub(crate) fn new(
        tracer: Tracer,
        agent: Arc<str>,
        subscriptions: FxHashMap<u32, Arc<SubscriptionName>>,
    ) -> Self {
        Self {
            tracer,
            agent,
            subscriptions,
        }
    }

    /// Whose room for spans a delivery waits for.
    pub(crate) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// The hot path, step by step. Returns the id of the span, if it is recorded.
    pub(crate) fn delivery(&self, outgoing: &Outgoing<'_>, frame: &mut Vec<u8>) -> Option<SpanId> {
        let Outgoing {
            subscription,
            attempt,
            offset,
            event,
            previous,
        } = *outgoing;

        // One span for each attempt; the handler's span becomes its child.
        let span = self.tracer.start(event.trace(), false);

        // The event was encoded once, by its producer; only what differs is written around it.
        let traceparent = span.context().map(|context| context.to_traceparent());
        let traceparent = traceparent.as_ref().map_or(&[][..], |bytes| bytes);
        put_delivery(
            frame,
            subscription,
            traceparent,
            attempt,
            event.wire(),
            offset,
        );

        let recorded = span.context().filter(|_| span.is_recording());
        self.tracer
            .end(span, SpanKind::Producer, SpanStatus::Unset, || {
                let wait_us =
                    ids::now_unix_nano().saturating_sub(event.published_unix_nano()) / 1000;
                SpanDetail::Message(MessageDetail {
                    operation: MessageOperation::BridgeForward {
                        subscription: self
                            .subscriptions
                            .get(&subscription)
                            .cloned()
                            .unwrap_or_default(),
                        attempt,
                        wait_us: u32::try_from(wait_us).unwrap_or(u32::MAX),
                    },
                    agent: Some(Arc::clone(&self.agent)),
                    topic: Arc::clone(event.topic()),
                    event_id: event.id(),
                    error: None,
                    link: previous.map(Box::new),
                    is_stand_in: false,
                })
            });
        recorded.map(|context| context.span_id)
    }
}
