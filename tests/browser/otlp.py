"""Traces made by hand, sent as OTLP in JSON."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

HOSTILE = (
    "<script>window.hacked=1</script>",
    "\"><img src=x onerror='window.hacked=1'>",
    "'; DROP TABLE spans; --",
    "javascript:window.hacked=1",
    "\u202egnp.evil",
    "{{constructor.constructor('window.hacked=1')()}}",
)
"""What somebody might put into a span to have it run by the page, by the database, or to deceive the reader."""
_BATCH = 5_000


def _attributes(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]


def span(trace_id: str, number: int, parent: int | None, name: str, start_ns: int, **more: Any) -> dict[str, Any]:
    """Make a span; its id is its number."""
    duration_ns = more.pop("duration_ns", 1_000_000)
    return {
        "traceId": trace_id,
        "spanId": f"{number:016x}",
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(start_ns),
        "endTimeUnixNano": str(start_ns + duration_ns),
        **({} if parent is None else {"parentSpanId": f"{parent:016x}"}),
        **more,
    }


def send(otlp_http: str, spans: list[dict[str, Any]], service: str = "by-hand") -> None:
    """Hand spans to the server; when this returns, it has accepted them."""
    for at in range(0, len(spans), _BATCH):
        scope = {"scope": {"name": "tests.browser"}, "spans": spans[at : at + _BATCH]}
        resource = {"attributes": _attributes({"service.name": service})}
        body = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}).encode()
        request = urllib.request.Request(f"http://{otlp_http}/v1/traces", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - see above
            assert reply.status == 200


def hostile_trace(trace_id: str) -> list[dict[str, Any]]:
    """Two spans with hostile text wherever text can be."""
    now = time.time_ns() - 2_000_000_000
    texts = {f"hostile.{number}": text for number, text in enumerate(HOSTILE)}
    texts |= {HOSTILE[0]: "as a key", "url.full": HOSTILE[3], "agent.id": HOSTILE[1], "workflow.id": HOSTILE[2]}
    events = [
        {"timeUnixNano": str(now + 1000), "name": HOSTILE[0], "attributes": _attributes({"note": HOSTILE[1]})},
        {
            "timeUnixNano": str(now + 2000),
            "name": "exception",
            "attributes": _attributes({"exception.type": HOSTILE[1], "exception.stacktrace": HOSTILE[0] * 20}),
        },
    ]
    status = {"code": 2, "message": HOSTILE[1]}
    return [
        span(trace_id, 0xBAD1, None, HOSTILE[0], now, attributes=_attributes(texts), events=events, status=status),
        span(trace_id, 0xBAD2, 0xBAD1, HOSTILE[2], now + 100_000, duration_ns=10, attributes=_attributes(texts)),
    ]


def loop_trace(trace_id: str, turns: int) -> list[dict[str, Any]]:
    """An agent that uses a tool again and again before it answers; each use has a step below it."""
    now = time.time_ns() - 5_000_000_000
    agent = _attributes({"agent.id": "researcher"})
    spans = [span(trace_id, 0x100, None, "research", now, duration_ns=turns * 1_000_000 + 500_000, attributes=agent)]
    for turn in range(turns):
        start, use = now + turn * 1_000_000, 0x200 + 2 * turn
        spans.append(span(trace_id, use, 0x100, "execute_tool search", start, duration_ns=900_000, attributes=agent))
        spans.append(span(trace_id, use + 1, use, "GET /search", start, duration_ns=800_000, attributes=agent))
    spans.append(span(trace_id, 0x101, 0x100, "answer", now + turns * 1_000_000, duration_ns=400_000, attributes=agent))
    return spans


def many_spans(trace_id: str, count: int) -> list[dict[str, Any]]:
    """A trace of so many spans: agents that handle events one after the other, each with some steps below it."""
    now = time.time_ns() - 60_000_000_000
    spans = [span(trace_id, 1, None, "run", now, duration_ns=count * 100_000)]
    for number in range(2, count + 1):
        step = number % 10
        parent = 1 if step == 2 or number < 10 else number - step + (2 if step > 2 else -8)
        attributes = _attributes({"agent.id": f"worker-{number // 10 % 7}", "step": str(number)})
        start = now + number * 100_000
        spans.append(span(trace_id, number, parent, f"step {step}", start, duration_ns=90_000, attributes=attributes))
    return spans
