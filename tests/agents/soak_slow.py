"""Handles one event of SOAK_TOPIC at a time, each when the fast agent says that it is its turn."""

from __future__ import annotations

import math
import os
import sys

from loom import Agent, Context, Event

MAILBOX = int(os.environ["SOAK_MAILBOX"])
PATIENCE = 600.0
"""Seconds. The test gives up long before."""

agent = Agent(os.environ["SOAK_ID"], max_in_flight=1, credit=8, timeout=math.inf)
handled = 0


@agent.on(os.environ["SOAK_TOPIC"], qos=os.environ["SOAK_QOS"], capacity=MAILBOX)
async def handle(ctx: Context, topic: str, event: Event) -> None:
    """Wait for a turn. The reply needs no credit, of which the events that wait here have used up all."""
    global handled
    await ctx.request("turns", timeout=PATIENCE)
    handled += 1


if __name__ == "__main__":
    code = agent.run()
    print(f"handled {handled}", flush=True)
    sys.exit(code)
