"""One request to many: their replies, as they come or all at once."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, overload

from loom._answers import MAX_OPEN_REQUESTS
from loom._joining import link
from loom.exceptions import LoomError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator
    from types import TracebackType

    from loom import _native
    from loom._answers import OpenAnswers

__all__ = ["FanOut", "Replies"]


class Replies(Sequence["_native.Event"]):
    """The replies to a fan-out, in the order in which they came: what there was when it ended."""

    __slots__ = ("_events", "duplicates", "wanted")

    wanted: int | None
    """How many would have been enough; None: all that came in time."""
    duplicates: int
    """Further replies of agents whose first one is here."""

    def __init__(self, events: Sequence[_native.Event], wanted: int | None, duplicates: int = 0) -> None:
        self._events = tuple(events)
        self.wanted = wanted
        self.duplicates = duplicates

    @property
    def missing(self) -> int:
        """How many replies are missing to those that were wanted; 0 where no number was."""
        return 0 if self.wanted is None else self.wanted - len(self._events)

    @property
    def is_complete(self) -> bool:
        """Tell whether nothing is missing."""
        return self.missing == 0

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, index: int) -> _native.Event: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[_native.Event, ...]: ...
    def __getitem__(self, index: int | slice) -> _native.Event | tuple[_native.Event, ...]:
        return self._events[index]

    def __repr__(self) -> str:
        wanted = "" if self.wanted is None else f" of {self.wanted}"
        return f"Replies({len(self._events)}{wanted} from {[event.sender for event in self._events]})"


class FanOut:
    """A request to many that is about to be made: ``await`` it, or take its replies as they come.

        replies = await ctx.fan_out("price.query", {"item": 7}, n=3, timeout=2)

        async with ctx.fan_out("price.query", {"item": 7}, timeout=2) as fan_out:
            async for reply in fan_out:
                ...

    It ends when ``n`` replies have come, at its timeout, or when the block is left.
    """

    def __init__(
        self,
        requests: OpenAnswers,
        send: Callable[[str], Awaitable[str]],
        span: Any,
        *,
        n: int | None,
        timeout: float,
    ) -> None:
        if n is not None and not 1 <= n <= MAX_OPEN_REQUESTS:
            raise ValueError(f"n is {n}: a fan-out waits for 1 to {MAX_OPEN_REQUESTS} replies, or for its time")
        if not (math.isfinite(timeout) and timeout > 0):
            raise ValueError(f"timeout is {timeout}: it is a number of seconds")
        self._requests = requests
        self._send = send
        self._span = span
        self._timeout = timeout
        self._key = uuid.uuid4().hex
        self._gathered = _Gathering(n)
        self._taken = 0

    @property
    def replies(self) -> Replies:
        """What has come so far."""
        gathered = self._gathered
        return Replies(gathered.events, gathered.wanted, gathered.duplicates)

    def __await__(self) -> Generator[Any, None, Replies]:
        return self._all().__await__()

    async def _all(self) -> Replies:
        async with self:
            await self._gathered.ended()
        return self.replies

    async def __aenter__(self) -> Self:
        gathered = self._gathered
        if gathered.deadline is not None:
            raise LoomError("a fan-out is awaited or entered once: make another one")
        loop = asyncio.get_running_loop()
        self._requests.admit(self._key, gathered)
        gathered.deadline = loop.call_later(self._timeout, gathered.end)
        try:
            event_id = await self._send(self._key)
        except BaseException:
            self._close()
            raise
        self._requests.asked_with(self._key, event_id)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        gathered = self._gathered
        self._requests.close(self._key)
        if gathered.deadline is not None:
            gathered.deadline.cancel()
        gathered.end()
        link(self._span, gathered.events)

    def __aiter__(self) -> AsyncIterator[_native.Event]:
        if self._gathered.deadline is None:
            raise LoomError("replies come to a fan-out that is entered: async with ctx.fan_out(...) as fan_out")
        return self

    async def __anext__(self) -> _native.Event:
        gathered = self._gathered
        while len(gathered.events) == self._taken:
            if gathered.done():
                gathered.check()
                raise StopAsyncIteration
            await gathered.changed()
        self._taken += 1
        return gathered.events[self._taken - 1]


class _Gathering:
    """What has come. All of it belongs to the event loop's thread."""

    def __init__(self, wanted: int | None) -> None:
        self.wanted = wanted
        self.events: list[_native.Event] = []
        self.duplicates = 0
        self.deadline: asyncio.TimerHandle | None = None
        self._limit = MAX_OPEN_REQUESTS if wanted is None else wanted
        self._senders: set[str] = set()
        self._error: LoomError | None = None
        self._is_over = False
        self._changed = asyncio.Event()

    def done(self) -> bool:
        return self._is_over

    def set_result(self, reply: _native.Event) -> None:
        # One reply of each agent: a request that was delivered twice may be answered twice.
        sender = reply.sender or reply.id
        if sender in self._senders:
            self.duplicates += 1
            return
        self._senders.add(sender)
        self.events.append(reply)
        if len(self.events) >= self._limit:
            self._is_over = True
        self._changed.set()

    def set_exception(self, error: LoomError) -> None:
        self._error = error
        self.end()

    def end(self) -> None:
        self._is_over = True
        self._changed.set()

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    async def changed(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def ended(self) -> None:
        while not self._is_over:
            await self.changed()
        self.check()
