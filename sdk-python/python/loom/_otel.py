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
from opentelemetry.context import Context

from loom import _native

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.util.types import AttributeValue

__all__ = [
    "BAGGAGE_KEY",
    "SPAN_KEY",
    "SpanEvent",
    "current_source",
    "get_current",
    "own_tracer",
    "set_current",
    "with_span",
]

# Whoever checks with isinstance, trace.get_current_span() among them, accepts native spans.
trace.Span.register(_native.Span)

SPAN_KEY: str = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))
BAGGAGE_KEY: str = next(iter(baggage.set_baggage("key", "value", Context())))

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


def with_span(context: Context, span: object) -> Context:
    """Return a context with another span as the current one."""
    return Context({**context, SPAN_KEY: span})


_tracer: tuple[trace.TracerProvider, trace.Tracer] | None = None


def own_tracer() -> trace.Tracer:
    """Return the tracer ``loom`` of the provider that is installed now."""
    global _tracer  # noqa: PLW0603 - asked for at each span, and made once
    provider = trace.get_tracer_provider()
    if _tracer is None or _tracer[0] is not provider:
        _tracer = provider, provider.get_tracer("loom", _native.__version__)
    return _tracer[1]
