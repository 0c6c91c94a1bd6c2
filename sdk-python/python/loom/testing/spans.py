"""The spans of a test: those of this process, from memory, together with those that the server has."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from opentelemetry import trace

import loom
from loom.testing.compare import Forest
from loom.testing.record import SpanLink, SpanRecord, record_of, trace_id_of
from loom.testing.tree import read_tree
from loom.testing.unequal import assert_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from loom.testing.server import LoomServer
    from loom.testing.tree import Tree

__all__ = ["LoomSpans", "SpanLink", "SpanRecord"]

PATIENCE = 10.0
"""Seconds after which a trace that is not whole will not become so, unless told otherwise."""
_CAPACITY = 100_000
"""Spans that are kept in memory; what is more is counted, and a failure says so."""
_PAUSE = 0.01
_FLUSH = 2.0
_HANDLERS = {"bridge.forward": {"agent.on_event", "agent.lost"}, "broker.invoke": {"agent.on_action", "agent.lost"}}


class LoomSpans:
    """What was recorded while it is open: as a ``with`` block, or as pytest's fixture ``loom_spans``.

    Spans of this process are taken from its TracerProvider, Loom's or the program's own. Those of the server, and of
    other processes that export to it, are read by its HTTP API.
    """

    def __init__(self, server: LoomServer, *, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._http = server.http
        self._memory = _memory()

    def __enter__(self) -> Self:
        self._memory.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._memory.close()

    def finished(self) -> list[SpanRecord]:
        """Return the spans of this process that have ended since the beginning, in that order."""
        return self._memory.finished()

    def found(self, trace: Any) -> list[SpanRecord]:
        """Return what there is of a trace now, in the order of start; waits for nothing."""
        trace_id = trace_id_of(trace)
        spans = {span.span_id: span for span in self._stored(trace_id)}
        spans.update((span.span_id, span) for span in self.finished() if span.trace_id == trace_id)
        return sorted(spans.values(), key=lambda span: (span.start_us, span.span_id))

    async def trace(
        self, trace: Any, *, until: Callable[[list[SpanRecord]], bool] | None = None, timeout: float | None = None
    ) -> list[SpanRecord]:
        """Wait until a trace is whole, and return it in the order of start.

        It is whole when every parent is there, each delivery has its handler, no span of this process is open, and the
        server has nothing in flight. What an agent has not sent yet nobody can know of: ``until`` says what else must
        be there, such as ``lambda spans: len(spans) >= 9``; or ``await agent.flush()`` before.

        ``trace`` is an id as text or number, a span, or a span's context.

        Raises:
            AssertionError: It was not whole after ``timeout`` seconds (``patience``, 10, unless told otherwise).

        """
        __tracebackhide__ = True
        trace_id = trace_id_of(trace)
        limit = self.patience if timeout is None else timeout
        deadline = time.monotonic() + limit
        while True:
            missing, spans = await asyncio.to_thread(self._look, trace_id)
            if not missing and (until is None or until(spans)):
                return spans
            if time.monotonic() > deadline:
                why = missing or ["what was waited for (until) is not there"]
                have = ", ".join(f"{count} {name}" for name, count in Counter(s.name for s in spans).items())
                raise AssertionError(
                    f"trace {trace_id} was not whole within {limit:g} s:\n- "
                    + "\n- ".join(why)
                    + f"\nIt has {have or 'no span'}"
                )
            await asyncio.sleep(_PAUSE)

    async def assert_trace(self, trace: Any, tree: Tree, *, timeout: float | None = None) -> list[SpanRecord]:
        """Wait until a trace is whole and has the expected tree, and return it.

        Raises:
            AssertionError: It has not within ``timeout`` seconds; the message shows both trees.

        """
        __tracebackhide__ = True
        expected, is_open = read_tree(tree)

        def is_equal(spans: list[SpanRecord]) -> bool:
            return Forest(spans).equals(expected, is_open=is_open)

        try:
            return await self.trace(trace, until=is_equal, timeout=timeout)
        except AssertionError as error:
            late = error
        # The tree says more than the reasons; they are told where it is as expected. Outside of the block, so that the
        # failure is one and no chain of two.
        assert_trace(await asyncio.to_thread(self.found, trace), tree)
        raise late

    def _look(self, trace_id: str) -> tuple[list[str], list[SpanRecord]]:
        """Return what is missing, and what is there."""
        provider = trace.get_tracer_provider()
        if isinstance(provider, loom.TracerProvider):
            provider.force_flush(round(_FLUSH * 1000))
        # First whether the server rests, then what it has: the other way round a span could come in between.
        missing = self._busy()
        missing += self._memory.still_open(trace_id)
        spans = self.found(trace_id)
        return missing + _holes(spans), spans

    def _busy(self) -> list[str]:
        stats = self._get("/api/v1/stats")
        busy: list[str] = []
        if not stats["bus"]["quiet"]:
            busy.append(f"the server has {stats['bus']['total']['in_flight']} deliveries in flight")
        if waiting := stats["spans"]["queued"] + stats["lag"]:
            busy.append(f"the server has not stored all of its spans ({waiting})")
        return busy

    def _stored(self, trace_id: str) -> list[SpanRecord]:
        found = self._get(f"/api/traces/{trace_id}", {"data": []})["data"]
        if not found:
            return []
        processes = found[0]["processes"]
        return [_from_jaeger(span, processes[span["processID"]]["serviceName"]) for span in found[0]["spans"]]

    def _get(self, path: str, otherwise: Any = None) -> Any:
        try:
            with urllib.request.urlopen(f"http://{self._http}{path}", timeout=10) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 404 or otherwise is None:  # noqa: PLR2004 - not found
                    raise
            return otherwise


def _holes(spans: list[SpanRecord]) -> list[str]:
    """Say what a trace must have and has not."""
    if not spans:
        return ["it has no span"]
    ids = {span.span_id for span in spans}
    children: dict[str, list[SpanRecord]] = {}
    for span in spans:
        children.setdefault(span.parent_id or "", []).append(span)
    holes: list[str] = []
    for span in spans:
        below = children.get(span.span_id, [])
        if span.parent_id is not None and span.parent_id not in ids:
            holes.append(f"the parent {span.parent_id} of {span.name} is not there")
        # What has failed may have nothing below it; a reply goes to who waits for it, and the server's own capabilities
        # are served in place.
        target = str(span.attributes.get("topic") or span.attributes.get("loom.broker.capability") or "")
        if span.status == "error" or target.startswith(("_inbox.", "_loom.")):
            continue
        if span.name == "bridge.publish" and not below:
            holes.append("a bridge.publish has no EventBus.publish")
        elif span.name in _HANDLERS and not _HANDLERS[span.name] & {child.name for child in below}:
            holes.append(f"a {span.name} has no handler")
    return holes


def _from_jaeger(span: Mapping[str, Any], service: str) -> SpanRecord:
    tags = {tag["key"]: tag["value"] for tag in span["tags"]}
    parents = [r["spanID"] for r in span["references"] if r["refType"] == "CHILD_OF"]
    links = [SpanLink(r["traceID"], r["spanID"]) for r in span["references"] if r["refType"] == "FOLLOWS_FROM"]
    return SpanRecord(
        trace_id=span["traceID"],
        span_id=span["spanID"],
        parent_id=parents[0] if parents else None,
        name=span["operationName"],
        service=service,
        kind=tags.pop("span.kind", "internal"),
        status=str(tags.pop("otel.status_code", "unset")).lower(),
        attributes=tags,
        links=tuple(links),
        start_us=span["startTime"],
        duration_us=span["duration"],
    )


class _Memory:
    """A SpanProcessor that keeps what ends while somebody looks. There is one for the process: none can be removed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._readers = 0
        self._ended: list[Any] = []
        self._records: list[SpanRecord] = []
        self._begun: dict[tuple[int, int], str] = {}
        self._too_many = 0

    def open(self) -> None:
        with self._lock:
            self._readers += 1

    def close(self) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                self._ended.clear()
                self._records.clear()
                self._begun.clear()
                self._too_many = 0

    def finished(self) -> list[SpanRecord]:
        with self._lock:
            self._records += [record_of(span) for span in self._ended]
            self._ended.clear()
            return list(self._records)

    def still_open(self, trace_id: str) -> list[str]:
        with self._lock:
            lost = [f"{self._too_many} spans of this process had no room in memory"] if self._too_many else []
            wanted = int(trace_id, 16)
            return lost + [f"{name} has not ended" for (trace, _), name in self._begun.items() if trace == wanted]

    def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002 - the SDK's signature
        context = span.get_span_context()
        with self._lock:
            if self._readers and len(self._begun) < _CAPACITY:
                self._begun[context.trace_id, context.span_id] = span.name

    def on_end(self, span: Any) -> None:
        context = span.get_span_context()
        with self._lock:
            self._begun.pop((context.trace_id, context.span_id), None)
            if not self._readers:
                return
            if len(self._records) + len(self._ended) < _CAPACITY:
                self._ended.append(span)
            else:
                self._too_many += 1

    def _on_ending(self, span: Any) -> None:
        """Nothing: newer SDKs ask for it."""

    def shutdown(self) -> None:
        """Nothing to shut down."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True


_memories: dict[int, _Memory] = {}


def _memory() -> _Memory:
    """Find the processor of the current provider, which is Loom's unless the program has its own."""
    provider: Any = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        provider = loom.init_telemetry()
    if id(provider) not in _memories:
        memory = _memories[id(provider)] = _Memory()
        if hasattr(provider, "add_span_processor"):
            provider.add_span_processor(memory)
    return _memories[id(provider)]
