"""Takes readings as one of a group, and fails at the first attempt of each."""

from __future__ import annotations

import sys

from loom import Agent, Context, Event

agent = Agent("worker")


@agent.on("readings.>", ack=True, group="workers")
async def work(ctx: Context, topic: str, event: Event) -> None:
    """Say which attempt it is, and fail unless it is a later one."""
    print(f"reading {event.text()} attempt {event.attempt} offset {event.offset}", flush=True)
    if event.attempt == 1:
        raise ValueError("not yet")


if __name__ == "__main__":
    sys.exit(agent.run())
