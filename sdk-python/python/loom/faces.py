"""Names that programs may know from elsewhere, as thin faces over what Loom has.

New code needs none of them: ``loom.context``, ``loom.traced``, ``ctx.phase`` and OpenTelemetry's API do the same.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Self

from opentelemetry import trace

from loom._otel import SPAN_KEY, get_current, own_tracer, set_current, with_span
from loom.headers import from_headers, to_headers
from loom.identity import Identity, context, get_current_context
from loom.telemetry import init_telemetry, shutdown_telemetry

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

__all__ = [
    "AgentTracer",
    "ExecutionTimingCollector",
    "PhaseTimer",
    "TelemetryManager",
    "TimingBreakdown",
    "UnifiedTraceContext",
]


class UnifiedTraceContext:
    """A trace, the spans that are open in it, and whom it is about, as a value that can be handed around.

    ``with`` makes it current. It belongs to one task or thread at a time: give others ``propagate_to_child()``.
    """

    def __init__(self, otel: Context) -> None:
        """Use ``create`` or ``from_headers``."""
        self._otel = otel
        self._open: list[tuple[Context, trace.Span]] = []

    @classmethod
    def create(cls, **identity: Any) -> Self:
        """Go on from the current context, about whom ``loom.context`` would be with these arguments."""
        with context(**identity):
            return cls(get_current())

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Self:
        """Go on where a request came from."""
        with from_headers(headers):
            return cls(get_current())

    def propagate_to_child(self) -> Self:
        """Return a context of its own, below the span that is open here."""
        return type(self)(self._otel)

    def to_headers(self) -> dict[str, str]:
        """Return ``traceparent``, ``tracestate`` and ``baggage``."""
        with self:
            return to_headers()

    def create_child_span(self, operation: str, attributes: Mapping[str, AttributeValue] | None = None) -> str:
        """Start a span below the one that is open, and return its id; ``end_span`` ends it."""
        span = own_tracer().start_span(operation, context=self._otel, attributes=attributes)
        self._open.append((self._otel, span))
        self._otel = with_span(self._otel, span)
        return f"{span.get_span_context().span_id:016x}"

    def end_span(self, error: BaseException | None = None) -> None:
        """End the span that was started last; without one nothing happens."""
        if not self._open:
            return
        self._otel, span = self._open.pop()
        if error is not None:
            _record(span, error)
        span.end()

    @property
    def span_stack(self) -> list[str]:
        """Ids of the spans that are open, the last one last."""
        return [f"{span.get_span_context().span_id:016x}" for _, span in self._open]

    @property
    def trace_id(self) -> str | None:
        """Id of the trace; None before its first span."""
        span = self._otel.get(SPAN_KEY)
        found = trace.get_current_span(self._otel).get_span_context() if span is not None else None
        return f"{found.trace_id:032x}" if found is not None and found.is_valid else None

    @property
    def identity(self) -> Identity:
        """Whom it is about."""
        with self:
            return get_current_context()

    @property
    def user_id(self) -> str | None:
        """The user."""
        return self.identity.user_id

    @property
    def thread_id(self) -> str | None:
        """The conversation."""
        return self.identity.thread_id

    @property
    def correlation_id(self) -> str | None:
        """What joins answers to their question."""
        return self.identity.correlation_id

    @property
    def baggage(self) -> Mapping[str, str]:
        """All other entries."""
        return self.identity.baggage

    def __enter__(self) -> Self:
        self._before = get_current()
        set_current(self._otel)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        set_current(self._before)


class AgentTracer:
    """Spans of an agent that is not Loom's ``Agent``."""

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id

    @contextmanager
    def start_agent_span(self, operation: str, **attributes: AttributeValue) -> Generator[trace.Span]:
        """Open a span, the current one inside the block, with everything in it about this agent."""
        with (
            context(agent_id=self.agent_id),
            own_tracer().start_as_current_span(operation, attributes=attributes) as span,
        ):
            yield span

    def add_event(self, name: str, **attributes: AttributeValue) -> None:
        """Write an event onto the current span."""
        trace.get_current_span().add_event(name, attributes)

    def record_exception(self, error: BaseException) -> None:
        """Write an exception onto the current span, which has failed by it."""
        _record(trace.get_current_span(), error)

    def set_status(self, *, ok: bool, description: str | None = None) -> None:
        """Say how the current span went."""
        code = trace.StatusCode.OK if ok else trace.StatusCode.ERROR
        trace.get_current_span().set_status(code, None if ok else description)


class TelemetryManager:
    """The process' telemetry."""

    def init_telemetry(self, service_name: str, **options: Any) -> None:
        """See ``loom.init_telemetry``."""
        init_telemetry(service_name, **options)

    @contextmanager
    def create_agent_span(self, agent_name: str, operation: str, **attributes: AttributeValue) -> Generator[trace.Span]:
        """See ``AgentTracer.start_agent_span``."""
        with AgentTracer(agent_name).start_agent_span(operation, **attributes) as span:
            yield span

    def shutdown(self) -> None:
        """See ``loom.shutdown_telemetry``."""
        shutdown_telemetry()


_SHORT = {
    "init": "initialization",
    "tools": "tool_execution",
    "llm": "llm_processing",
    "format": "result_formatting",
    "websocket": "websocket_notification",
}


@dataclass(frozen=True, slots=True)
class TimingBreakdown:
    """Milliseconds of an execution by phase; None for a phase that it did not have."""

    initialization_ms: float | None
    tool_execution_ms: float | None
    llm_processing_ms: float | None
    result_formatting_ms: float | None
    websocket_notification_ms: float | None
    total_ms: float
    """All phases together, those with other names as well."""


class PhaseTimer:
    """The time of one phase, all its runs together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._nanoseconds = 0
        self._began: int | None = None

    def start(self) -> None:
        """Begin a run."""
        self._began = perf_counter_ns()

    def stop(self) -> None:
        """End the run; without one nothing happens."""
        if self._began is not None:
            self._nanoseconds += perf_counter_ns() - self._began
            self._began = None

    @property
    def duration_ms(self) -> float:
        """Milliseconds so far."""
        running = 0 if self._began is None else perf_counter_ns() - self._began
        return (self._nanoseconds + running) / 1e6


class ExecutionTimingCollector:
    """Phases one after the other, where there is no handler: inside of one use ``ctx.phase``."""

    def __init__(self, execution_id: object) -> None:
        self.execution_id = execution_id
        self.phases: dict[str, PhaseTimer] = {}
        self._current: PhaseTimer | None = None

    def start_phase(self, phase_name: str) -> PhaseTimer:
        """End the current phase, and begin this one: ``llm_processing``, or short ``llm``."""
        self.end_phase()
        name = _SHORT.get(phase_name, phase_name)
        self._current = timer = self.phases.setdefault(name, PhaseTimer(name))
        timer.start()
        return timer

    def end_phase(self) -> None:
        """End the current phase, if there is one."""
        if self._current is not None:
            self._current.stop()
            self._current = None

    def get_breakdown(self) -> TimingBreakdown:
        """Return the times so far."""
        times = {name: timer.duration_ms for name, timer in self.phases.items()}
        usual = {f"{name}_ms": times.get(name) for name in _SHORT.values()}
        return TimingBreakdown(**usual, total_ms=sum(times.values()))


def _record(span: trace.Span, error: BaseException) -> None:
    if span.is_recording():
        span.record_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        span.set_status(trace.StatusCode.ERROR, f"{type(error).__name__}: {error}")
