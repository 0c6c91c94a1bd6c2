"""Every page, with something on it: for the pictures and for axe."""

from __future__ import annotations

from typing import Any, NamedTuple

from waiting import get
from world import HOSTILE_TRACE, LOOP_TRACE


class Page(NamedTuple):
    """A page, and the selector of what has to be there before it is looked at."""

    name: str
    path: str
    ready: str


def pages(http: str) -> list[Page]:
    """Name the pages of a server on which the world runs."""

    def newest(path: str, **parameters: str | int) -> dict[str, Any]:
        item: dict[str, Any] = get(http, path, **parameters)["items"][0]
        return item

    market = newest("traces", workflow="market-analyst", q="market.report")["trace_id"]
    spans = get(http, f"traces/{market}")

    def named(start: str) -> str:
        numbers = spans["columns"]["name"]
        return str(
            next(
                spans["columns"]["span_id"][at]
                for at, number in enumerate(numbers)
                if spans["names"][number].startswith(start)
            )
        )

    failed = newest("executions", state="FAILED", agent="clerk")
    event = newest("events", topic="market.data")
    kept = newest("events", topic="orders.desk")
    return [
        Page("live", "/", ".react-flow__node"),
        Page("live-table", "/?view=table", "table"),
        Page("traces", "/traces", "table tbody tr"),
        Page("traces-none", "/traces?q=nothing-has-this", "text=No traces with these conditions"),
        Page("trace", f"/traces/{market}", ".wf-row"),
        Page("trace-span", f"/traces/{market}?span={named('chat')}&q=market.data", "aside dl"),
        Page("trace-critical", f"/traces/{market}?critical=1&span={named('bridge.forward')}", "aside dl"),
        Page("trace-failed", f"/traces/{failed['trace_id']}?span={failed['span_id']}", "aside dl"),
        Page("trace-hostile", f"/traces/{HOSTILE_TRACE}?span={0xBAD1:016x}", "aside dl"),
        Page("trace-lanes", f"/traces/{market}?view=lanes", "canvas"),
        Page("trace-flame", f"/traces/{market}?view=flame", "table tbody tr"),
        Page("trace-loop", f"/traces/{LOOP_TRACE}", ".wf-row"),
        Page("trace-graph", f"/traces/{market}?view=graph", ".react-flow__node"),
        Page("trace-not-there", f"/traces/{1:032x}", "text=Waiting for the spans"),
        Page("agents", "/agents", "table tbody tr"),
        Page("agent", "/agents/planner", "text=First token"),
        Page("agent-config", "/agents/model?tab=config", "text=Capabilities"),
        Page("workflows", "/workflows", "table tbody tr"),
        Page("workflow", "/workflows/market-analyst", ".react-flow__node"),
        Page("executions", "/executions", "table tbody tr"),
        Page("execution", f"/executions?execution={failed['execution_id']}", "aside dl"),
        Page("events", "/events", "table tbody tr"),
        Page("event", f"/events/{event['event_id']}", "table tbody tr"),
        Page("event-kept", f"/events/{kept['event_id']}", "table tbody tr"),
        Page("dead-letters", "/dead-letters", "table tbody tr"),
        Page("metrics", "/metrics-view", "text=Books of the bus"),
        Page("setup", "/setup", "text=First full trace"),
        Page("lost", "/no/such/page", "text=There is no page here"),
    ]
