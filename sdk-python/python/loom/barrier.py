"""Where so many parties meet. The meeting place is the server's; see ``core/src/barrier.rs``."""

from __future__ import annotations

import asyncio
import math
import uuid
from typing import TYPE_CHECKING

from loom.exceptions import ConnectionLost, DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from loom.outgoing import Emitter

__all__ = ["meet"]

_CAPABILITY = "_loom.barrier"
_GRACE = 1.0
"""Seconds beyond the time of a meeting: the server's own answer says how many have come."""


async def meet(
    emitter: Emitter, invoke: Callable[..., Awaitable[dict[str, int]]], name: str, parties: int, timeout: float
) -> int:
    """Come to a barrier, wait for the others, and return how many had come before."""
    if not (math.isfinite(timeout) and timeout > 0):
        raise ValueError(f"timeout is {timeout}: it is a number of seconds")
    end = emitter.loop.time() + timeout
    arrival = {"name": name, "parties": parties, "id": uuid.uuid4().hex}
    while (left := end - emitter.loop.time()) > 0:
        try:
            arguments = {**arrival, "timeout_ms": math.ceil(left * 1000)}
            passed = await invoke(_CAPABILITY, arguments, timeout=left + _GRACE)
        except ConnectionLost:
            if emitter.connection.closed.done():
                raise
            # Comes again under the same id: it is counted once. The loop sees the loss first, and waits for a server.
            await asyncio.sleep(0)
            continue
        return passed["position"]
    raise DeadlineExceeded(f"the server was away, and nobody met at the barrier {name!r} within {timeout} s")
