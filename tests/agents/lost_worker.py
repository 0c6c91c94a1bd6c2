"""Handles orders as one of a group, LOST_ATTEMPTS times; with LOST_STUCK it never ends those that say `stuck`."""

from __future__ import annotations

import asyncio
import os
import sys

from loom import Agent, Context, Event

agent = Agent(os.environ["LOST_ID"])


@agent.on("orders.>", ack=True, group="workers", max_attempts=int(os.environ.get("LOST_ATTEMPTS", "0")))
async def work(ctx: Context, topic: str, event: Event) -> None:
    """Say what was begun, and wait for nothing where that is wanted."""
    text = event.text()
    if text == "stuck" and "LOST_STUCK" in os.environ:
        await ctx.emit("results.begun", payload=text, confirm=True)
        print("stuck", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(agent.run())
