"""Functions whose calls are spans: ``@loom.traced``, and ``@loom.tool`` for what a model may call."""

from __future__ import annotations

import functools
import inspect
import json
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload

from opentelemetry import trace

from loom._driving import awaited, drive
from loom._functions import in_block
from loom._otel import get_current, own_tracer, set_current, with_span
from loom._outcome import record_failure
from loom.contents import captures_content
from loom.semconv import attribute, event
from loom.semconv import span as span_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping
    from contextvars import Context as Variables
    from types import TracebackType

    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

__all__ = ["tool", "traced"]

F = TypeVar("F", bound="Callable[..., Any]")


class _Call(NamedTuple):
    """How the calls of one function are recorded."""

    name: str
    attributes: Mapping[str, AttributeValue]
    is_tool: bool

    def start(self, args: tuple[object, ...], kwargs: Mapping[str, object], function: Callable[..., Any]) -> Span:
        attributes = dict(self.attributes)
        if self.is_tool:
            trace.get_current_span().add_event(event.TOOL_EXECUTING, self.tool_name)
            if captures_content():
                attributes[attribute.GEN_AI_TOOL_ARGUMENTS] = _arguments(function, args, kwargs)
        return own_tracer().start_span(self.name, attributes=attributes)

    @property
    def tool_name(self) -> dict[str, AttributeValue]:
        return {attribute.GEN_AI_TOOL_NAME: self.attributes[attribute.GEN_AI_TOOL_NAME]}

    def end(self, span: Span, parent: Span, error: BaseException | None = None) -> None:
        if isinstance(error, GeneratorExit):
            # Its items were not wanted any more.
            error = None
        # A tool that was cancelled has not done its work; of other functions that is the caller's affair.
        if error is not None and (self.is_tool or isinstance(error, Exception)):
            record_failure(span, error)
        span.end()
        if self.is_tool:
            failed = {attribute.ERROR_TYPE: type(error).__qualname__} if error is not None else {}
            parent.add_event(event.TOOL_COMPLETED, self.tool_name | failed)


@overload
def traced(function: F, /) -> F: ...
@overload
def traced(
    name: str | None = None, /, *, attributes: Mapping[str, AttributeValue] | None = None
) -> Callable[[F], F]: ...
def traced(function: Any = None, /, *, attributes: Mapping[str, AttributeValue] | None = None) -> Any:
    """Make each call of a function a span: ``@loom.traced``, or ``@loom.traced("name", attributes={...})``.

    For plain and ``async`` functions, generators and async generators. The span is the current one while the function
    runs, and only then: a generator's is not current for whoever takes its items, ends when the generator does, and
    may be closed from any task. An exception is recorded, and raised as it is.
    """
    if callable(function):
        return _wrap(cast("Callable[..., Any]", function), _Call(_name_of(function), {}, is_tool=False))

    def decorate(inner: F) -> F:
        return _wrap(inner, _Call(function or _name_of(inner), attributes or {}, is_tool=False))

    return decorate


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(name: str | None = None, /, *, description: str | None = None) -> Callable[[F], F]: ...
def tool(function: Any = None, /, *, description: str | None = None) -> Any:
    """Make each call of a function the use of a tool: ``@loom.tool``, or ``@loom.tool("search", description=...)``.

    The span is ``execute_tool NAME`` by OpenTelemetry's GenAI conventions, between ``tool_executing`` and
    ``tool_completed`` on the span above. Arguments are recorded only where contents are captured
    (``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``).
    """

    def call_of(inner: Callable[..., Any], name: str) -> _Call:
        text = description or inspect.getdoc(inner)
        attributes: dict[str, AttributeValue] = {
            attribute.GEN_AI_OPERATION_NAME: "execute_tool",
            attribute.GEN_AI_TOOL_NAME: name,
            attribute.GEN_AI_TOOL_TYPE: "function",
        }
        if text:
            attributes[attribute.GEN_AI_TOOL_DESCRIPTION] = text.partition("\n")[0]
        return _Call(f"{span_name.EXECUTE_TOOL} {name}", attributes, is_tool=True)

    if callable(function):
        plain = cast("Callable[..., Any]", function)
        return _wrap(plain, call_of(plain, plain.__name__))

    def decorate(inner: F) -> F:
        return _wrap(inner, call_of(inner, function or inner.__name__))

    return decorate


def _wrap(function: F, call: _Call) -> F:
    if inspect.isasyncgenfunction(function):
        return cast("F", _async_generator(function, call))
    if inspect.isgeneratorfunction(function):
        return cast("F", _generator(function, call))
    return in_block(function, lambda args, kwargs: _Current(call, call.start(args, kwargs, function)))


class _Current:
    """The span of one call, current in a ``with`` block."""

    __slots__ = ("_before", "_call", "_parent", "_span")

    def __init__(self, call: _Call, span: Span) -> None:
        self._call = call
        self._span = span

    def __enter__(self) -> None:
        self._before, self._parent = get_current(), trace.get_current_span()
        set_current(with_span(self._before, self._span))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._call.end(self._span, self._parent, error)
        set_current(self._before)


def _generator(function: Callable[..., Any], call: _Call) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        parent = trace.get_current_span()
        span = call.start(args, kwargs, function)
        inside = _variables(span).run
        items = function(*args, **kwargs)
        step, value = items.send, None
        try:
            while True:
                try:
                    item = inside(step, value)
                except StopIteration as end:
                    call.end(span, parent)
                    return end.value
                try:
                    value = yield item
                    step = items.send
                except GeneratorExit:
                    inside(items.close)
                    raise
                except BaseException as error:  # noqa: BLE001 - the generator's to see
                    step, value = items.throw, error
        except BaseException as error:
            call.end(span, parent, error)
            raise

    return run


def _async_generator(function: Callable[..., Any], call: _Call) -> Callable[..., Any]:
    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        parent = trace.get_current_span()
        span = call.start(args, kwargs, function)
        inside = _variables(span).run
        items = function(*args, **kwargs)
        step, value = items.asend, None
        try:
            while True:
                try:
                    item = await drive(inside, awaited(step, value))
                except StopAsyncIteration:
                    call.end(span, parent)
                    return
                try:
                    value = yield item
                    step = items.asend
                except GeneratorExit:
                    await drive(inside, awaited(items.aclose))
                    raise
                except BaseException as error:  # noqa: BLE001 - the generator's to see
                    step, value = items.athrow, error
        except BaseException as error:
            call.end(span, parent, error)
            raise

    return run


def _variables(span: Span) -> Variables:
    """Copy the current context, with this span as the current one."""
    variables = copy_context()
    variables.run(set_current, with_span(get_current(), span))
    return variables


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__).replace("<locals>.", "")


def _arguments(function: Callable[..., Any], args: tuple[object, ...], kwargs: Mapping[str, object]) -> str:
    try:
        bound = inspect.signature(function).bind(*args, **kwargs).arguments
    except TypeError:
        # The call itself will tell what is wrong.
        bound = {"args": args, "kwargs": kwargs}
    return json.dumps(bound, default=repr, ensure_ascii=False)
