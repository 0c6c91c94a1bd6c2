"""Emits a reading every few seconds: the root of every trace of this demo.

The root span is made with the plain OpenTelemetry API, as any application would. Whatever is emitted while it is
current becomes part of its trace.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import sys

from loom import Agent
from opentelemetry import trace

INTERVAL_S = float(os.environ.get("SENSOR_INTERVAL_S", "2"))
# 0 means for ever.
COUNT = int(os.environ.get("SENSOR_COUNT", "0"))

agent = Agent("sensor-agent")
tracer = trace.get_tracer("trace-test.sensor")


def temperature(reading: int) -> float:
    """Return a day in degrees Celsius, one reading for each quarter of an hour."""
    return round(20 + 5 * math.sin(2 * math.pi * reading / 96), 2)


async def emit_readings(agent: Agent) -> None:
    """Emit one reading after the other, each under a root span of its own."""
    for reading in itertools.count(1):
        with tracer.start_as_current_span("sensor.emit_data") as span:
            value = temperature(reading)
            span.set_attribute("reading.number", reading)
            span.set_attribute("reading.value", value)
            await agent.emit("sensor.data", type="reading", payload={"number": reading, "value": value})
        print(f"reading {reading}: {value} °C", flush=True)
        if reading == COUNT:
            return
        await asyncio.sleep(INTERVAL_S)


if __name__ == "__main__":
    sys.exit(agent.run(emit_readings))
