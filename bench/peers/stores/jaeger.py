"""Jaeger on Badger, its own store in one process: the program that `$JAEGER` names.

It knows no agents: what they did is found by the service and the operation. Figures over a time it has only with a
Prometheus beside it, so that question is not asked.
"""

import json
import os
import re
import subprocess
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..adapters import free_port
from . import Question, Store

START_LIMIT = 30.0
"""Seconds until it has to be ready."""
SENT = re.compile(r"^otelcol_exporter_sent_spans\w*\{[^}]*jaeger_storage_exporter[^}]*\} (\S+)$", re.MULTILINE)
"""Spans that its storage has taken; the unit in the name differs by version."""


class Jaeger(Store):
    name = "jaeger"
    usual, large = 240_000, 1_200_000
    poll = 0.05

    def missing(self) -> str | None:
        program = os.environ.get("JAEGER")
        if program and Path(program).exists():
            return None
        return "jaeger is not there: $JAEGER names the program of a release, https://www.jaegertracing.io/download"

    def start(self, folder: str) -> None:
        program = os.environ["JAEGER"]
        said = subprocess.run([program, "version"], capture_output=True, text=True, check=True, timeout=30).stdout
        self.version = json.loads(said)["gitVersion"]
        self._folder = Path(folder)
        otlp, query, grpc, self._metrics_port = (free_port() for _ in range(4))
        self.otlp, self._query = f"127.0.0.1:{otlp}", f"127.0.0.1:{query}"
        config = self._folder / "jaeger.json"
        config.write_text(json.dumps(settings(folder, otlp, query, grpc, self._metrics_port)))
        self.launch([program, "--config", str(config)], folder, self._ask, START_LIMIT)

    def _ask(self) -> None:
        self.stored()
        Question(self._query, "/api/v3/services", lambda answer: answer["services"]).ask()

    def stored(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=60) as reply:
            found = SENT.search(reply.read().decode())
        return int(float(found[1])) if found else 0

    def trace(self, trace_id: str) -> Question:
        return Question(self._query, f"/api/traces/{trace_id}", lambda answer: len(answer["data"][0]["spans"]))

    def search(self, agent: str, begin: int, end: int) -> Question:
        what = {
            "query.serviceName": f"agent-{agent}",
            "query.operationName": "agent.on_event",
            "query.startTimeMin": _time(begin),
            "query.startTimeMax": _time(end),
            "query.searchDepth": 20,
        }
        path = f"/api/v3/trace-summaries?{urllib.parse.urlencode(what)}"
        return Question(self._query, path, lambda answer: sorted(trace["traceId"] for trace in answer["summaries"]))

    def metrics(self, agent: str, begin: int, end: int) -> None:
        """None: see above."""

    def bytes(self) -> int:
        """What its files take of the disk: most of them are longer than what is in them."""
        files = (self._folder / "badger").rglob("*")
        return sum(file.stat().st_blocks * 512 for file in files if file.is_file())


def settings(folder: str, otlp: int, query: int, grpc: int, metrics: int) -> dict[str, Any]:
    """Jaeger's own configuration for Badger (`config-badger.yaml`), on free ports of the loopback."""
    directories = {"keys": f"{folder}/badger/keys", "values": f"{folder}/badger/values"}
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": metrics}}}}
    return {
        "service": {
            "extensions": ["jaeger_storage", "jaeger_query"],
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["jaeger_storage_exporter"]}
            },
            "telemetry": {"metrics": {"level": "detailed", "readers": [reader]}},
        },
        "extensions": {
            "jaeger_storage": {
                "backends": {
                    "badger": {"badger": {"directories": directories, "ephemeral": False, "ttl": {"spans": "48h"}}}
                }
            },
            "jaeger_query": {
                "storage": {"traces": "badger"},
                # Spans of its own would go to whatever listens on port 4317.
                "enable_tracing": False,
                "http": {"endpoint": f"127.0.0.1:{query}"},
                "grpc": {"endpoint": f"127.0.0.1:{grpc}"},
            },
        },
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{otlp}"}}}},
        "processors": {"batch": {}},
        "exporters": {"jaeger_storage_exporter": {"trace_storage": "badger"}},
    }


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat()
