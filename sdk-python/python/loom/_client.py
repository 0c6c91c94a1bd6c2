"""The Python face of ``src/client.rs``: what the connection has to say, as futures and callbacks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from loom._answers import OpenAnswers
from loom.exceptions import ConnectionLost, LoomError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping

    from loom import _native

__all__ = ["CallHandler", "Connection", "ConnectionChange"]

_log = logging.getLogger("loom")


class ConnectionChange(NamedTuple):
    """An agent has got its connection, or has lost it and tries to get another one."""

    is_connected: bool
    streams: int
    """How many connections there have been since the agent's start; 2 and more: it is connected again."""
    reason: str = ""
    """Why it was lost."""


class CallHandler(Protocol):
    """Who serves calls of other agents."""

    def call(
        self, call_id: int, capability: str, args: bytes, content_type: str, headers: Mapping[str, str], caller: str
    ) -> None: ...

    def call_cancelled(self, call_id: int, *, timed_out: bool) -> None: ...

    def disconnected(self) -> None: ...


class Connection:
    """One client's notices. All of it belongs to the event loop's thread."""

    def __init__(
        self,
        client: _native.Client,
        loop: asyncio.AbstractEventLoop,
        *,
        agent_id: str,
        address: str,
        on_error: Callable[[LoomError], None],
        on_connection: Callable[[ConnectionChange], None],
    ) -> None:
        self.client = client
        self.calls = OpenAnswers("calls")
        self.requests = OpenAnswers("requests")
        self.closed: asyncio.Future[None] = loop.create_future()
        self.refused: LoomError | None = None
        self._loop = loop
        self._agent_id = agent_id
        self._address = address
        self._on_error = on_error
        self._on_connection = on_connection
        self._call_handler: CallHandler | None = None
        self._on_lost: Callable[[], None] | None = None
        self._is_connected = False
        self._streams = 0
        self._has_told_of_loss = False
        self._waiting_for_connection: list[asyncio.Future[None]] = []
        self._waiting_for_room: list[asyncio.Future[None]] = []
        self._confirms: dict[int, list[asyncio.Future[None]]] = {}
        self._flushes: dict[int, list[asyncio.Future[None]]] = {}
        self.rejected = 0
        self.replies_dropped = 0

    def serve_calls(self, handler: CallHandler) -> None:
        """Hand calls of other agents to this one."""
        self._call_handler = handler

    def when_lost(self, withdraw: Callable[[], None]) -> None:
        """Call this when a stream was lost."""
        self._on_lost = withdraw

    @property
    def is_connected(self) -> bool:
        """A stream is open at this moment, as far as this thread knows."""
        return self._is_connected

    # ---- waiting ----

    async def connected(self) -> None:
        """Wait for an open stream; raise what the server has refused this agent with."""
        while not self._is_connected:
            self._raise_if_over()
            await self._wait(self._waiting_for_connection)

    async def room(self) -> None:
        """Wait for room after ``publish`` found none."""
        self._raise_if_over()
        await self._wait(self._waiting_for_room)

    async def confirmed(self, number: int) -> None:
        """Wait until the event of this number is settled; raise what it was rejected with."""
        self._raise_if_over()
        waiting = self._confirms.setdefault(number, [])
        await self._wait(waiting)

    async def flushed(self) -> None:
        """Wait until everything published so far is settled: on the bus, or rejected and reported."""
        self._raise_if_over()
        number = self.client.confirm_all()
        if number is not None:
            await self._wait(self._flushes.setdefault(number, []))
            return
        # Settled already, and what was rejected may lie in the queue still.
        _, notices = self.client.take(0)
        if notices is not None:
            self.handle(notices)

    async def _wait(self, waiting: list[asyncio.Future[None]]) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        waiting.append(future)
        try:
            await future
        finally:
            if future in waiting:
                waiting.remove(future)

    def _raise_if_over(self) -> None:
        if self.refused is not None:
            raise self.refused
        if self.closed.done():
            raise ConnectionLost("the agent has been stopped")

    # ---- notices ----

    def handle(self, notices: Iterable[tuple[Any, ...]]) -> None:
        """Take what the client had to say."""
        for name, *parts in notices:
            getattr(self, f"_on_{name}")(*parts)

    def _on_connected(self, server_version: str, publish_window: int) -> None:
        self._is_connected = True
        level = logging.INFO if self._has_told_of_loss else logging.DEBUG
        self._has_told_of_loss = False
        again = "again " if self._streams else ""
        self._streams += 1
        _log.log(
            level,
            "agent %s is connected %sto the Loom server %s at %s (window %d)",
            self._agent_id,
            again,
            server_version,
            self._address,
            publish_window,
        )
        _resolve(self._waiting_for_connection)
        self._on_connection(ConnectionChange(is_connected=True, streams=self._streams))

    def _on_disconnected(self, reason: str) -> None:
        was_connected, self._is_connected = self._is_connected, False
        if was_connected:
            error = ConnectionLost(f"the connection to {self._address} was lost while the call was open ({reason})")
            self.calls.fail_all(error)
            if self._call_handler is not None:
                self._call_handler.disconnected()
            if self._on_lost is not None:
                self._on_lost()
            self._on_connection(ConnectionChange(is_connected=False, streams=self._streams, reason=reason))
        if self._has_told_of_loss:
            _log.debug("agent %s is still not connected to %s: %s", self._agent_id, self._address, reason)
            return
        self._has_told_of_loss = True
        if was_connected:
            _log.warning(
                "agent %s lost its connection to %s (%s): it reconnects by itself, and events wait within bounds",
                self._agent_id,
                self._address,
                reason,
            )
        else:
            _log.warning(
                "agent %s cannot reach a Loom server at %s (%s): start one with `loom up`, or set LOOM_ADDRESS; trying "
                "again until it answers",
                self._agent_id,
                self._address,
                reason,
            )

    def _on_refused(self, error: LoomError) -> None:
        self._is_connected = False
        self.refused = error
        if not self._waiting_for_connection:
            _log.error("the server refused agent %s for good: %s", self._agent_id, error)
            self._on_error(error)
        self.fail_all(error)

    def _on_writable(self) -> None:
        _resolve(self._waiting_for_room)

    def _on_confirmed(self, number: int) -> None:
        for waiting in (self._confirms, self._flushes):
            for settled in [n for n in waiting if n <= number]:
                _resolve(waiting.pop(settled))

    def _on_rejected(self, number: int, event_id: str | None, error: LoomError) -> None:
        self.rejected += 1
        waiting = self._confirms.pop(number, None)
        if waiting:
            _resolve(waiting, error)
            return
        if event_id is not None and self.requests.refuse(event_id, error):
            return
        _log.warning("event %s of agent %s was rejected: %s", event_id, self._agent_id, error)
        self._on_error(error)

    def _on_reply(self, event: _native.Event) -> None:
        if not self.requests.resolve(event.correlation_id, event):
            self.replies_dropped += 1
            _log.debug("nobody waits for a reply of %s: correlation id %s", event.sender, event.correlation_id)

    def _on_call(self, *call: Any) -> None:
        if self._call_handler is not None:
            self._call_handler.call(*call)

    def _on_call_reply(self, call_id: int, error: LoomError | None, result: bytes, content_type: str) -> None:
        if error is not None:
            self.calls.fail(call_id, error)
        else:
            self.calls.resolve(call_id, (result, content_type))

    def _on_call_cancelled(self, call_id: int, timed_out: bool) -> None:
        if self._call_handler is not None:
            self._call_handler.call_cancelled(call_id, timed_out=timed_out)

    def _on_closed(self) -> None:
        self._is_connected = False
        if not self.closed.done():
            self.closed.set_result(None)
        self.fail_all(self.refused or ConnectionLost("the agent has been stopped"))

    def fail_all(self, error: LoomError) -> None:
        """Nobody who waits will get what he waits for."""
        settling = (*self._confirms.values(), *self._flushes.values())
        for waiting in (self._waiting_for_connection, self._waiting_for_room, *settling):
            _resolve(waiting, error)
        self._confirms.clear()
        self._flushes.clear()
        self.calls.fail_all(error)
        self.requests.fail_all(error)


def _resolve(waiting: list[asyncio.Future[None]], error: LoomError | None = None) -> None:
    for future in waiting:
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
    waiting.clear()
