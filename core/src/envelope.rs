//! Identity and trace context of an event as a value, and the pair `inject` / `extract`.

use loom_proto::trace_context::{
    InvalidContext, TraceContext, baggage_is_valid, tracestate_is_valid,
};
use loom_proto::v1;
use loom_proto::wire::EnvelopeHead;

use crate::instrument::current_context;

/// What an event says of itself besides its payload. The fields are those of `loom.v1.Envelope`; the trace fields are
/// optional and empty where there is no trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Envelope {
    wire: v1::Envelope,
    trace: Option<TraceContext>,
}

impl Envelope {
    /// Takes an envelope as it came; its trace context is not read yet.
    pub fn received(wire: v1::Envelope) -> Self {
        Self { wire, trace: None }
    }

    /// Takes an envelope and reads its trace context; what is malformed is dropped.
    pub fn from_wire(wire: v1::Envelope) -> Self {
        let mut envelope = Self::received(wire);
        envelope.extract_trace_context();
        envelope
    }

    /// The message, with the present trace context.
    pub fn into_wire(self) -> v1::Envelope {
        self.wire
    }

    /// Carrier → value: reads `traceparent`, and drops what W3C says to drop. A malformed traceparent takes the
    /// tracestate with it; a malformed tracestate or baggage goes alone.
    ///
    /// Returns whether the envelope carries a valid trace context.
    pub fn extract_trace_context(&mut self) -> bool {
        self.trace = read_traceparent(&self.wire.traceparent).unwrap_or_default();
        let beside = EnvelopeHead {
            tracestate: &self.wire.tracestate,
            baggage: &self.wire.baggage,
            ..EnvelopeHead::default()
        };
        let malformed = Malformed::of(&beside, self.trace.is_some());
        if self.trace.is_none() {
            self.wire.traceparent.clear();
        }
        if malformed.tracestate {
            self.wire.tracestate.clear();
        }
        if malformed.baggage {
            self.wire.baggage.clear();
        }
        self.trace.is_some()
    }

    /// Value → carrier: stamps the envelope with the span that the calling code runs in. Without one it stays as it is.
    pub fn inject_trace_context(&mut self) {
        if let Some(context) = current_context() {
            self.set_trace(context);
        }
    }

    /// Stamps the envelope with a context.
    pub fn set_trace(&mut self, context: TraceContext) {
        self.wire.traceparent = context.to_string();
        self.trace = Some(context);
    }

    /// The trace context, once it was extracted or set.
    pub fn trace(&self) -> Option<TraceContext> {
        self.trace
    }

    /// 32 lower-case hex digits.
    pub fn trace_id(&self) -> Option<String> {
        self.trace.map(|trace| trace.trace_id.to_string())
    }

    /// 16 lower-case hex digits.
    pub fn span_id(&self) -> Option<String> {
        self.trace.map(|trace| trace.span_id.to_string())
    }

    /// 2 lower-case hex digits.
    pub fn trace_flags(&self) -> Option<String> {
        self.trace.map(|trace| format!("{:02x}", trace.flags.0))
    }

    /// The fields that are not about the trace.
    pub fn fields(&self) -> &v1::Envelope {
        &self.wire
    }
}

/// What must not be handed on beside a context: the one place of the rule, for events as bytes and as values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Malformed {
    /// `tracestate` breaks a rule, or stands beside no valid traceparent.
    pub tracestate: bool,
    /// `baggage` breaks a rule.
    pub baggage: bool,
}

impl Malformed {
    /// Checks what stands beside the context; `has_context` says whether there is a valid one.
    pub fn of(envelope: &EnvelopeHead<'_>, has_context: bool) -> Self {
        let (tracestate, baggage) = (envelope.tracestate, envelope.baggage);
        let may_stand = has_context && tracestate_is_valid(tracestate.as_bytes());
        Self {
            tracestate: !tracestate.is_empty() && !may_stand,
            baggage: !baggage_is_valid(baggage.as_bytes()),
        }
    }

    /// Whether there is anything to leave out.
    pub fn is_any(self) -> bool {
        self.tracestate || self.baggage
    }
}

/// Reads a traceparent that may be absent.
///
/// # Errors
/// Why it is malformed; the caller counts it and begins a new trace.
pub fn read_traceparent(traceparent: &str) -> Result<Option<TraceContext>, InvalidContext> {
    if traceparent.is_empty() {
        Ok(None)
    } else {
        TraceContext::parse(traceparent.as_bytes()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};

    use super::*;

    fn wire(traceparent: &str) -> v1::Envelope {
        v1::Envelope {
            traceparent: traceparent.into(),
            tracestate: "vendor=1".into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_valid_context_is_extracted() {
        let mut envelope = Envelope::received(wire(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ));
        assert_eq!(envelope.trace_id(), None);
        assert!(envelope.extract_trace_context());
        assert_eq!(
            envelope.trace_id().as_deref(),
            Some("4bf92f3577b34da6a3ce929d0e0e4736")
        );
        assert_eq!(envelope.span_id().as_deref(), Some("00f067aa0ba902b7"));
        assert_eq!(envelope.trace_flags().as_deref(), Some("01"));
        assert_eq!(envelope.fields().tracestate, "vendor=1");
    }

    #[test]
    fn a_malformed_context_is_dropped_with_its_tracestate() {
        let mut envelope = Envelope::received(wire("00-zz"));
        assert!(!envelope.extract_trace_context());
        assert_eq!(envelope.into_wire(), v1::Envelope::default());
    }

    #[test]
    fn what_is_malformed_beside_a_valid_context_goes_alone() {
        let mut envelope = Envelope::received(v1::Envelope {
            tracestate: "no key".into(),
            baggage: "ü".into(),
            thread_id: "t".into(),
            ..wire("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        });
        assert!(envelope.extract_trace_context());
        let expected = v1::Envelope {
            tracestate: String::new(),
            thread_id: "t".into(),
            ..wire("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        };
        assert_eq!(envelope.into_wire(), expected);
    }

    #[test]
    fn injecting_takes_the_current_span_and_nothing_else() {
        let mut envelope = Envelope::default();
        envelope.inject_trace_context();
        assert_eq!(envelope, Envelope::default());

        let span = SpanContext::new(
            7_u128.into(),
            9_u64.into(),
            opentelemetry::TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        );
        let _guard = opentelemetry::Context::new()
            .with_remote_span_context(span)
            .attach();
        envelope.inject_trace_context();
        assert_eq!(
            envelope.fields().traceparent,
            "00-00000000000000000000000000000007-0000000000000009-01"
        );
        assert!(envelope.extract_trace_context());
    }
}
