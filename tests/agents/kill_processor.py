"""Passes orders on as results, as one of a group."""

from __future__ import annotations

import os
import sys

from loom import Agent, Context, Event

agent = Agent(os.environ["KILL_ID"])


@agent.on("orders.>", ack=True, group="processors")
async def process(ctx: Context, topic: str, event: Event) -> None:
    """Counts as handled when the result is kept."""
    await ctx.emit("results.new", payload=event.payload)


if __name__ == "__main__":
    sys.exit(agent.run())
