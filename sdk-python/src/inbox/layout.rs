//! Where the parts of an encoded event stand, so that Python pays only for those that it reads.

use loom_proto::trace_context::{TraceContext, baggage_is_valid, tracestate_is_valid};
use loom_proto::wire::{EventHead, FieldError};

/// A part of the event's bytes; empty where the field is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    start: u32,
    length: u32,
}

/// One scan's result.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EventLayout {
    pub(crate) id: [u8; 16],
    pub(crate) time_unix_nano: u64,
    /// Of the span `bridge.forward`, else of the envelope, else invalid.
    pub(crate) context: TraceContext,
    pub(crate) topic: Part,
    pub(crate) r#type: Part,
    pub(crate) content_type: Part,
    pub(crate) payload: Part,
    pub(crate) tracestate: Part,
    pub(crate) baggage: Part,
    pub(crate) thread_id: Part,
    pub(crate) correlation_id: Part,
    pub(crate) sender: Part,
    pub(crate) reply_to: Part,
    pub(crate) ttl: u32,
    pub(crate) hop: u32,
}

impl Part {
    /// `part` borrows from `whole`.
    fn of(part: &[u8], whole: &[u8]) -> Self {
        if part.is_empty() {
            return Self::default();
        }
        Self {
            // A frame is far smaller than 4 GiB: tonic's length prefix has 32 bits.
            start: (part.as_ptr() as usize - whole.as_ptr() as usize) as u32,
            length: part.len() as u32,
        }
    }

    pub(crate) fn bytes(self, whole: &[u8]) -> &[u8] {
        &whole[self.start as usize..][..self.length as usize]
    }

    /// Parts of strings were checked by the scan.
    pub(crate) fn text(self, whole: &[u8]) -> &str {
        std::str::from_utf8(self.bytes(whole)).unwrap_or_default()
    }
}

impl EventLayout {
    /// Walks the event once. `traceparent` is the delivery's own, which stands for the envelope's.
    ///
    /// # Errors
    /// The field that cannot be read.
    pub(crate) fn scan(event: &[u8], traceparent: &str) -> Result<Self, FieldError> {
        let head = EventHead::scan(event)?;
        let envelope = &head.envelope;
        let text = |text: &str| Part::of(text.as_bytes(), event);
        let context = [traceparent, envelope.traceparent]
            .into_iter()
            .find_map(|text| TraceContext::parse(text.as_bytes()).ok());
        let mut layout = Self {
            id: head.id.try_into().unwrap_or_default(),
            time_unix_nano: head.time_unix_nano,
            context: context.unwrap_or_default(),
            topic: text(head.topic),
            r#type: text(head.r#type),
            content_type: text(head.content_type),
            payload: Part::of(head.payload, event),
            thread_id: text(envelope.thread_id),
            correlation_id: text(envelope.correlation_id),
            sender: text(envelope.sender),
            reply_to: text(envelope.reply_to),
            ttl: envelope.ttl,
            hop: envelope.hop,
            ..Self::default()
        };
        // Without a valid traceparent the tracestate is not looked at (W3C Trace Context, 3.3).
        if context.is_some() && tracestate_is_valid(envelope.tracestate.as_bytes()) {
            layout.tracestate = text(envelope.tracestate);
        }
        if baggage_is_valid(envelope.baggage.as_bytes()) {
            layout.baggage = text(envelope.baggage);
        }
        Ok(layout)
    }
}
