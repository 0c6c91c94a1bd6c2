"""Publishes numbered orders, and writes down which of them were acknowledged. Begins behind the last of those."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from loom import Agent

AGENT_ID = os.environ["KILL_ID"]
COUNT = int(os.environ["KILL_COUNT"])
BOOK = Path(os.environ["KILL_BOOK"])
BATCH = 50
THREADS = 4

agent = Agent(AGENT_ID)


def acknowledged() -> int:
    """Read the number of the last order that a process of this agent knew to be kept."""
    return int(BOOK.read_text()) if BOOK.exists() else 0


def write_down(number: int) -> None:
    """Replace the book as a whole: the next moment may be the last."""
    new = BOOK.with_suffix(".new")
    new.write_text(str(number))
    new.rename(BOOK)


async def publish_all(agent: Agent) -> None:
    """What was emitted and not acknowledged when the process was killed is emitted once more by the next one."""
    for number in range(acknowledged() + 1, COUNT + 1):
        payload = {"sensor": AGENT_ID, "thread": number % THREADS, "number": number}
        await agent.emit("orders.new", payload=payload, thread_id=f"{AGENT_ID}-{number % THREADS}")
        if number % BATCH == 0 or number == COUNT:
            await agent.flush()
            write_down(number)


if __name__ == "__main__":
    sys.exit(agent.run(publish_all))
