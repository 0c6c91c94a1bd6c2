"""Emits LOAD_COUNT readings as fast as backpressure allows, in turn to two lanes."""

from __future__ import annotations

import os
import sys

from loom import Agent
from opentelemetry import trace

COUNT = int(os.environ["LOAD_COUNT"])

agent = Agent(os.environ["LOAD_ID"])
tracer = trace.get_tracer("load")


async def emit_all(agent: Agent) -> None:
    """Give each reading a root span of its own."""
    for number in range(COUNT):
        with tracer.start_as_current_span("sensor.emit_data"):
            await agent.emit(f"sensor.{number % 2}", type="reading", payload={"number": number})
    await agent.flush()


if __name__ == "__main__":
    sys.exit(agent.run(emit_all))
