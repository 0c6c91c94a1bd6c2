"""Several events that belong together, handled by one call."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from loom._functions import call
from loom._joining import link
from loom.exceptions import InvalidAgent
from loom.signals import Reject, Retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from loom import _native
    from loom.handler import Context

    By = Literal["correlation_id", "thread_id"]

__all__ = ["Join", "Joined"]


class Joined(Sequence["_native.Event"]):
    """Events that belong together, in the order in which they came."""

    __slots__ = ("_events", "key", "missing")

    key: str
    """What they have in common: their ``correlation_id`` or ``thread_id``."""
    missing: tuple[str, ...]
    """Patterns of which no event came in time."""

    def __init__(self, key: str, arrivals: Sequence[tuple[str, _native.Event]], missing: Sequence[str]) -> None:
        self.key = key
        self.missing = tuple(missing)
        self._events = tuple(event for _, event in arrivals)

    @overload
    def __getitem__(self, index: int) -> _native.Event: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[_native.Event, ...]: ...
    def __getitem__(self, index: int | slice) -> _native.Event | tuple[_native.Event, ...]:
        return self._events[index]

    def __len__(self) -> int:
        return len(self._events)

    @property
    def is_complete(self) -> bool:
        """Tell whether all came that were waited for."""
        return not self.missing

    def __repr__(self) -> str:
        topics = [event.topic for event in self]
        return f"Joined({self.key!r}, {topics}, missing={list(self.missing)})"


class Join:
    """The handler of a join's subscriptions. All of it belongs to the event loop's thread.

    Each event has a handler of its own. That of the event which came last waits for the next one, and handles all of
    them when nothing is missing or the time is over: so the work is done in the span of the last arrival. An earlier
    one ends as soon as another event has come; where deliveries are acknowledged it waits for what becomes of all.
    """

    def __init__(
        self, function: Callable[..., Any], patterns: Sequence[str], by: By, timeout: float, *, ack: bool
    ) -> None:
        if by not in ("correlation_id", "thread_id"):
            raise _invalid(f"by is {by!r}: events are joined by 'correlation_id' or 'thread_id'")
        if not (math.isfinite(timeout) and timeout > 0):
            raise _invalid(f"timeout is {timeout}: it is a number of seconds")
        if not patterns[1:] or len(set(patterns)) < len(patterns):
            raise _invalid(f"a join has two or more different patterns, not {list(patterns)}")
        self._function = function
        self._patterns = tuple(patterns)
        self._by: By = by
        self._timeout = timeout
        self._ack = ack
        self._open: dict[str, _Meeting] = {}

    def handler(self, pattern: str) -> Callable[..., Any]:
        """Return the handler of one of the subscriptions."""

        async def arrive(ctx: Context, topic: str, event: _native.Event) -> None:  # noqa: ARG001 - a handler's
            await self._arrive(pattern, ctx, event)

        return arrive

    async def _arrive(self, pattern: str, ctx: Context, event: _native.Event) -> None:
        key = event.thread_id if self._by == "thread_id" else event.correlation_id
        if not key:
            raise Reject(f"an event without {self._by} cannot be joined with others")
        meeting = self._open.get(key)
        if meeting is None:
            meeting = self._open[key] = _Meeting(ctx.loop, self._timeout)
        turn = meeting.arrive(pattern, event)
        if not meeting.missing(self._patterns):
            await self._handle(key, meeting, ctx)
            return
        try:
            with ctx.parked():
                is_last = await meeting.is_last(turn)
                if self._ack and not is_last:
                    await asyncio.shield(meeting.decided)
        except asyncio.CancelledError:
            self._leave(key, meeting, turn)
            raise
        if is_last:
            await self._handle(key, meeting, ctx)

    async def _handle(self, key: str, meeting: _Meeting, ctx: Context) -> None:
        del self._open[key]
        joined = Joined(key, meeting.arrivals, meeting.missing(self._patterns))
        link(ctx.span, joined)
        try:
            await call(self._function, ctx, joined)
        except BaseException as error:
            meeting.fail(error)
            raise
        meeting.decided.set_result(None)

    def _leave(self, key: str, meeting: _Meeting, turn: asyncio.Future[None]) -> None:
        """End a meeting whose last arrival was cancelled: nobody else would."""
        if meeting.turn is turn and self._open.get(key) is meeting:
            del self._open[key]
            meeting.fail(Retry("the handler that waited for the rest was cancelled"))


class _Meeting:
    """The events of one key, until they are handled."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float) -> None:
        self.arrivals: list[tuple[str, _native.Event]] = []
        self.turn: asyncio.Future[None] | None = None
        self.decided: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._deadline = loop.time() + timeout

    def arrive(self, pattern: str, event: _native.Event) -> asyncio.Future[None]:
        """Take an event; the one that was last before need not wait any more."""
        # The same event again, after a lost connection, is one event still.
        self.arrivals = [arrival for arrival in self.arrivals if (arrival[0], arrival[1].id) != (pattern, event.id)]
        self.arrivals.append((pattern, event))
        if self.turn is not None and not self.turn.done():
            self.turn.set_result(None)
        self.turn = self._loop.create_future()
        return self.turn

    def missing(self, patterns: Sequence[str]) -> list[str]:
        here = {pattern for pattern, _ in self.arrivals}
        return [pattern for pattern in patterns if pattern not in here]

    async def is_last(self, turn: asyncio.Future[None]) -> bool:
        """Wait for another arrival; True when none has come in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._deadline):
                await asyncio.shield(turn)
        # Another one may have come in the moment in which the time ended.
        return not turn.done()

    def fail(self, error: BaseException) -> None:
        """Tell the others that their events were not handled."""
        message = f"the handler of the joined events failed: {type(error).__name__}: {error}"
        if isinstance(error, Reject):
            self.decided.set_exception(Reject(message))
        else:
            self.decided.set_exception(Retry(message, delay=error.delay if isinstance(error, Retry) else 0.0))
        # Where nobody waits for it, it is told by the failed handler itself.
        self.decided.exception()


def _invalid(message: str) -> InvalidAgent:
    return InvalidAgent(message, code="invalid_subscription", field="hello.subscriptions")
