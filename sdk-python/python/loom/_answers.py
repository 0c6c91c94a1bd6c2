"""Answers that somebody waits for, by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from loom.exceptions import LoomError, Overloaded

if TYPE_CHECKING:
    import asyncio

__all__ = ["MAX_OPEN_REQUESTS", "OpenAnswers", "Taker"]

MAX_OPEN_REQUESTS = 4096
"""Requests of one agent that may wait for a reply at once, and the same for calls."""


class Taker(Protocol):
    """Who waits: a future for one answer, or something that takes several."""

    def done(self) -> bool:
        """Tell whether it takes nothing any more."""
        ...

    def set_result(self, result: Any, /) -> None:
        """Take an answer."""
        ...

    def set_exception(self, exception: LoomError, /) -> None:
        """There will be no answer."""
        ...


class OpenAnswers:
    """Answers that somebody waits for, by id; bounded, and emptied by whoever waits."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._open: dict[int | str, Taker] = {}
        self._events: dict[int | str, str] = {}
        self._keys: dict[str, int | str] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, key: int | str, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        """Wait for an answer; ``close`` it whatever happens."""
        future: asyncio.Future[Any] = loop.create_future()
        self.admit(key, future)
        return future

    def admit(self, key: int | str, taker: Taker) -> None:
        """Hand what comes to this one; ``close`` it whatever happens."""
        if len(self._open) >= MAX_OPEN_REQUESTS:
            raise Overloaded(f"{len(self._open)} {self._what} of this agent are open already; wait for answers")
        self._open[key] = taker

    def asked_with(self, key: int | str, event_id: str) -> None:
        """Remember which event asks: when the server refuses it, nobody will answer."""
        self._events[key] = event_id
        self._keys[event_id] = key

    def close(self, key: int | str) -> None:
        """Nobody waits any more."""
        self._open.pop(key, None)
        event_id = self._events.pop(key, None)
        if event_id is not None:
            del self._keys[event_id]

    def resolve(self, key: int | str, answer: object) -> bool:
        """Give the answer; False when nobody waits for it."""
        taker = self._open.get(key)
        if taker is None or taker.done():
            return False
        taker.set_result(answer)
        return True

    def fail(self, key: int | str, error: LoomError) -> None:
        """Give an error for an answer."""
        taker = self._open.get(key)
        if taker is not None and not taker.done():
            taker.set_exception(error)

    def refuse(self, event_id: str, error: LoomError) -> bool:
        """Tell whoever waits for answers to this event that it was refused; False when nobody does."""
        key = self._keys.get(event_id)
        if key is None:
            return False
        self.fail(key, error)
        return True

    def fail_all(self, error: LoomError) -> None:
        """Give everybody an error."""
        for key in tuple(self._open):
            self.fail(key, error)
