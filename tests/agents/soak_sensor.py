"""Publishes numbered readings on SOAK_TOPIC as fast as backpressure allows, until `soak.end` comes; prints how many."""

from __future__ import annotations

import asyncio
import os
import sys

from loom import Agent, Context, Event

TOPIC = os.environ["SOAK_TOPIC"]
YIELD = 32
"""Readings after which the loop may hear of the end: an emit that finds room does not suspend."""
PADDING = "." * 256

# Little room of its own: a publisher that is held back soon stands still.
agent = Agent(os.environ["SOAK_ID"], buffer_bytes=16 * 1024)
is_ended = False


@agent.on("soak.end")
async def end(ctx: Context, topic: str, event: Event) -> None:
    """Stop publishing."""
    global is_ended
    is_ended = True


async def publish(agent: Agent) -> None:
    """All that was counted is acknowledged in the end."""
    number = 0
    while not is_ended:
        await agent.emit(TOPIC, payload={"number": number, "padding": PADDING})
        number += 1
        if number % YIELD == 0:
            await asyncio.sleep(0)
    await agent.flush()
    print(f"published {number}", flush=True)


if __name__ == "__main__":
    sys.exit(agent.run(publish))
