"""A context for handlers that are plain functions: they run in a thread, and wait there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from loom.exceptions import ConnectionLost, LoomError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from loom import _native
    from loom.contract import Proposal, Proposals
    from loom.handler import Context
    from loom.replies import FanOut, Replies

__all__ = ["BlockingContext"]

R = TypeVar("R")


class BlockingContext:
    """The methods of a context for a thread: each waits until it is done."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        self._context = context

    def emit(self, topic: str, **options: Any) -> str:
        """See ``Context.emit``."""
        return self._run(self._context.emit(topic, **options))

    def request(self, topic: str, payload: Any = b"", **options: Any) -> _native.Event:
        """See ``Context.request``."""
        return self._run(self._context.request(topic, payload, **options))

    def fan_out(self, topic: str, payload: Any = b"", **options: Any) -> Replies:
        """See ``Context.fan_out``."""
        return self._run(_awaited(self._context.fan_out(topic, payload, **options)))

    def call_for_proposals(self, topic: str, task: Any = b"", **options: Any) -> Proposals:
        """See ``Context.call_for_proposals``; what is proposed is awarded with ``award``."""
        return self._run(self._context.call_for_proposals(topic, task, **options))

    def award(self, proposals: Proposals, proposal: Proposal, **options: Any) -> Any:
        """See ``Proposals.award``."""
        return self._run(proposals.award(proposal, **options))

    def barrier(self, name: str, parties: int, **options: Any) -> int:
        """See ``Context.barrier``."""
        return self._run(self._context.barrier(name, parties, **options))

    def reply(self, payload: Any = b"", **options: Any) -> str:
        """See ``Context.reply``."""
        return self._run(self._context.reply(payload, **options))

    def invoke(self, capability: str, args: Any = None, **options: Any) -> Any:
        """See ``Context.invoke``."""
        return self._run(self._context.invoke(capability, args, **options))

    def _run(self, running: Coroutine[Any, Any, R]) -> R:
        loop = self._context.loop
        try:
            is_on_loop = asyncio.get_running_loop() is loop
        except RuntimeError:
            is_on_loop = False
        if is_on_loop:
            running.close()
            raise LoomError(
                "ctx.blocking would wait for the event loop on the event loop: await the method of ctx itself"
            )
        if loop.is_closed():
            running.close()
            raise ConnectionLost("the agent has been stopped")
        # The callback that starts the coroutine runs in a copy of this thread's context, the current span with it.
        return asyncio.run_coroutine_threadsafe(running, loop).result()


async def _awaited(fan_out: FanOut) -> Replies:
    return await fan_out
