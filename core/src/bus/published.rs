//! What became of a publish, and the end of its span.

use std::sync::Arc;

use loom_proto::EventId;
use loom_proto::trace_context::TraceContext;
use loom_telemetry::{MessageDetail, MessageOperation, SpanDetail, SpanKind, SpanStatus};

use crate::error::PublishError;
use crate::event::Event;
use crate::instrument::{HopSpan, Tracer};
use crate::ledger::DropReason;
use crate::stream::Stored;

/// What became of an event.
#[derive(Clone, Debug)]
pub struct Published {
    /// Subscriptions that it was routed to.
    pub matched: u32,
    /// Those of them that had no room in time, or left meanwhile; counted in the ledger.
    pub lost: u32,
    /// Context of the span `EventBus.publish`.
    pub trace: Option<TraceContext>,
    /// The stream that keeps it. The publish counts when that is [committed](Stored::committed).
    pub stored: Option<Stored>,
    /// `EventBus.publish`, where it ends with the answer of the disk.
    pub(super) open: Option<OpenSpan>,
}

/// A span `EventBus.publish` that is not told yet, and whom it is about.
#[derive(Clone, Debug)]
pub(super) struct OpenSpan {
    span: HopSpan,
    topic: Arc<str>,
    event_id: EventId,
}

impl Published {
    /// Whether it counts: at once where no stream keeps it, else when the disk has answered. `None` while that is open.
    pub fn outcome(&self) -> Option<Result<(), PublishError>> {
        self.stored.as_ref().map_or(Some(Ok(())), Stored::outcome)
    }

    /// Waits until it counts.
    ///
    /// # Errors
    /// The stream that should keep it could not.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn committed(&self) -> Result<(), PublishError> {
        match &self.stored {
            Some(stored) => stored.committed().await,
            None => Ok(()),
        }
    }

    /// Ends `EventBus.publish` of an event that a stream keeps, now that it counts, or why it does not. Until then the span
    /// is not told: of a publish that a crash has undone there shall be none. Does nothing when it has ended.
    pub fn end(&mut self, tracer: &Tracer, kept: &Result<(), PublishError>) {
        if let Some(open) = self.open.take() {
            let error = kept.as_ref().err().map(|error| error.code().name());
            self.tell(tracer, open.span, &open.topic, open.event_id, error);
        }
    }

    /// Ends the span of a publish, unless the disk has to answer first.
    pub(super) fn with_span(mut self, span: HopSpan, tracer: &Tracer, event: &Event) -> Self {
        if self.stored.is_some() {
            self.open = Some(OpenSpan {
                span,
                topic: Arc::clone(event.topic()),
                event_id: event.id(),
            });
        } else {
            self.tell(tracer, span, event.topic(), event.id(), None);
        }
        self
    }

    /// Tells the span; a publish without an error has one where deliveries were lost.
    fn tell(
        &self,
        tracer: &Tracer,
        span: HopSpan,
        topic: &Arc<str>,
        event_id: EventId,
        error: Option<&'static str>,
    ) {
        let lost = (self.lost > 0).then_some(DropReason::Backpressure.as_str());
        let error = error.or(lost);
        let status = if error.is_some() {
            SpanStatus::Error
        } else {
            SpanStatus::Unset
        };
        tracer.end(span, SpanKind::Producer, status, || {
            SpanDetail::Message(MessageDetail {
                operation: MessageOperation::BusPublish {
                    matched: self.matched,
                },
                agent: None,
                topic: Arc::clone(topic),
                event_id,
                error,
                link: None,
                is_stand_in: false,
            })
        });
    }
}
