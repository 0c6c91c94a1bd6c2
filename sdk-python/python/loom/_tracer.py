"""The tracer of Loom's provider: OpenTelemetry's interface over native spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from opentelemetry import trace

from loom._baggage import stamp_of
from loom._functions import in_block
from loom._otel import SPAN_KEY, current_source, get_current, set_current, with_span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.util.types import Attributes

    from loom import _native
    from loom._processors import Processors

__all__ = ["Tracer"]

F = TypeVar("F")

_INTERNAL = trace.SpanKind.INTERNAL


class Provider(Protocol):
    """What a tracer needs of its provider."""

    @property
    def processors(self) -> Processors: ...

    def default_source(self) -> _native.SpanSource | None: ...


class Tracer(trace.Tracer):
    """Starts native spans. A child belongs to the agent of its parent, whoever's tracer starts it."""

    def __init__(self, provider: Provider, scope: _native.NativeTracer) -> None:
        self._provider = provider
        self._processors = provider.processors
        self.scope = scope
        """Its native half."""
        self._start = scope.start_span

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = _INTERNAL,
        attributes: Attributes = None,
        links: Sequence[trace.Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        """Start a span that is not made current."""
        current = get_current() if context is None else context
        source = current_source.get()
        if source is None or not source.is_usable:
            source = self._provider.default_source()
        span = self._start(
            source,
            name,
            current.get(SPAN_KEY),
            kind,
            attributes,
            links or None,
            start_time,
            record_exception,
            set_status_on_exception,
            stamp_of(current),
        )
        if self._processors.added:
            self._processors.on_start(span, context)
        return cast("trace.Span", span)

    def start_as_current_span(  # type: ignore[override]  # the API's decorator hides the class that it returns
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = _INTERNAL,
        attributes: Attributes = None,
        links: Sequence[trace.Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> CurrentSpan:
        """Start a span that is current inside a ``with`` block, or while a decorated function runs."""
        arguments = (name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception)
        return CurrentSpan(self, arguments, end_on_exit=end_on_exit)


class CurrentSpan:
    """Context manager and decorator of ``start_as_current_span``."""

    __slots__ = ("_arguments", "_before", "_end_on_exit", "_span", "_tracer")

    def __init__(self, tracer: Tracer, arguments: tuple[Any, ...], *, end_on_exit: bool) -> None:
        self._tracer = tracer
        self._arguments = arguments
        self._end_on_exit = end_on_exit

    def __enter__(self) -> trace.Span:
        self._span = span = self._tracer.start_span(*self._arguments)
        # Restored by value, not by token: a token can only be used in the Context that made it, and a generator may be
        # closed in another one.
        self._before = before = get_current()
        set_current(with_span(before, span))
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        set_current(self._before)
        span = self._span
        # What is no Exception (CancelledError, GeneratorExit, KeyboardInterrupt) is not an error of the work.
        if isinstance(error, Exception) and span.is_recording():
            if self._arguments[6]:
                span.record_exception(error)
            if self._arguments[7]:
                span.set_status(trace.StatusCode.ERROR, f"{type(error).__name__}: {error}")
        if self._end_on_exit:
            span.end()

    def __call__(self, function: F) -> F:
        """Run each call of a function, async or not, in a span of its own."""
        return in_block(
            function, lambda _args, _kwargs: CurrentSpan(self._tracer, self._arguments, end_on_exit=self._end_on_exit)
        )
