"""The current context in other threads, tasks and processes, where nothing else carries it.

Tasks, ``asyncio.to_thread`` and callbacks of a loop carry it by themselves; threads and thread pools do so by
``opentelemetry-instrumentation-threading``, process pools and children by ``loom.processes``. Both are switched on by
the first Agent. ``carried`` and ``aiter`` are for what is left. docs/propagation.md has the whole table.
"""

from __future__ import annotations

import functools
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from opentelemetry.context import Context as OtelContext

from loom._driving import awaited, drive
from loom._otel import set_current
from loom.headers import Attached, to_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextvars import Context

__all__ = ["ContextIterator", "aiter", "carried", "of_submission"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Carried(Generic[P, R]):
    """A function that runs in the context of its making, wherever and how often it is called."""

    __slots__ = ("_context", "_function")

    def __init__(self, function: Callable[P, R]) -> None:
        self._function = function
        self._context = copy_context()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        # A copy for each call: a context can be entered once at a time, and nothing shall stay behind in it.
        return self._context.copy().run(self._function, *args, **kwargs)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        # Another process knows nothing of our context variables: what can be said in headers goes along.
        return Sent, (self._function, self._context.run(to_headers))


class Sent(Generic[P, R]):
    """The same in another process: the trace and whom it is about."""

    __slots__ = ("_function", "_headers")

    def __init__(self, function: Callable[P, R], headers: Mapping[str, str]) -> None:
        self._function = function
        self._headers = headers

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        # From nothing: the worker began in the context of somebody else's task.
        set_current(OtelContext())
        with Attached(self._headers):
            return self._function(*args, **kwargs)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Sent, (self._function, self._headers)


def carried(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that runs in the context of this moment: ``library.on_done(loom.carried(callback))``.

    For callbacks of foreign threads and for pools of your own. It can be pickled when the function can, and then takes
    trace and identity into the other process.
    """
    return Carried(function)


def of_submission(method: Callable[..., R]) -> Callable[..., R]:
    """Let a pool's method run the function that it is given in the context of its submission."""

    @functools.wraps(method)
    def submit(self: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> R:
        return method(self, carried(function), *args, **kwargs)

    return submit


class ContextIterator(Generic[T]):
    """See ``aiter``."""

    __slots__ = ("_context", "_source")

    def __init__(self, source: AsyncIterator[T], context: Context) -> None:
        self._source = source
        self._context = context

    def __aiter__(self) -> ContextIterator[T]:
        return self

    async def __anext__(self) -> T:
        item: T = await drive(self._context.run, awaited(self._source.__anext__))
        return item

    async def aclose(self) -> None:
        """Close the source, from any task."""
        close: Any = getattr(self._source, "aclose", None)
        if close is not None:
            await drive(self._context.run, awaited(close))

    async def __aenter__(self) -> ContextIterator[T]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def aiter(source: AsyncIterator[T]) -> ContextIterator[T]:  # noqa: A001 - the builtin's job, in a context
    """Iterate an async generator in the context of this moment, whoever asks for its items.

    A plain one runs in the context of whoever asks: what it sets is left to the caller, spans around a ``yield`` too,
    and closed by another task it ends them in a context that does not know them.
    """
    return ContextIterator(source, copy_context())
