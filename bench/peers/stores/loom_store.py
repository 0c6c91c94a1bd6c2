"""Loom's own store, asked as its dashboard and Jaeger's clients ask it."""

import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..adapters.loom_bus import up
from . import Question, Store

KEEP = "[store]\nmax_age = '365d'\nmax_spans = 0\nspool = '64GiB'\nlinger = '100ms'\n"
"""Nothing goes while it is measured, and no sender is asked to wait."""


class Loom(Store):
    name = "loom"
    poll = 0.02

    def start(self, folder: str) -> None:
        # Spans of the server itself would be counted.
        self.process, addresses = up(folder, {"OTEL_TRACES_SAMPLER": "always_off"}, KEEP)
        self.otlp, self.http = addresses["otlp_http"], addresses["http"]
        self.database = Path(folder, "data", "traces.db")

    def stored(self) -> int:
        stored: int = self._question("/api/v1/stats", {}, lambda stats: stats["stored"]).ask()[1]
        return stored

    def trace(self, trace_id: str) -> Question:
        return self._question(f"/api/traces/{trace_id}", {}, lambda answer: len(answer["data"][0]["spans"]))

    def search(self, agent: str, begin: int, end: int) -> Question:
        what: dict[str, str | int] = {"agent": agent, "from": begin, "to": end, "limit": 20}
        return self._question(
            "/api/v1/traces", what, lambda answer: sorted(trace["trace_id"] for trace in answer["items"])
        )

    def metrics(self, agent: str, begin: int, end: int) -> Question:
        path = f"/api/v1/observability/agents/{agent}/metrics"
        return self._question(path, {"from": begin, "to": end}, _sums)

    def _question(self, path: str, what: dict[str, str | int], read: Callable[[Any], Any]) -> Question:
        return Question(self.http, f"{path}?{urllib.parse.urlencode(what)}", read)


def _sums(answer: Any) -> list[int]:
    calls = answer["model_calls"]
    return [answer["executions"]["count"], calls["count"], calls["prompt_tokens"], calls["completion_tokens"]]
