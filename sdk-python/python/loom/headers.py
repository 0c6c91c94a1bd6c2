"""The current context on its way to other processes: as HTTP headers, and as environment variables.

Events and calls carry it by themselves.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from loom._baggage import Baggage, baggage_of, parse
from loom._otel import BAGGAGE_KEY, SPAN_KEY, get_current, set_current
from loom.identity import current_agent
from loom.semconv import attribute, header

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

__all__ = ["Attached", "from_environment", "from_headers", "to_environment", "to_headers", "trace_headers"]

W3C = TraceContextTextMapPropagator()
_NAMES = (header.TRACEPARENT, header.TRACESTATE, header.BAGGAGE)


def trace_headers(context: Context) -> dict[str, str]:
    """Write traceparent and tracestate of a context's span, native or not."""
    carrier: dict[str, str] = {}
    if context.get(SPAN_KEY) is not None:
        W3C.inject(carrier, context)
    return carrier


def to_headers() -> dict[str, str]:
    """Return ``traceparent``, ``tracestate`` and ``baggage`` of the current context, those that there are.

    The baggage tells whom the work is about, the user included: send it to whoever may know.
    """
    current = get_current()
    headers = trace_headers(current)
    baggage = baggage_of(current)
    agent = current_agent.get()
    if agent is not None and attribute.AGENT not in baggage:
        baggage = baggage.extended({attribute.AGENT: agent})
    if baggage.header:
        headers[header.BAGGAGE] = baggage.header
    return headers


class Attached:
    """A context that came from elsewhere, current in a ``with`` block."""

    __slots__ = ("_before", "_headers")

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __enter__(self) -> None:
        self._before = before = get_current()
        set_current(context_of(self._headers, before))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        set_current(self._before)


def from_headers(headers: Mapping[str, str]) -> Attached:
    """Go on where a request came from: ``with loom.from_headers(request.headers):``.

    Spans inside are children of the remote span and about whom it was about. What is malformed is left out; without
    any of the headers nothing changes. In the process of an agent the work is about that agent.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    return Attached({name: lower[name] for name in _NAMES if name in lower})


def to_environment() -> dict[str, str]:
    """Return ``TRACEPARENT``, ``TRACESTATE`` and ``BAGGAGE``, for ``subprocess.run(env={**os.environ, ...})``."""
    return {name.upper(): value for name, value in to_headers().items()}


def from_environment(environment: Mapping[str, str] | None = None) -> Attached:
    """Go on where this process was started: ``with loom.from_environment():`` around its work.

    Nothing does it by itself: of a service that runs for days it would make a single trace.
    """
    known = os.environ if environment is None else environment
    return Attached({name: known[name.upper()] for name in _NAMES if name.upper() in known})


def context_of(headers: Mapping[str, str], before: Context) -> Context:
    """Make the context of these headers; what they do not say is as it was before."""
    context = W3C.extract(dict(headers), before)
    entries = dict(parse(headers.get(header.BAGGAGE, "")))
    if not entries:
        return context
    agent = current_agent.get()
    if agent is not None:
        entries[attribute.AGENT] = agent
    return Context({**context, BAGGAGE_KEY: Baggage.of(entries)})
