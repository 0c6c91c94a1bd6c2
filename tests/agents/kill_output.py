"""Writes results into a file that all outputs share, as one of a group."""

from __future__ import annotations

import os
import sys

from loom import Agent, Context, Event

agent = Agent(os.environ["KILL_ID"])
results = os.open(os.environ["KILL_RESULTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@agent.on("results.>", ack=True, group="outputs")
async def write(ctx: Context, topic: str, event: Event) -> None:
    """One write is one line, whoever else writes."""
    of = event.json()
    os.write(results, f"{of['sensor']} {of['thread']} {of['number']}\n".encode())


if __name__ == "__main__":
    sys.exit(agent.run())
