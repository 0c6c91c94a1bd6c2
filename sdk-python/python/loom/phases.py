"""Where a handler's time goes, in its own words: phases, each a span, added up on the handler's span."""

from __future__ import annotations

import re
import time
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

from opentelemetry.trace import StatusCode

from loom import _native
from loom._otel import get_current, own_tracer, set_current, with_span
from loom._tracer import Tracer
from loom.semconv import attribute

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.trace import Span

__all__ = ["PHASES", "Phase", "Timing"]

PHASES = (
    "initialization",
    "tool_execution",
    "llm_processing",
    "result_formatting",
    "websocket_notification",
)
"""The usual ones."""
_LONGEST_NAME = 64
_MOST_NAMES = 64
"""Phases of one handler that are added up; names that never end must not fill its span."""
_OTHER = "other"
_NOT_A_NAME = re.compile(r"[^a-z0-9_]")


class Timing:
    """The phases of one execution, in milliseconds. Several threads may be in phases at once."""

    __slots__ = ("_lock", "_ms", "_native", "_span", "_started")

    def __init__(self, span: Span) -> None:
        self._span = span
        # The sums of a native span are its attributes; there they grow in one step.
        self._native = _recorded(span)
        self._started = time.perf_counter_ns()
        self._ms: dict[str, float] = {}
        """The names, and the sums of all other spans."""
        self._lock = Lock()

    def add(self, phase: str, nanoseconds: int) -> None:
        """Add a run of a phase, and write the sum onto the span."""
        if self._native is None or phase not in self._ms:
            phase = self._write(phase, nanoseconds)
        if self._native is not None:
            _native.add_to_attribute(self._native, _key(phase), nanoseconds / 1e6)

    def _write(self, phase: str, nanoseconds: int) -> str:
        with self._lock:
            if phase not in self._ms and len(self._ms) >= _MOST_NAMES:
                phase = _OTHER
            self._ms[phase] = total = self._ms.get(phase, 0.0) + nanoseconds / 1e6
            if self._native is None:
                self._span.set_attribute(_key(phase), total)
        return phase

    def breakdown(self) -> dict[str, float]:
        """Return ``NAME_ms`` of each phase that has ended, and ``total_ms`` since the first one was begun."""
        with self._lock:
            sums = {f"{phase}_ms": total for phase, total in self._ms.items()}
        if self._native is not None:
            written = self._native.attributes
            # What another thread begins to write now is not there yet.
            sums = {name: ms for name in sums if isinstance(ms := written.get(attribute.PHASE_MS_PREFIX + name), float)}
        return sums | {"total_ms": (time.perf_counter_ns() - self._started) / 1e6}


class Phase:
    """One phase, as a ``with`` or an ``async with`` block. Its span is the current one inside."""

    __slots__ = ("_before", "_began", "_timing", "name", "span")

    span: Span
    """There from the beginning of the block."""

    def __init__(self, timing: Timing, name: str) -> None:
        self._timing = timing
        self.name = _name(name)

    def __enter__(self) -> Phase:
        # Not by the tracer's own context manager, which costs as much as the span.
        self._before = before = get_current()
        tracer, attributes = own_tracer(), {attribute.PHASE: self.name}
        if isinstance(tracer, Tracer):
            self.span = span = tracer.start_in(before, self.name, attributes)
        else:
            self.span = span = tracer.start_span(self.name, attributes=attributes)
        set_current(with_span(before, span))
        self._began = time.perf_counter_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timing.add(self.name, time.perf_counter_ns() - self._began)
        set_current(self._before)
        span = self.span
        if isinstance(error, Exception):
            span.record_exception(error)
            span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        span.end()

    async def __aenter__(self) -> Phase:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


def _recorded(span: object) -> _native.Span | None:
    return span if isinstance(span, _native.Span) and span.is_recording() else None


@lru_cache(maxsize=256)
def _name(name: str) -> str:
    return _NOT_A_NAME.sub("_", name.lower())[:_LONGEST_NAME] or _OTHER


@lru_cache(maxsize=256)
def _key(phase: str) -> str:
    return f"{attribute.PHASE_MS_PREFIX}{phase}_ms"
