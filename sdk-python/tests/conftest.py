"""One real server for all tests; each test has agents and topics of its own."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import loom
import pytest
from loom import Context, Event, contents
from loom.testing import LoomServer

ROOT = Path(__file__).resolve().parents[2]
STREAMS = """
[streams.test]
topics = ["test.>"]
"""
"""Settings of the server: topics below ``test`` are kept."""
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROMTOOL = shutil.which("promtool") or shutil.which("promtool", path=str(TARGET / "prometheus/usr/bin"))
NEEDS_PROMTOOL = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not there: `make promtool` says why")
PATIENCE = 30.0
"""Seconds after which what did not happen will not happen."""


def pytest_configure() -> None:
    os.environ.setdefault("LOOM_BIN", str(ROOT / "target/debug/loom"))


@pytest.fixture(autouse=True)
def content_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule for contents is the process': each test begins without one, and leaves none."""
    monkeypatch.setattr(contents, "_rule", contents.Rule())
    monkeypatch.delenv(contents.CAPTURE_CONTENT, raising=False)


@pytest.fixture(scope="session")
def server() -> Iterator[LoomServer]:
    with LoomServer(settings=STREAMS) as running:
        # The process' own pipeline can be set up once: it exports to this server, whichever test comes first.
        loom.init_telemetry(endpoint=f"http://{running.otlp_grpc}")
        yield running


class Names:
    """Ids and topics that no other test uses."""

    def __init__(self) -> None:
        self._prefix = f"t{uuid.uuid4().hex[:8]}"
        self._numbers = itertools.count(1)

    def agent(self, role: str = "agent") -> str:
        return f"{self._prefix}-{role}-{next(self._numbers)}"

    def topic(self, *segments: str) -> str:
        return ".".join((self._prefix, *segments))

    def kept(self, *segments: str) -> str:
        """Name a topic of the stream ``test``."""
        return ".".join(("test", self._prefix, *segments))


@pytest.fixture
def names() -> Names:
    return Names()


class Bus:
    """Makes agents of one test and stops them at its end."""

    def __init__(self, server: LoomServer, names: Names) -> None:
        self.server = server
        self.names = names
        self._agents: list[loom.Agent] = []

    def agent(self, role: str = "agent", **options: Any) -> loom.Agent:
        options.setdefault("address", self.server.bridge)
        agent = loom.Agent(self.names.agent(role), **options)
        self._agents.append(agent)
        return agent

    async def started(self, role: str = "agent", **options: Any) -> loom.Agent:
        agent = self.agent(role, **options)
        await agent.start()
        return agent

    async def stop(self) -> None:
        for agent in self._agents:
            await agent.stop()


@pytest.fixture
async def bus(server: LoomServer, names: Names) -> AsyncIterator[Bus]:
    bus = Bus(server, names)
    yield bus
    await bus.stop()


async def eventually(look: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Look until what is there is true; fail with the last look."""
    deadline = time.monotonic() + patience
    while True:
        found: Any = look()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {patience} s: {look}")
        await asyncio.sleep(0.01)


class SpanView(NamedTuple):
    """A span as the query API shows it."""

    id: str
    parent: str | None
    name: str
    service: str
    tags: dict[str, Any]
    logs: list[dict[str, Any]]
    start_us: int
    duration_us: int
    links: set[str]
    """Ids of the spans that it is linked to, its parent aside."""


class Traces:
    """Reads whole traces back from the server."""

    def __init__(self, server: LoomServer) -> None:
        self._http = server.http

    def get(self, trace_id: str) -> list[SpanView]:
        url = f"http://{self._http}/api/traces/{trace_id}"
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                found = json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            error.close()
            return []
        if not found:
            return []
        processes = found[0]["processes"]
        return [_view(span, processes) for span in found[0]["spans"]]

    async def whole(self, trace_id: str, count: int) -> list[SpanView]:
        """Wait until a trace has so many spans; more are a failure of the caller's assertions."""

        async def look() -> list[SpanView]:
            spans = await asyncio.to_thread(self.get, trace_id)
            return spans if len(spans) >= count else []

        try:
            await eventually(look)
        except AssertionError:
            found = [(span.service, span.name) for span in self.get(trace_id)]
            raise AssertionError(f"trace {trace_id} has {len(found)} spans, not {count}: {found}") from None
        return self.get(trace_id)


def _view(span: Mapping[str, Any], processes: Mapping[str, Any]) -> SpanView:
    parents = [r["spanID"] for r in span["references"] if r["refType"] == "CHILD_OF"]
    return SpanView(
        id=span["spanID"],
        parent=parents[0] if parents else None,
        name=span["operationName"],
        service=processes[span["processID"]]["serviceName"],
        tags={tag["key"]: tag["value"] for tag in span["tags"]},
        logs=[{field["key"]: field["value"] for field in log["fields"]} for log in span["logs"]],
        start_us=span["startTime"],
        duration_us=span["duration"],
        links={r["spanID"] for r in span["references"] if r["refType"] == "FOLLOWS_FROM"},
    )


@pytest.fixture
def traces(server: LoomServer) -> Traces:
    return Traces(server)


def chain(spans: list[SpanView]) -> list[SpanView]:
    """Order spans from the root down; fails when they are no single chain of parents."""
    roots = [span for span in spans if span.parent is None]
    assert len(roots) == 1, f"roots: {[(s.service, s.name) for s in roots]}"
    ordered = [roots[0]]
    while len(ordered) < len(spans):
        children = [span for span in spans if span.parent == ordered[-1].id]
        assert len(children) == 1, f"{ordered[-1].name} has the children {[c.name for c in children]}"
        ordered.append(children[0])
    return ordered


class Script(NamedTuple):
    """A finished process."""

    code: int
    out: str
    err: str


RunScript = Callable[..., Script]


def start_script(text: str, environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start a program of its own, for what happens once per process."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.fixture
def run_script(server: LoomServer) -> RunScript:
    def run(text: str, *arguments: str, timeout: float = 40, **environment: str) -> Script:
        process = start_script(text, {**server.environment, **environment}, *arguments)
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        return Script(process.returncode, out, err)

    return run


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


class Servers:
    """Servers of one test on one port; those that still run are stopped at its end."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self._port = port
        self._started: list[LoomServer] = []

    def start(self, **options: Any) -> LoomServer:
        server = LoomServer(ports={"bridge": self._port}, **options)
        self._started.append(server)
        return server

    def kill(self) -> None:
        for server in self._started:
            server.kill()


@pytest.fixture
def servers(port: int) -> Iterator[Servers]:
    servers = Servers(port)
    yield servers
    servers.kill()


class Worker:
    """Handlers that keep what they see; ``decide`` may raise."""

    def __init__(self, decide: Callable[[Event], object] = lambda _: None) -> None:
        self.attempts: list[tuple[str, int]] = []
        self.events: list[Event] = []
        self._decide = decide

    async def __call__(self, ctx: Context, topic: str, event: Event) -> None:
        self.events.append(event)
        self.attempts.append((event.text(), event.attempt))
        self._decide(event)

    async def has(self, *attempts: tuple[str, int]) -> None:
        await eventually(lambda: len(self.attempts) >= len(attempts))
        assert self.attempts == list(attempts)


async def acked(agent: loom.Agent, count: int) -> None:
    await eventually(lambda: agent.stats()["acked"] >= count)
    assert agent.stats()["acked"] == count
