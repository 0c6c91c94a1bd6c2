"""Passes the readings of one lane on, in a handler that really suspends."""

from __future__ import annotations

import asyncio
import os
import sys

from loom import Agent, Context, Event

LANE = os.environ["LOAD_LANE"]

agent = Agent(os.environ["LOAD_ID"])


@agent.on(f"sensor.{LANE}")
async def process(ctx: Context, topic: str, event: Event) -> None:
    """Let other handlers run in the middle: their contexts must not mix."""
    await asyncio.sleep(0)
    await ctx.emit(f"processed.{LANE}", type="processed", payload=event.payload)


if __name__ == "__main__":
    sys.exit(agent.run())
