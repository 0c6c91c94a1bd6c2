"""The current OpenTelemetry context, read and set without the API's detours.

The API keeps its current context in one ContextVar and the current span in it under one key. Both are found out here
through public functions; where the runtime context is not the API's own (``OTEL_PYTHON_CONTEXT``), the public functions
are used throughout.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context

from loom import _native

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.util.types import AttributeValue

__all__ = ["SPAN_KEY", "SpanEvent", "baggage_header", "context_of", "current_source", "get_current", "set_current"]

# Whoever checks with isinstance, trace.get_current_span() among them, accepts native spans.
trace.Span.register(_native.Span)

SPAN_KEY: str = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))
BAGGAGE_KEY: str = next(iter(baggage.set_baggage("key", "value", Context())))

_BAGGAGE = W3CBaggagePropagator()

current_source: ContextVar[_native.SpanSource | None] = ContextVar("loom_span_source", default=None)
"""Whose the spans of new traces are that user code starts: the agent that was started in this context."""


class SpanEvent(NamedTuple):
    """An event of a native span, with the fields of the SDK's ``Event``."""

    name: str
    attributes: Mapping[str, AttributeValue]
    timestamp: int


def _variable() -> ContextVar[Context] | None:
    runtime: Any = getattr(otel_context, "_RUNTIME_CONTEXT", None)
    variable: Any = getattr(runtime, "_current_context", None)
    return cast("ContextVar[Context]", variable) if isinstance(variable, ContextVar) else None


_current = _variable()

get_current: Callable[[], Context] = otel_context.get_current if _current is None else _current.get
set_current: Callable[[Context], object] = otel_context.attach if _current is None else _current.set


def context_of(span: object, baggage_text: str) -> Context:
    """Make the context in which a handler runs: its span, and the baggage of the event."""
    context = Context({SPAN_KEY: span})
    return _BAGGAGE.extract({"baggage": baggage_text}, context) if baggage_text else context


def baggage_header(context: Context) -> str | None:
    """Return the baggage of a context as W3C header; None where there is none."""
    if BAGGAGE_KEY not in context:
        return None
    carrier: dict[str, str] = {}
    _BAGGAGE.inject(carrier, context)
    return carrier.get("baggage")
