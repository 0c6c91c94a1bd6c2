"""Who sent an event, in which conversation, in which trace."""

from __future__ import annotations

from dataclasses import dataclass, replace

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from loom import _native

__all__ = ["Envelope"]

_PROPAGATOR = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class Envelope:
    """Identity and trace context of an event; what is not set is empty, or 0.

    ``ttl`` is the number of hops the event may make (0: the bus's default), ``hop`` the number it has made.
    """

    thread_id: str = ""
    correlation_id: str = ""
    sender: str = ""
    reply_to: str = ""
    ttl: int = 0
    hop: int = 0
    traceparent: str = ""
    tracestate: str = ""
    baggage: str = ""

    @property
    def trace_id(self) -> str:
        """32 lower-case hex digits, or empty."""
        return self._part(0)

    @property
    def span_id(self) -> str:
        """16 lower-case hex digits, or empty."""
        return self._part(1)

    @property
    def trace_flags(self) -> str:
        """Two lower-case hex digits, or empty."""
        return self._part(2)

    def extract_trace_context(self) -> trace.SpanContext | None:
        """Return the span that the event came from, as a remote parent; None where there is no valid one."""
        parsed = _native.parse_traceparent(self.traceparent)
        if parsed is None:
            return None
        trace_id, span_id, flags = parsed
        state = trace.TraceState.from_header([self.tracestate]) if self.tracestate else None
        return trace.SpanContext(
            trace_id=int(trace_id, 16),
            span_id=int(span_id, 16),
            is_remote=True,
            trace_flags=trace.TraceFlags(int(flags, 16)),
            trace_state=state,
        )

    def inject_trace_context(self) -> Envelope:
        """Return the same envelope with the context of the current span; unchanged where there is none."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        if "traceparent" not in carrier:
            return self
        return replace(self, traceparent=carrier["traceparent"], tracestate=carrier.get("tracestate", ""))

    def _part(self, index: int) -> str:
        parsed = _native.parse_traceparent(self.traceparent)
        return parsed[index] if parsed else ""
