//! One delivery from a mailbox to the frame that carries it: the span `bridge.forward`. Hot path.

use std::sync::Arc;

use loom_core::{Delivery, Tracer};
use loom_proto::wire::put_delivery;
use loom_telemetry::{MessageDetail, MessageOperation, SpanDetail, SpanKind, SpanStatus, ids};
use rustc_hash::FxHashMap;

/// Writes deliveries for one agent.
#[derive(Debug)]
pub(crate) struct Forward {
    tracer: Tracer,
    agent: Arc<str>,
    /// Pattern by subscription id.
    patterns: FxHashMap<u32, Arc<str>>,
}

impl Forward {
    pub(crate) fn new(tracer: Tracer, agent: Arc<str>, patterns: FxHashMap<u32, Arc<str>>) -> Self {
        Self {
            tracer,
            agent,
            patterns,
        }
    }

    /// Whose room for spans a delivery waits for.
    pub(crate) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// The hot path, step by step.
    pub(crate) fn delivery(&self, delivery: &Delivery, frame: &mut Vec<u8>) {
        const FIRST_ATTEMPT: u32 = 1;
        let event = &*delivery.event;

        // One span for each attempt; the handler's span becomes its child.
        let span = self.tracer.start(event.trace(), false);

        // The event was encoded once, by its producer; only what differs is written around it.
        let traceparent = span.context().map(|context| context.to_traceparent());
        let traceparent = traceparent.as_ref().map_or(&[][..], |bytes| bytes);
        put_delivery(
            frame,
            delivery.subscription,
            traceparent,
            FIRST_ATTEMPT,
            event.wire(),
            0,
        );

        self.tracer
            .end(span, SpanKind::Producer, SpanStatus::Unset, || {
                let wait_us =
                    ids::now_unix_nano().saturating_sub(event.published_unix_nano()) / 1000;
                SpanDetail::Message(MessageDetail {
                    operation: MessageOperation::BridgeForward {
                        subscription: self
                            .patterns
                            .get(&delivery.subscription)
                            .cloned()
                            .unwrap_or_default(),
                        attempt: FIRST_ATTEMPT,
                        wait_us: u32::try_from(wait_us).unwrap_or(u32::MAX),
                    },
                    agent: Some(Arc::clone(&self.agent)),
                    topic: Arc::clone(event.topic()),
                    event_id: event.id(),
                    error: None,
                })
            });
    }
}
