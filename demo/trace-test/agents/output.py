"""Prints what arrives, with the id of its trace."""

from __future__ import annotations

import sys

from loom import Agent, Context, Event

agent = Agent("output-agent")


@agent.on("processed.data")
async def show(ctx: Context, topic: str, event: Event) -> None:
    """Print a reading; its trace ends here."""
    reading = event.json()
    print(f"reading {reading['number']}: {reading['value']} (trace {event.metadata['trace_id']})", flush=True)


if __name__ == "__main__":
    sys.exit(agent.run())
