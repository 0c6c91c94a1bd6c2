"""Where a handler's time goes, in its own words: phases, each a span, added up on the handler's span."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loom import _native
from loom._otel import own_tracer
from loom._tracer import Tracer

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.trace import Span

__all__ = ["PHASES", "Phase", "Timing", "timing_of"]

PHASES = (
    "initialization",
    "tool_execution",
    "llm_processing",
    "result_formatting",
    "websocket_notification",
)
"""The usual ones."""

Timing = _native.Timing


class Phase(_native.Phase):
    """One phase, as a ``with`` or an ``async with`` block. Its span is the current one inside."""

    __slots__ = ()

    async def __aenter__(self) -> Phase:
        self.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


def timing_of(span: Span) -> Timing:
    """Begin to add up the phases of the handler that has this span."""
    tracer = own_tracer()
    return Timing(span, tracer, tracer.scope if isinstance(tracer, Tracer) else None)
