"""The API keeps to its description: answers about real things, and answers to whatever a fuzzer thinks of."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import pytest
import schemathesis
import websockets
from conftest import PATIENCE, eventually, start_script
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

GUEST = """
import asyncio, loom

async def main():
    async with loom.Agent("guest") as guest:
        await guest.emit("orders.good", payload={"article": 8})
        await asyncio.Event().wait()

asyncio.run(main())
"""
"""Comes, says something, and stays until it is killed."""


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


def closed(part: Any, *, is_whole: bool = True) -> Any:
    """Let a schema forbid what it does not describe: of a field that nobody describes, no test would be told."""
    match part:
        case [*all_of_it]:
            return [closed(one, is_whole=is_whole) for one in all_of_it]
        case dict():
            of = cast("dict[str, Any]", part)
            # What a part of `allOf` does not describe, another part may.
            strict = {key: closed(value, is_whole=key != "allOf") for key, value in of.items()}
            return strict | {"unevaluatedProperties": False} if is_whole and "$ref" in of else strict
        case _:
            return part


def validator(description: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(closed({**schema, "components": description["components"]}))


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
    description = ask(api, "/api/v1/openapi.json")
    for path, methods in description["paths"].items():
        if "get" not in methods or path in WITHOUT_AN_END:
            continue
        parameters = ids.get(path, {"id": trace["trace_id"]} if "{id}" in path else {})
        case = schema[path]["GET"].Case(path_parameters=parameters, query=query.get(path, {}))
        response = case.call()
        assert response.status_code == 200, (path, response.text)
        case.validate_response(response, checks=checks)
        content = methods["get"]["responses"]["200"]["content"]
        if "application/json" in content:
            faults = validator(description, content["application/json"]["schema"]).iter_errors(response.json())
            assert [str(fault) for fault in faults] == [], path
        asked.append(path)
    assert len(asked) > 20, asked


class Frames:
    """Checks frames of the live stream, and says what they are."""

    def __init__(self, api: LoomServer) -> None:
        description = ask(api, "/api/v1/openapi.json")
        content = description["paths"]["/api/v1/stream"]["get"]["responses"]["200"]["content"]
        self._validator = validator(description, content["text/event-stream"]["schema"])
        described = description["components"]["schemas"]["LiveData"]["oneOf"]
        self.kinds = {kind["properties"]["event"]["enum"][0] for kind in described}

    def check(self, frame: dict[str, Any]) -> str:
        assert [str(fault) for fault in self._validator.iter_errors(frame)] == [], frame
        return str(frame["event"])


async def test_frames_of_a_socket(api: LoomServer, agents: None) -> None:
    frames = Frames(api)
    address = f"ws://{api.http}/api/v1/ws"
    async with websockets.connect(f"{address}?last_event_id=nonsense") as socket:
        seen = {frames.check(json.loads(await socket.recv()))}
    assert seen == {"reset"}
    # A gap is told to whoever does not read: that takes longer than a test may.
    wanted = frames.kinds - {"gap"}
    async with websockets.connect(f"{address}?topics=events,executions,agents,traces") as socket:
        seen.add(frames.check(json.loads(await socket.recv())))
        await socket.send("{")
        await socket.send('{"subscribe": ["stats"]}')
        with start_script(GUEST, api.environment) as guest:
            try:
                async with asyncio.timeout(PATIENCE):
                    while not wanted <= seen:
                        seen.add(frames.check(json.loads(await socket.recv())))
            finally:
                guest.kill()


def test_a_server_sent_frame(api: LoomServer) -> None:
    """It has the fields of a socket's frame, and none of what is null."""
    with urllib.request.urlopen(f"http://{api.http}/api/v1/stream", timeout=PATIENCE) as answer:
        lines = iter(lambda: answer.readline().decode().rstrip("\n"), "")
        fields = dict(line.split(": ", 1) for line in lines)
    frame = {"id": fields["id"], "event": fields["event"], "data": json.loads(fields["data"])}
    assert Frames(api).check(frame) == "hello"


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
