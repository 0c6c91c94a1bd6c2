"""An analyst: `analyst.py trend`, `risk` or `sentiment`. It computes a figure, and has a model judge it.

ANALYST_DELAY_S makes it slow, ANALYST_FAILS=1 raises an error: what an analyst is like on a bad day.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from itertools import pairwise

import loom
from desk_model import client_for
from loom import Agent, Context, Event

KIND = sys.argv[1]
DELAY = float(os.environ.get("ANALYST_DELAY_S", "0"))
FAILS = os.environ.get("ANALYST_FAILS") == "1"

agent = Agent(KIND)


@loom.tool
def moving_averages(closes: list[float]) -> dict[str, float]:
    """Mean close of the last ten days, and of all days."""
    return {"short": statistics.fmean(closes[-10:]), "long": statistics.fmean(closes)}


@loom.tool
def volatility(closes: list[float]) -> dict[str, float]:
    """Standard deviation of the daily returns."""
    returns = [today / before - 1 for before, today in pairwise(closes)]
    return {"volatility": statistics.stdev(returns)}


@loom.tool
def momentum(closes: list[float]) -> dict[str, float]:
    """Return of the last five days."""
    return {"momentum": closes[-1] / closes[-6] - 1}


TOOLS = {"trend": moving_averages, "risk": volatility, "sentiment": momentum}


@agent.on("market.data")
async def analyse(ctx: Context, topic: str, event: Event) -> None:
    """Compute, ask the model, and tell the planner."""
    data = event.json()
    await asyncio.sleep(DELAY)
    with ctx.phase("tool_execution"):
        figures = TOOLS[KIND](data["closes"])
    if FAILS:
        raise RuntimeError(f"the {KIND} desk is closed")
    with ctx.phase("llm_processing"):
        model = await client_for(ctx)
        view = await model.ask(f"You judge the {KIND} of a stock.", f"{data['symbol']}: {figures}")
    with ctx.phase("result_formatting"):
        analysis = {"kind": KIND, "symbol": data["symbol"], "view": view, **figures}
    await ctx.emit(f"market.analysis.{KIND}", payload=analysis, correlation_id=event.correlation_id)


if __name__ == "__main__":
    sys.exit(agent.run())
