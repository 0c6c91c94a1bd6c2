"""``/metrics`` as the parsers of Prometheus' own client read it, which are strict about both formats."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from conftest import NEEDS_PROMTOOL, PROMTOOL, eventually
from loom import semconv
from loom.testing import LoomServer
from prometheus_client import parser as prometheus
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.samples import Sample

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
HOSTILE = 'quote" back\\slash\nline {le="1"} é'
"""An agent may call itself anything."""
MS = 1_000_000


@pytest.fixture
def server() -> Iterator[LoomServer]:
    """A server of its own: agents of other tests would take the labels."""
    with LoomServer(settings="[api]\nmax_metric_labels = 2\n") as running:
        yield running


def handled(number: int, agent: str, topic: str, *, failed: bool = False) -> list[dict[str, Any]]:
    """One event: published, delivered after 5 ms, handled after 7 ms for 20 ms."""

    def span(place: int, name: str, start_ms: int, end_ms: int, said: dict[str, str]) -> dict[str, Any]:
        return {
            "traceId": f"{number:032x}",
            "spanId": f"{place:016x}",
            "parentSpanId": f"{place - 1:016x}" if place > 1 else "",
            "name": name,
            "startTimeUnixNano": str(base + start_ms * MS),
            "endTimeUnixNano": str(base + end_ms * MS),
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in said.items()],
            "status": {"code": 2} if failed and name == semconv.span.ON_EVENT else {},
        }

    base = time.time_ns()
    said = {semconv.attribute.TOPIC: topic, semconv.attribute.AGENT: agent}
    return [
        span(1, semconv.span.BUS_PUBLISH, 0, 1, {}),
        span(2, semconv.span.BRIDGE_FORWARD, 5, 6, {}),
        span(3, semconv.span.ON_EVENT, 7, 27, said),
    ]


def send(server: LoomServer, spans: list[dict[str, Any]]) -> None:
    body = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    request = urllib.request.Request(
        f"http://{server.otlp_http}/v1/traces",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.status == 200


def page(server: LoomServer, accept: str) -> tuple[str, str]:
    """Content type and text."""
    request = urllib.request.Request(f"http://{server.http}/metrics", headers={"accept": accept})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.headers["content-type"], reply.read().decode()


def name_of_span(server: LoomServer, trace_id: str, span_id: str) -> str:
    path = f"/api/v1/traces/{trace_id}/spans/{span_id}"
    with urllib.request.urlopen(f"http://{server.http}{path}", timeout=10) as reply:
        name: str = json.load(reply)["name"]
    return name


def promtool_says(text: str) -> str:
    command = [str(PROMTOOL), "check", "metrics"]
    checked = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    return checked.stdout + checked.stderr


async def filled(server: LoomServer) -> None:
    """Four agents, of which two have labels of their own; one handler fails."""
    send(server, handled(1, "planner", "orders.new"))
    send(server, handled(2, HOSTILE, "orders.new", failed=True))
    send(server, handled(3, "third", "orders.old"))
    send(server, handled(4, "fourth", "orders.late"))
    name = semconv.metric.PUBLISH_TO_HANDLE

    def counted() -> float:
        families = prometheus.text_string_to_metric_families(page(server, "*/*")[1])
        samples = [sample for family in families for sample in family.samples]
        return sum(sample.value for sample in samples if sample.name == f"{name}_count")

    await eventually(lambda: counted() == 4)


def parsed(text: str) -> Iterator[Metric]:
    """Read OpenMetrics, by a function that says nothing of its types."""
    untyped = openmetrics.text_string_to_metric_families  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    yield from cast("Callable[[str], Iterator[Metric]]", untyped)(text)


def samples(families: dict[str, Metric], name: str) -> list[Sample]:
    return [sample for family in families.values() for sample in family.samples if sample.name == name]


async def test_open_metrics_with_exemplars(server: LoomServer) -> None:
    await filled(server)
    kind, text = page(server, f"{OPEN_METRICS};q=0.9,text/plain;version=0.0.4;q=0.1")
    assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {family.name: family for family in parsed(text)}
    published = families["loom_bus_published"]
    assert (published.type, published.documentation) == ("counter", "Events that the bus accepted.")
    for name in (
        semconv.metric.EXECUTION_DURATION,
        semconv.metric.DELIVERY_WAIT,
        semconv.metric.PUBLISH_TO_HANDLE,
    ):
        assert (families[name].type, families[name].unit) == ("histogram", "seconds")
    assert families[semconv.metric.STORE_BYTES].unit == "bytes"

    counts = samples(families, f"{semconv.metric.EXECUTION_DURATION}_count")
    told = {(sample.labels["agent"], sample.labels["status"]): sample.value for sample in counts}
    assert told == {("planner", "ok"): 1, (HOSTILE, "error"): 1, ("(other)", "ok"): 2}
    counts = samples(families, f"{semconv.metric.DELIVERY_WAIT}_count")
    assert {sample.labels["topic"]: sample.value for sample in counts} == {
        "orders.new": 2,
        "orders.old": 1,
        "(other)": 1,
    }

    buckets = samples(families, f"{semconv.metric.EXECUTION_DURATION}_bucket")
    exemplars = {bucket.labels["agent"]: bucket for bucket in buckets if bucket.exemplar is not None}
    assert len(exemplars) == 3
    exemplar = exemplars["planner"].exemplar
    assert exemplar is not None
    assert exemplar.labels == {"trace_id": f"{1:032x}", "span_id": f"{3:016x}"}
    assert exemplar.value == pytest.approx(0.02)
    assert exemplars["planner"].labels["le"] == "0.025"
    # From the chart to the span.
    assert name_of_span(server, **exemplar.labels) == semconv.span.ON_EVENT


async def test_the_older_format_has_the_same_without_them(server: LoomServer) -> None:
    await filled(server)
    kind, text = page(server, "text/plain")
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in prometheus.text_string_to_metric_families(text)}
    # Without asking for anything it is this one too.
    assert page(server, "")[0] == kind
    for constant, name in vars(semconv.metric).items():
        if constant.isupper():
            assert name in families or name.removesuffix("_total") in families, name
    counts = samples(families, f"{semconv.metric.EXECUTION_DURATION}_count")
    assert {sample.labels["agent"] for sample in counts} == {"planner", HOSTILE, "(other)"}
    assert "# EOF" not in text


def test_reasons_are_counted_from_0(server: LoomServer) -> None:
    """A series that begins with its first loss has no rise that rate() would see."""
    _, text = page(server, "text/plain")
    families = {family.name: family for family in prometheus.text_string_to_metric_families(text)}
    # It has a group in its labels too, and there is none.
    by_reason = {name for name, family in families.items() if re.search(r"by (reason|code)\b", family.documentation)}
    by_reason.remove(semconv.metric.GROUP_UNREADABLE.removesuffix("_total"))
    assert len(by_reason) == 7, by_reason
    for name in by_reason:
        counted = samples(families, f"{name}_total")
        assert len({tuple(sample.labels.values()) for sample in counted}) >= 2, name
        assert {sample.value for sample in counted} == {0}, name


@NEEDS_PROMTOOL
async def test_promtool_finds_nothing_to_say(server: LoomServer) -> None:
    await filled(server)
    assert promtool_says(page(server, "text/plain")[1]) == ""
