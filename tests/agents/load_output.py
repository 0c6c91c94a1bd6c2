"""Counts what arrives in one lane."""

from __future__ import annotations

import os
import sys

from loom import Agent, Context, Event

LANE = os.environ["LOAD_LANE"]

agent = Agent(os.environ["LOAD_ID"])
seen = 0


@agent.on(f"processed.{LANE}")
async def count(ctx: Context, topic: str, event: Event) -> None:
    """Count; nothing else, so that the others are the bottleneck."""
    global seen
    seen += 1


if __name__ == "__main__":
    code = agent.run()
    print(f"seen {seen}", flush=True)
    sys.exit(code)
