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


async def publish_all(agent: Agent) -> None:
    """What was emitted and not acknowledged when the process was killed is emitted once more by the next one."""
    first = int(BOOK.read_text()) + 1 if BOOK.exists() else 1
    for number in range(first, COUNT + 1):
        payload = {"sensor": AGENT_ID, "thread": number % THREADS, "number": number}
        await agent.emit("orders.new", payload=payload, thread_id=f"{AGENT_ID}-{number % THREADS}")
        if number % BATCH == 0 or number == COUNT:
            await agent.flush()
            new = BOOK.with_suffix(".new")
            new.write_text(str(number))
            new.rename(BOOK)


if __name__ == "__main__":
    sys.exit(agent.run(publish_all))
