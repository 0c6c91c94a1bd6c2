"""The planner: waits for all three analyses, or for as long as PLANNER_PATIENCE_S, and decides with what came."""

from __future__ import annotations

import os
import sys
from collections import deque

from desk_model import client_for
from loom import Agent, Context, Joined

KINDS = ("trend", "risk", "sentiment")
PATIENCE = float(os.environ.get("PLANNER_PATIENCE_S", "10"))

agent = Agent("planner")
planned: deque[str] = deque(maxlen=1000)
"""Requests that have their plan: an analysis that comes too late changes nothing."""


@agent.join(*(f"market.analysis.{kind}" for kind in KINDS), by="correlation_id", timeout=PATIENCE)
async def plan(ctx: Context, joined: Joined) -> None:
    """Decide; an analysis that is missing is said, not guessed."""
    if joined.key in planned:
        return
    planned.append(joined.key)
    analyses = [event.json() for event in joined]
    missing = [pattern.rpartition(".")[2] for pattern in joined.missing]
    with ctx.phase("llm_processing"):
        model = await client_for(ctx)
        views = "; ".join(f"{analysis['kind']}: {analysis['view']}" for analysis in analyses)
        action = await model.ask("You decide: buy, hold or sell.", f"{analyses[0]['symbol']}: {views}")
    await ctx.emit(
        "market.plan",
        payload={"symbol": analyses[0]["symbol"], "action": action, "missing": missing},
        correlation_id=joined.key,
    )


if __name__ == "__main__":
    sys.exit(agent.run())
