"""Counts the readings of the fast lane, and tells the slow agents when it is their turn.

Were the fast lane held back with them, all would stand still.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections import deque

from loom import Agent, Context, Event

TURN = int(os.environ["SOAK_TURN"])
"""Readings that a slow agent has to wait for."""

agent = Agent(os.environ["SOAK_ID"], timeout=math.inf)
handled = 0
is_ended = False
waiting: deque[tuple[int, asyncio.Event]] = deque()


def wake() -> None:
    """Let those go on whose turn it is; after the end, everybody."""
    while waiting and (is_ended or waiting[0][0] <= handled):
        waiting.popleft()[1].set()


@agent.on("fast.>")
async def count(ctx: Context, topic: str, event: Event) -> None:
    """Count; nothing else."""
    global handled
    handled += 1
    wake()


@agent.on("turns")
async def turn(ctx: Context, topic: str, event: Event) -> None:
    """Reply so many readings later."""
    come = asyncio.Event()
    waiting.append((handled + TURN, come))
    wake()
    await come.wait()
    await ctx.reply()


@agent.on("soak.end")
async def end(ctx: Context, topic: str, event: Event) -> None:
    """From now on nobody waits."""
    global is_ended
    is_ended = True
    wake()


if __name__ == "__main__":
    code = agent.run()
    print(f"handled {handled}", flush=True)
    sys.exit(code)
