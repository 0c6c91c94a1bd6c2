"""Multiplies each reading by 1.5 and passes it on. No word about tracing: the trace goes through by itself."""

from __future__ import annotations

import sys

from loom import Agent, Context, Event

FACTOR = 1.5

agent = Agent("processor-agent")


@agent.on("sensor.data")
async def process(ctx: Context, topic: str, event: Event) -> None:
    """Pass a reading on; what is emitted here continues the trace of what came in."""
    reading = event.json()
    value = round(reading["value"] * FACTOR, 2)
    await ctx.emit("processed.data", type="processed_reading", payload={"number": reading["number"], "value": value})
    print(f"reading {reading['number']}: {reading['value']} -> {value}", flush=True)


if __name__ == "__main__":
    sys.exit(agent.run())
