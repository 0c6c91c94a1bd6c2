"""How long handlers may take.

One timer for all that run. A handler that does not suspend never comes here: nothing could be done about it, and it
shall cost nothing.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from loom.exceptions import DeadlineExceeded, InvalidAgent
from loom.signals import Reject, Retry

if TYPE_CHECKING:
    from loom.handler import Context

__all__ = ["HANDLER_TIMEOUT", "Deadlines", "Running", "check_seconds"]

HANDLER_TIMEOUT = 30.0
"""Seconds that a handler may take, unless told otherwise."""


class Running:
    """A handler that has suspended, or runs in a thread."""

    __slots__ = ("context", "deadline", "is_over", "reason", "seconds", "task")

    def __init__(self, seconds: float, context: Context | None = None, task: asyncio.Task[None] | None = None) -> None:
        self.seconds = seconds
        self.deadline = math.inf
        self.context = context
        self.task = task
        self.is_over = False
        """Its time is up."""
        self.reason = ""

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        if self.context is not None:
            self.context.give_up()
        if self.task is not None:
            self.task.cancel()

    def expire(self, reason: str) -> None:
        """Cancel it because its time is up."""
        self.is_over = True
        self.reason = reason
        self.cancel()

    def check(self) -> None:
        """Raise where it has come to its end only because it was cancelled."""
        if self.is_over:
            raise DeadlineExceeded(self.reason)

    def explain(self, error: BaseException) -> BaseException:
        """Return what to tell of its end: its time, where that was up, unless the handler has decided itself."""
        has_decided = isinstance(error, Retry | Reject | DeadlineExceeded)
        is_its_own = isinstance(error, Exception | asyncio.CancelledError)
        if not self.is_over or has_decided or not is_its_own:
            return error
        late = DeadlineExceeded(self.reason)
        late.__cause__ = error
        return late


class Deadlines:
    """The handlers that run, and a timer for the first that is due. All of it belongs to the event loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running: set[Running] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        self.timed_out = 0

    def enter(self, running: Running) -> None:
        """Begin to watch it."""
        deadline = running.deadline = self._loop.time() + running.seconds
        self._running.add(running)
        if deadline < self._due:
            self._watch(deadline)

    def leave(self, running: Running) -> None:
        """Stop watching it. The timer stays: it finds the next one when it is due, which is seldom."""
        self._running.discard(running)

    def close(self) -> None:
        """Watch nothing any more."""
        self._running.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_at(due, self._expire)

    def _expire(self) -> None:
        # The loop may be early by the resolution of its clock.
        now = max(self._loop.time(), self._due)
        self._timer = None
        self._due = math.inf
        late = [running for running in self._running if running.deadline <= now]
        for running in late:
            self._running.discard(running)
            self.timed_out += 1
            running.expire(f"the handler took longer than its {running.seconds:g} s")
        next_due = min((running.deadline for running in self._running), default=math.inf)
        if next_due < math.inf:
            self._watch(next_due)


def check_seconds(name: str, seconds: float) -> None:
    """Refuse what is no time that a handler may take; 0 stands for a default, and infinity for none."""
    if math.isnan(seconds) or seconds < 0:
        raise InvalidAgent(
            f"{name} is {seconds}: it is a number of seconds, 0 for the default, or math.inf for no limit",
            code="invalid_subscription",
            field="hello.subscriptions",
        )
