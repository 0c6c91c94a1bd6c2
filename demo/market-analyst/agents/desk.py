"""The entry: each symbol is one request, one run of the workflow, one trace.

DESK_TIMEOUT_S is how long it waits for a report.
"""

from __future__ import annotations

import asyncio
import os
import sys

import loom
from loom import Agent, Context, Event

TIMEOUT = float(os.environ.get("DESK_TIMEOUT_S", "30"))

agent = Agent("desk")
reports: dict[str, asyncio.Future[dict[str, object]]] = {}


@agent.on("market.report")
async def receive(ctx: Context, topic: str, event: Event) -> None:
    """Hand a report to the request that waits for it."""
    waiting = reports.get(event.correlation_id)
    if waiting is not None and not waiting.done():
        waiting.set_result(event.json())


async def analyse(symbol: str) -> None:
    """Ask for one symbol, and print what the desk would do."""
    request = f"{symbol}-{agent.instance_id[:8]}"
    reports[request] = waiting = asyncio.get_running_loop().create_future()
    with loom.workflow("market-analyst", session_id=agent.instance_id, user_id="trader-1") as span:
        await agent.emit("market.request", payload={"symbol": symbol}, thread_id=request, correlation_id=request)
        try:
            report = await asyncio.wait_for(waiting, TIMEOUT)
        except TimeoutError:
            report = {"action": "none", "missing": ["everything: no report came in time"]}
        finally:
            del reports[request]
    missing = f"  without {', '.join(map(str, report['missing']))}" if report["missing"] else ""
    trace_id = f"{span.get_span_context().trace_id:032x}"
    print(f"{symbol:8} {report['action']:5}{missing}  trace {trace_id}", flush=True)


async def main(agent: Agent) -> None:
    """Analyse all symbols at once."""
    await asyncio.gather(*(analyse(symbol) for symbol in sys.argv[1:] or ["ACME"]))


if __name__ == "__main__":
    sys.exit(agent.run(main))
