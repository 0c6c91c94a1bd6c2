"""Arize Phoenix on SQLite, in an environment of its own: `target/phoenix`, or where `$PHOENIX` says.

It answers a sender before it has stored anything, and keeps counts and percentiles in a cache for an hour: whoever
wants them as they are asks for other times than before.
"""

import json
import os
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..adapters import BENCH, free_port
from . import Question, Store

REQUIREMENTS = BENCH / "peers/requirements-phoenix.txt"
START_LIMIT = 180.0
"""Seconds: it imports 150 packages, and makes its tables by dozens of migrations."""
PROJECT = "default"
"""Where spans stand that name none."""
SETTINGS = {
    "PHOENIX_HOST": "127.0.0.1",
    "PHOENIX_GRPC_PORT": "0",
    "PHOENIX_LOG_MIGRATIONS": "false",
    "PHOENIX_TELEMETRY_ENABLED": "false",
    "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
    "PHOENIX_AGENTS_DISABLE_WEB_ACCESS": "true",
    "PHOENIX_AGENTS_DISABLE_BASH": "true",
    "PHOENIX_ENABLE_MCP_SERVER": "false",
    "PHOENIX_ALLOWED_SANDBOX_PROVIDERS": "NONE",
}
LAUNCH = """
import grpc.aio
from phoenix.server.main import main

make = grpc.aio.server

def on_loopback(*args, **options):
    server = make(*args, **options)
    add = server.add_insecure_port
    server.add_insecure_port = lambda address: add(address.replace("[::]", "127.0.0.1"))
    return server

grpc.aio.server = on_loopback
main()
"""
"""`phoenix serve`; its receiver of OTLP over gRPC would listen on every interface, whatever its host is."""
METRICS = """
query ($project: ID!, $time: TimeRange!, $runs: String!, $calls: String!) {
  node(id: $project) {
    ... on Project {
      runs: recordCount(timeRange: $time, filterCondition: $runs)
      runsP50: spanLatencyMsQuantile(probability: 0.5, timeRange: $time, filterCondition: $runs)
      runsP95: spanLatencyMsQuantile(probability: 0.95, timeRange: $time, filterCondition: $runs)
      calls: recordCount(timeRange: $time, filterCondition: $calls)
      callsP50: spanLatencyMsQuantile(probability: 0.5, timeRange: $time, filterCondition: $calls)
      callsP95: spanLatencyMsQuantile(probability: 0.95, timeRange: $time, filterCondition: $calls)
      promptTokens: tokenCountPrompt(timeRange: $time, filterCondition: $calls)
      completionTokens: tokenCountCompletion(timeRange: $time, filterCondition: $calls)
    }
  }
}
"""
STORED = """
query ($end: DateTime!) {
  projects { edges { node { id name recordCount(timeRange: { start: "1970-01-02T00:00:00Z", end: $end }) } } }
}
"""


def environment() -> Path:
    return Path(os.environ.get("PHOENIX") or BENCH.parent / "target/phoenix")


class Phoenix(Store):
    name = "phoenix"
    usual, large = 24_000, 120_000
    poll = 0.25
    project: str

    def missing(self) -> str | None:
        if (environment() / "bin/phoenix").exists():
            return None
        return "phoenix is not installed: --install gets it (650 MB), or $PHOENIX names the environment where it is"

    def install(self) -> None:
        if self.missing() is None:
            return
        subprocess.run(["uv", "venv", "--quiet", "--allow-existing", environment()], check=True)
        python = environment() / "bin/python"
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, "-r", REQUIREMENTS], check=True)

    def start(self, folder: str) -> None:
        port = free_port()
        self.otlp = f"127.0.0.1:{port}"
        self.database = Path(folder, "phoenix.db")
        command = [str(environment() / "bin/python"), "-I", "-c", LAUNCH, "serve"]
        own = {**SETTINGS, "PHOENIX_PORT": str(port), "PHOENIX_WORKING_DIR": folder}
        self.launch(command, folder, self._ask, START_LIMIT, **own)

    def _ask(self) -> None:
        self.project = self._projects()[PROJECT]["id"]
        with urllib.request.urlopen(f"http://{self.otlp}/healthz", timeout=60) as reply:
            self.version = reply.headers["x-phoenix-server-version"]

    def stored(self) -> int:
        stored: int = self._projects()[PROJECT]["recordCount"]
        return stored

    def _projects(self) -> dict[str, Any]:
        def by_name(data: Any) -> dict[str, Any]:
            return {edge["node"]["name"]: edge["node"] for edge in data["projects"]["edges"]}

        projects: dict[str, Any] = self._graphql(STORED, {"end": _time(time.time_ns())}, by_name).ask()[1]
        return projects

    def trace(self, trace_id: str) -> Question:
        return self._spans({"trace_id": trace_id, "limit": 100}, len)

    def search(self, agent: str, begin: int, end: int) -> Question:
        """Of a run one span, so that as many are found as Loom finds traces."""
        run = {"name": "agent.on_event", "attribute": f"agent.id:{agent}"}
        when = {"start_time": _time(begin), "end_time": _time(end)}
        return self._spans({**run, **when, "sort": "start_time", "limit": 20}, _traces)

    def metrics(self, agent: str, begin: int, end: int) -> Question:
        own = f"attributes['agent']['id'] == '{agent}'"
        asked = {
            "project": self.project,
            "time": {"start": _time(begin), "end": _time(end)},
            "runs": f"name == 'agent.on_event' and {own}",
            "calls": f"span_kind == 'LLM' and {own}",
        }
        return self._graphql(METRICS, asked, _sums)

    def _spans(self, what: dict[str, str | int], read: Callable[[Any], Any]) -> Question:
        path = f"/v1/projects/{PROJECT}/spans?{urllib.parse.urlencode(what)}"
        return Question(self.otlp, path, lambda answer: read(answer["data"]))

    def _graphql(self, query: str, variables: dict[str, Any], read: Callable[[Any], Any]) -> Question:
        def data(answer: Any) -> Any:
            if errors := answer.get("errors"):
                raise RuntimeError(f"{errors}")
            return read(answer["data"])

        return Question(self.otlp, "/graphql", data, json.dumps({"query": query, "variables": variables}).encode())


def _traces(spans: Any) -> list[str]:
    return sorted(span["context"]["trace_id"] for span in spans)


def _sums(data: Any) -> list[int]:
    found = data["node"]
    return [int(found[name]) for name in ("runs", "calls", "promptTokens", "completionTokens")]


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat()
