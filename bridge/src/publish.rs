//! One event from an agent to the bus: the span `bridge.publish`. Hot path.

use std::sync::Arc;

use loom_core::bus::{Progress, Waiting};
use loom_core::envelope::read_traceparent;
use loom_core::{Event, EventBus, HopSpan, Malformed, PublishError, Published, Publisher, Tracer};
use loom_proto::trace_context::{InvalidContext, TraceContext};
use loom_proto::wire::EventHead;
use loom_proto::{Code, EventId, v1};
use loom_telemetry::{MessageDetail, MessageOperation, SpanDetail, SpanKind, SpanStatus};

use crate::config::BridgeConfig;
use crate::counters::Counters;
use crate::status::{event_error, publish_error};

/// Publishes what one producer sends.
#[derive(Debug)]
pub(crate) struct Publish {
    publisher: Publisher,
    tracer: Tracer,
    counters: Arc<Counters>,
    /// The producer, unless it is no agent.
    agent: Option<Arc<str>>,
    max_event_bytes: usize,
}

/// How far an event has come.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// On the bus.
    Published(Published, EventId),
    /// Something is full: wait, then [`Publish::waited`].
    Waiting(Hop, Waiting),
    /// A stream has taken it and the disk has not: wait for that, then [`Publish::kept`].
    Storing(Hop, Published),
    /// Not on the bus.
    Rejected(v1::Error),
}

/// An open span `bridge.publish` and what it says.
#[derive(Debug)]
pub(crate) struct Hop {
    span: HopSpan,
    topic: Arc<str>,
    event_id: EventId,
    body_size: u32,
}

impl Publish {
    pub(crate) fn new(
        bus: &EventBus,
        tracer: Tracer,
        counters: Arc<Counters>,
        agent: Option<Arc<str>>,
        config: &BridgeConfig,
    ) -> Self {
        Self {
            publisher: bus.publisher(),
            tracer,
            counters,
            agent,
            max_event_bytes: config.max_event_bytes,
        }
    }

    /// Whose room for spans an event waits for.
    pub(crate) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// The hot path, step by step.
    pub(crate) fn event(&mut self, wire: &[u8]) -> Outcome {
        if wire.len() > self.max_event_bytes {
            return self.rejected(too_large(wire.len(), self.max_event_bytes));
        }

        // The head is all that is read of an event here.
        let head = match EventHead::scan(wire) {
            Ok(head) => head,
            Err(error) => return self.rejected(event_error(&error.into())),
        };

        // Nobody speaks in another agent's name.
        if let Some(agent) = &self.agent
            && !head.envelope.sender.is_empty()
            && *head.envelope.sender != **agent
        {
            return self.rejected(foreign_sender(head.envelope.sender, agent));
        }

        // W3C: what is malformed is not handed on, and the event goes on without it.
        let parent = self.remote_parent(&head);
        let malformed = Malformed::of(&head.envelope, parent.is_some());
        self.counters.malformed(malformed, parent.is_some());

        let event = self
            .publisher
            .topic(head.topic)
            .and_then(|topic| Event::from_head(&head, topic, wire, malformed));
        let mut event = match event {
            Ok(event) => event,
            Err(error) => return self.rejected(event_error(&error)),
        };

        // Child of the agent's span; the bus's span becomes a child of this one.
        let span = self.tracer.start(parent, true);
        event.set_bridged(&span);
        let hop = Hop {
            span,
            topic: Arc::clone(event.topic()),
            event_id: event.id(),
            body_size: event.payload_len(),
        };

        match self.publisher.publish_now(event) {
            Ok(Progress::Done(published)) => self.published(hop, published),
            Ok(Progress::Waiting(waiting)) => Outcome::Waiting(hop, waiting),
            Err(error) => self.not_taken(hop, &error),
        }
    }

    /// The waiting is over.
    pub(crate) fn waited(&self, hop: Hop, published: Result<Published, PublishError>) -> Outcome {
        match published {
            Ok(published) => self.published(hop, published),
            Err(error) => self.not_taken(hop, &error),
        }
    }

    /// The disk has answered.
    pub(crate) fn kept(
        &self,
        hop: Hop,
        mut published: Published,
        kept: Result<(), PublishError>,
    ) -> Outcome {
        let event_id = hop.event_id;
        published.end(&self.tracer, &kept);
        if let Err(error) = kept {
            return self.not_taken(hop, &error);
        }
        self.end(hop, None);
        Outcome::Published(published, event_id)
    }

    fn published(&self, hop: Hop, published: Published) -> Outcome {
        // Who needs a kept event reads it from its stream; live subscriptions without room are counted and no failure.
        if let Some(stored) = &published.stored {
            return match stored.outcome() {
                Some(kept) => self.kept(hop, published, kept),
                None => Outcome::Storing(hop, published),
            };
        }
        let event_id = hop.event_id;
        self.end(hop, (published.lost > 0).then_some(Code::Backpressure));
        if published.lost > 0 {
            return self.rejected(v1::Error::new(
                Code::Backpressure,
                format!(
                    "{} of {} subscriptions had no room in time and did not get the event: \
                     publish slower, or give them more handlers",
                    published.lost, published.matched
                ),
            ));
        }
        Outcome::Published(published, event_id)
    }

    fn not_taken(&self, hop: Hop, error: &PublishError) -> Outcome {
        self.end(hop, Some(error.code()));
        self.rejected(publish_error(error))
    }

    /// The envelope's context, else the one in the metadata. What is malformed is counted and dropped: W3C lets the
    /// event begin a new trace then.
    fn remote_parent(&self, head: &EventHead<'_>) -> Option<TraceContext> {
        let traceparent = match head.envelope.traceparent {
            "" => head.metadata_traceparent.unwrap_or_default(),
            traceparent => traceparent,
        };
        read_traceparent(traceparent).unwrap_or_else(|reason: InvalidContext| {
            self.counters.invalid_context(reason);
            None
        })
    }

    fn end(&self, hop: Hop, error: Option<Code>) {
        let status = if error.is_some() {
            SpanStatus::Error
        } else {
            SpanStatus::Unset
        };
        self.tracer.end(hop.span, SpanKind::Consumer, status, || {
            SpanDetail::Message(MessageDetail {
                operation: MessageOperation::BridgePublish {
                    body_size: hop.body_size,
                },
                agent: self.agent.clone(),
                topic: hop.topic,
                event_id: hop.event_id,
                error: error.map(Code::name),
                link: None,
                is_stand_in: false,
            })
        });
    }

    fn rejected(&self, error: v1::Error) -> Outcome {
        self.counters.rejected(error.code());
        Outcome::Rejected(error)
    }
}

fn too_large(bytes: usize, max: usize) -> v1::Error {
    v1::Error::new(
        Code::EventTooLarge,
        format!("the event has {bytes} bytes; at most {max} are allowed: send a reference instead, or raise bridge.max_event_bytes"),
    )
    .at("event")
}

fn foreign_sender(sender: &str, agent: &str) -> v1::Error {
    let message =
        format!("agent {agent} may not publish in the name of {sender:?}: leave the sender empty");
    v1::Error::new(Code::PermissionDenied, message).at("event.envelope.sender")
}
