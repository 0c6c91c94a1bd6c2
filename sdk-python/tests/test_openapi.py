"""The API keeps to its description: answers about real things, and answers to whatever a fuzzer thinks of."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from conftest import eventually, start_script
from loom.testing import LoomServer
from schemathesis import checks as general
from schemathesis.specs.openapi import checks as of_openapi

CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
EXAMPLES = 25
"""Requests that the fuzzer makes up for each operation and phase."""
WITHOUT_AN_END = ("/api/v1/stream", "/api/v1/ws")


AGENTS = """
import asyncio, loom

shop, desk = loom.Agent("shop"), loom.Agent("desk")

@desk.on("orders.>", ack=True, group="desks")
async def order(ctx, topic, event):
    with ctx.phase("tool_execution"):
        if topic == "orders.bad":
            raise loom.Reject("no such article")

@desk.capability("price")
async def price(ctx, arguments):
    return 4.5

async def main():
    async with desk, shop:
        with loom.context(workflow_id="day"):
            await shop.emit("orders.good", payload={"article": 7})
            await shop.emit("orders.bad", payload={"article": -1})
            await shop.invoke("price", {"article": 7})
        print("done", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
"""An event that is handled, one that nobody can handle, and a call; the agents stay until they are killed."""


@pytest.fixture(scope="module")
def api() -> Iterator[LoomServer]:
    """A server of these tests alone, with agents: the fuzzer drops and redrives what it finds."""
    with LoomServer(settings='[streams.orders]\ntopics = ["orders.>"]\n') as running:
        process = start_script(AGENTS, running.environment)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"
            yield running
        finally:
            process.kill()
            process.communicate()


@pytest.fixture
async def agents(api: LoomServer) -> None:
    """What the agents have done can be read."""
    await eventually(lambda: ask(api, "/api/v1/dead-letters")["items"])
    await eventually(lambda: len(ask(api, "/api/v1/executions?state=COMPLETED&state=FAILED")["items"]) >= 3)


def ask(api: LoomServer, path: str) -> Any:
    with urllib.request.urlopen(f"http://{api.http}{path}", timeout=10) as answer:
        return json.load(answer)


def test_answers_about_what_is_there(api: LoomServer, agents: None) -> None:
    modules: list[Any] = [general, of_openapi]
    checks = [getattr(module, name) for name in CHECKS for module in modules if hasattr(module, name)]
    schema: Any = schemathesis.openapi.from_url(f"http://{api.http}/api/v1/openapi.json")
    trace = next(trace for trace in ask(api, "/api/v1/traces")["items"] if trace["workflow_id"] == "day")
    span = ask(api, f"/api/v1/traces/{trace['trace_id']}")["columns"]["span_id"][0]
    ids: dict[str, dict[str, Any]] = {
        "/api/v1/agents/{id}": {"id": "desk"},
        "/api/v1/agents/{id}/metrics": {"id": "desk"},
        "/api/v1/dead-letters/{id}": {"id": ask(api, "/api/v1/dead-letters")["items"][0]["letter_id"]},
        "/api/v1/events/{id}": {"id": ask(api, "/api/v1/events")["items"][0]["event_id"]},
        "/api/v1/executions/{id}": {"id": ask(api, "/api/v1/executions")["items"][0]["execution_id"]},
        "/api/v1/observability/agents/{id}/metrics": {"id": "desk"},
        "/api/v1/observability/workflows/{id}/metrics": {"id": "day"},
        "/api/v1/traces/{a}/compare/{b}": {"a": trace["trace_id"], "b": trace["trace_id"]},
        "/api/v1/traces/{id}/spans/{span_id}": {"id": trace["trace_id"], "span_id": span},
        "/api/v1/workflows/{id}": {"id": "day"},
        "/api/v1/workflows/{id}/metrics": {"id": "day"},
    }
    query = {"/api/v1/suggest": {"field": "agent"}, "/api/v1/traces/{id}/find": {"q": "orders"}}
    asked: list[str] = []
    for path, methods in ask(api, "/api/v1/openapi.json")["paths"].items():
        if "get" not in methods or path in WITHOUT_AN_END:
            continue
        parameters = ids.get(path, {"id": trace["trace_id"]} if "{id}" in path else {})
        case = schema[path]["GET"].Case(path_parameters=parameters, query=query.get(path, {}))
        response = case.call()
        assert response.status_code == 200, (path, response.text)
        case.validate_response(response, checks=checks)
        asked.append(path)
    assert len(asked) > 20, asked


@pytest.mark.timeout(300)
def test_whatever_a_fuzzer_asks(api: LoomServer, agents: None, tmp_path: Path) -> None:
    without = [argument for path in WITHOUT_AN_END for argument in ("--exclude-path", path)]
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "run", f"http://{api.http}/api/v1/openapi.json"),
            *("--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"),
            *("--max-examples", str(EXAMPLES), "--seed", "1", "--continue-on-failure", "--request-timeout", "30"),
            *("--generation-database", "none", "--no-color", *without),
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unresolvable" not in done.stdout, done.stdout
    # Whoever was connected still is, and everybody else is answered.
    assert {agent["agent_id"] for agent in ask(api, "/api/v1/agents")["items"]} == {"shop", "desk"}
