"""The executor: trades on paper. Nothing is bought or sold anywhere."""

from __future__ import annotations

import sys

from loom import Agent, Context, Event

agent = Agent("executor")


@agent.on("market.plan")
async def execute(ctx: Context, topic: str, event: Event) -> None:
    """Write the trade down, and report."""
    plan = event.json()
    with ctx.phase("tool_execution"), ctx.tool("paper_trade", symbol=plan["symbol"], action=plan["action"]):
        report = {**plan, "filled": "on paper"}
    with ctx.phase("websocket_notification"):
        await ctx.emit("market.report", payload=report, correlation_id=event.correlation_id)


if __name__ == "__main__":
    sys.exit(agent.run())
