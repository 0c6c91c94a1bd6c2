"""An agent as a whole program: it runs until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

from loom.exceptions import LoomError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

__all__ = ["until_signalled", "within"]

_log = logging.getLogger("loom")


async def until_signalled(
    agent_id: str, live: Coroutine[object, object, object], stop_agent: Callable[[], Awaitable[object]]
) -> int:
    """Run until ``live`` ends, or SIGINT or SIGTERM comes, then stop the agent; return the exit code.

    A second signal ends the process at once.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            _log.warning("agent %s: %s again, leaving at once", agent_id, number.name)
            for handled in signals:
                loop.remove_signal_handler(handled)
            signal.raise_signal(number)
        _log.info("agent %s: %s, stopping", agent_id, number.name)
        stopping.set()

    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop, number)
    try:
        work = asyncio.ensure_future(live)
        stopped = asyncio.ensure_future(stopping.wait())
        await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not work.done():
            work.cancel()
        try:
            await work
        except asyncio.CancelledError:
            pass
        finally:
            await stop_agent()
        return 0
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def within(seconds: float, done: Awaitable[object]) -> bool:
    """Wait so long at most; False where it was not done by then."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await done
    except (TimeoutError, LoomError):
        return False
    return True
