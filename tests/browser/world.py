"""A server with something on every page: the demos run on it, and agents whose executions end in each state."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import otlp
from loom.testing import LoomServer
from loom.testing.server import find_binary
from waiting import get, until

HERE = Path(__file__).resolve().parent
DEMO = HERE.parents[1] / "demo"
SETTINGS = """
[telemetry]
mend_after = "300ms"
[streams.orders]
topics = ["orders.>"]
"""
"""What a lost agent did is told soon, and orders are kept, so that groups can have them."""
STATES = ("PENDING", "RUNNING", "COMPLETED", "FAILED", "TIMEOUT", "DEAD")
HOSTILE_TRACE = "bad0bad0bad0bad0bad0bad0bad0bad0"
LOOP_TRACE = "10009100091000910009100091000910"
TURNS = 12
SAY_ALL = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only",
}
"""What is said to models is kept (docs/contents.md)."""
MACHINE = {"OTEL_RESOURCE_ATTRIBUTES": "host.name=desk"}
"""Pictures are for everybody: they do not tell on which machine they were taken."""
ORDERS = ("orders.trip near", "orders.desk fine", "orders.desk bad", "orders.desk wrong", "orders.desk slow")
AGENTS = ("clerk", "keeper", "courier")


class Processes:
    """Processes of a test; those that still run are ended with it."""

    def __init__(self, server: LoomServer, folder: Path) -> None:
        self._folder = folder
        own = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "OTEL_"))}
        self._environment = {**own, **server.environment, **MACHINE, "LOOM_PYTHON": sys.executable}
        self._started: list[subprocess.Popen[str]] = []

    def _start(self, name: str, command: list[str], **environment: str) -> subprocess.Popen[str]:
        with (self._folder / f"{name}.log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if name == "post" else log,
                stderr=log,
                text=True,
                env={**self._environment, **environment},
            )
        self._started.append(process)
        return process

    def demo(self, name: str, **environment: str) -> None:
        """Run a demo as its README says."""
        self._start(name, [str(find_binary()), "run", str(DEMO / name), "--log", "warn"], **environment)

    def agent(self, role: str) -> subprocess.Popen[str]:
        return self._start(role, [sys.executable, str(HERE / "agents.py"), role])

    def end(self) -> None:
        for process in self._started:
            process.terminate()
        for process in self._started:
            process.communicate(timeout=20)


class Post:
    """Publishes for a test."""

    def __init__(self, processes: Processes) -> None:
        self._process = processes.agent("post")

    def publish(self, *lines: str) -> None:
        """Publish each ``TOPIC TEXT``; they are on the bus when this returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for line in lines:
            print(line, file=self._process.stdin, flush=True)
            assert self._process.stdout.readline(), "the post has gone"


class World(NamedTuple):
    """A server, and what runs on it."""

    server: LoomServer
    post: Post

    @property
    def origin(self) -> str:
        return f"http://{self.server.http}"

    def get(self, path: str, **parameters: str | int) -> Any:
        """Answer of a route of the API."""
        return get(self.server.http, path, **parameters)

    def until_stored(self, trace: str, spans: int) -> None:
        """Wait until the trace has so many spans."""

        def count() -> int:
            found = get(self.server.http, "traces", q=trace)["items"]
            return int(found[0]["spans"]) if found else 0

        until(lambda: count() == spans, f"{spans} spans of {trace}")


@contextmanager
def processes_on(server: LoomServer, folder: Path) -> Iterator[Processes]:
    """Start processes that speak with the server; what they say goes to files in the folder."""
    processes = Processes(server, folder)
    try:
        yield processes
    finally:
        processes.end()


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Make it, and wait until everything is there that pages show."""
    with ExitStack() as stack:
        server = stack.enter_context(LoomServer(settings=SETTINGS, environment=MACHINE))
        processes = stack.enter_context(processes_on(server, folder))
        processes.demo("trace-test", SENSOR_INTERVAL_S="0.2")
        processes.demo("market-analyst", **SAY_ALL)
        for role in AGENTS:
            processes.agent(role)
        post = Post(processes)
        otlp.send(server.otlp_http, otlp.hostile_trace(HOSTILE_TRACE), otlp.HOSTILE[0])
        otlp.send(server.otlp_http, otlp.loop_trace(LOOP_TRACE, TURNS), "agent-researcher")

        def connected() -> set[str]:
            return {agent["agent_id"] for agent in get(server.http, "agents")["items"]}

        until(lambda: connected() >= set(AGENTS), "the agents for orders")
        post.publish(*ORDERS, *["orders.hold"] * 5)
        # The end of a lost agent's handler is told by the server where that agent has told of handlers before.
        until(lambda: get(server.http, "executions", agent="courier", state="COMPLETED")["items"], "a delivery")
        post.publish("orders.trip far")

        def counts() -> dict[str, int]:
            found: dict[str, int] = get(server.http, "executions/states")["states"]
            return found

        until(lambda: all(counts()[state] > 0 for state in STATES), "an execution in each state")
        until(lambda: len(get(server.http, "dead-letters")["items"]) >= 3, "three dead letters")
        until(lambda: get(server.http, "traces", workflow="market-analyst", q="market.report")["items"], "a report")
        yield World(server, post)
