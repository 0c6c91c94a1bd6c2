"""demo/market-analyst: its agents as processes, and the trace of a request as one golden tree."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from conftest import eventually
from loom.semconv import attribute
from loom.testing import LoomServer, LoomSpans, SpanRecord, assert_trace

pytestmark = pytest.mark.timeout(180)
DEMO = Path(__file__).resolve().parents[2] / "demo" / "market-analyst" / "agents"
AGENTS = {
    "model": ["model.py"],
    "executor": ["executor.py"],
    "planner": ["planner.py"],
    "trend": ["analyst.py", "trend"],
    "risk": ["analyst.py", "risk"],
    "sentiment": ["analyst.py", "sentiment"],
    "data": ["data.py"],
}


class Desk:
    """The demo's agents on a server of their own."""

    def __init__(self, server: LoomServer) -> None:
        self.server = server
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, script: list[str], **environment: str) -> subprocess.Popen[str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "OTEL_"))}
        process = subprocess.Popen(
            [sys.executable, *script],
            cwd=DEMO,
            env={**own, **self.server.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    async def open(self, **faults: str) -> None:
        """Start all agents but those that are missing, and wait until they are connected."""
        settings = {"slow": {"ANALYST_DELAY_S": "4"}, "failing": {"ANALYST_FAILS": "1"}}
        present = [name for name in AGENTS if faults.get(name) != "missing"]
        for name in present:
            patience = "2" if faults else "20"
            self.start(AGENTS[name], PLANNER_PATIENCE_S=patience, **settings.get(faults.get(name, ""), {}))

        def all_there() -> bool:
            log = self.server.log()
            return all(f"agent connected agent={name} " in log for name in present)

        await eventually(all_there)

    async def ask(self, symbol: str) -> tuple[str, str]:
        """Return what the desk prints of one symbol, and the id of its trace."""
        process = self.start(["desk.py", symbol])
        out, err = await asyncio.to_thread(process.communicate, timeout=40)
        assert process.returncode == 0, err
        found = re.fullmatch(rf"{symbol} +(.+?) +trace ([0-9a-f]{{32}})\n", out)
        assert found is not None, out
        return found[1], found[2]

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.communicate(timeout=20)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    with LoomServer() as server:
        desk = Desk(server)
        yield desk
        desk.close()


TOOLS = {"trend": "moving_averages", "risk": "volatility", "sentiment": "momentum"}
CHAT = "chat gpt-4o-mini [gen_ai.usage.output_tokens=* gen_ai.response.time_to_first_chunk=* agent.id={} workflow.id=*]"


def over_the_bus(topic: str, *deliveries: Any) -> tuple[Any, ...]:
    return ("bridge.publish", ("EventBus.publish", *(delivered(topic, *delivery) for delivery in deliveries)))


def delivered(topic: str, agent: str, *children: Any) -> tuple[Any, ...]:
    who = f"[topic={topic} agent.id={agent} workflow.id=market-analyst user.id=trader-1 session.id=*]"
    return (f"bridge.forward [agent_id={agent}]", (f"agent.on_event {who}", *children))


def asks(agent: str) -> tuple[Any, ...]:
    address = ("broker.invoke", ("agent.on_action [agent.id=model workflow.id=market-analyst]",))
    return ("llm_processing", address, CHAT.format(agent))


def analyst(kind: str, *of_planner: Any) -> tuple[Any, ...]:
    tool = ("tool_execution", (f"execute_tool {TOOLS[kind]}",))
    analysis = over_the_bus(f"market.analysis.{kind}", ("planner", *of_planner))
    return (kind, tool, asks(kind), ("result_formatting",), analysis)


def failed(kind: str) -> tuple[Any, ...]:
    return (kind, ("tool_execution", (f"execute_tool {TOOLS[kind]}",)))


def golden(analysts: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the whole tree; the analysts are those that were there."""
    data = ("tool_execution", ("execute_tool prices",)), over_the_bus("market.data", *analysts)
    return (
        "invoke_workflow market-analyst [agent.id=desk workflow.id=market-analyst user.id=trader-1]",
        over_the_bus("market.request", ("data", *data)),
    )


def planned() -> tuple[Any, ...]:
    """What the planner does when the last analysis has come, or its patience has ended."""
    report = ("websocket_notification", over_the_bus("market.report", ("desk",)))
    trade = ("tool_execution", ("execute_tool paper_trade",))
    return asks("planner"), over_the_bus("market.plan", ("executor", trade, report))


def who_was_last(spans: list[SpanRecord]) -> str:
    """Return the kind of the analysis in whose delivery the planner did its work."""
    by_id = {span.span_id: span for span in spans}
    (work,) = (s for s in spans if s.name == "llm_processing" and s.attributes[attribute.AGENT] == "planner")
    return str(by_id[str(work.parent_id)].attributes[attribute.TOPIC]).rpartition(".")[2]


async def assert_golden(desk: Desk, trace_id: str, kinds: Iterable[str], *others: tuple[Any, ...]) -> list[SpanRecord]:
    """Compare the trace with the tree of these analyses, whichever came last, and return it."""
    size = count(golden([analyst(kind) for kind in kinds] + list(others))) + count(planned())
    spans = await LoomSpans(desk.server).trace(trace_id, until=lambda spans: len(spans) >= size, timeout=30)
    last = who_was_last(spans)
    there = [analyst(kind, *(planned() if kind == last else ())) for kind in kinds]
    assert_trace(spans, golden([*there, *others]))
    return spans


def count(tree: Any) -> int:
    return 1 if isinstance(tree, str) else sum(map(count, tree))


async def test_a_request_is_one_tree_and_the_plan_is_linked_to_all_analyses(desk: Desk) -> None:
    await desk.open()
    said, trace_id = await desk.ask("ACME")
    assert said == "buy"
    spans = await assert_golden(desk, trace_id, TOOLS)
    last = who_was_last(spans)
    (plan,) = (s for s in spans if s.attributes.get(attribute.TOPIC) == f"market.analysis.{last}" and s.links)
    by_id = {span.span_id: span for span in spans}
    linked = {by_id[link.span_id].attributes[attribute.TOPIC] for link in plan.links}
    linked.add(by_id[str(plan.parent_id)].attributes[attribute.TOPIC])
    assert linked == {f"market.analysis.{kind}" for kind in TOOLS}

    # What the SDK says of phases and model calls is what the store adds up.
    metrics = get(desk, "agents/trend")
    assert (metrics["executions"]["count"], metrics["model_calls"]["count"]) == (1, 1)
    assert set(metrics["phases"]) == {"tool_execution_ms", "llm_processing_ms", "result_formatting_ms"}
    metrics = get(desk, "agents/desk")
    assert (metrics["executions"]["count"], metrics["model_calls"]["count"]) == (1, 0)
    assert not metrics["phases"]
    metrics = get(desk, "workflows/market-analyst")
    calls = metrics["model_calls"]
    assert (calls["count"], calls["errors"], calls["without_cost"]) == (4, 0, 0)
    assert calls["prompt_tokens"] + calls["completion_tokens"] == calls["total_tokens"]
    assert min(calls["completion_tokens"], calls["cost_usd"], calls["ttft_ms"]["p50"]) > 0


def get(desk: Desk, path: str) -> Any:
    url = f"http://{desk.server.http}/api/v1/observability/{path}/metrics?time_range=1h"
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.load(reply)


async def test_an_analyst_that_fails_is_named_and_the_others_decide(desk: Desk) -> None:
    await desk.open(risk="failing")
    said, trace_id = await desk.ask("ACME")
    assert said.endswith("without risk")
    spans = await assert_golden(desk, trace_id, ("trend", "sentiment"), failed("risk"))
    (error,) = (s for s in spans if s.name == "agent.on_event" and s.status == "error")
    assert error.attributes[attribute.ERROR_TYPE] == "RuntimeError"


async def test_an_analyst_that_is_missing_is_named(desk: Desk) -> None:
    await desk.open(sentiment="missing")
    said, trace_id = await desk.ask("ACME")
    assert said.endswith("without sentiment")
    await assert_golden(desk, trace_id, ("trend", "risk"))


async def test_an_analyst_that_is_slow_is_named_and_its_late_answer_changes_nothing(desk: Desk) -> None:
    await desk.open(trend="slow")
    said, trace_id = await desk.ask("ACME")
    assert said.endswith("without trend")
    # Its answer comes while the desk is closed already; the planner waits once more, for nothing.
    spans = await assert_golden(desk, trace_id, TOOLS)
    assert who_was_last(spans) != "trend"
