"""A span as tests see it, whoever has recorded it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.trace import format_span_id, format_trace_id

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SpanLink", "SpanRecord", "record_of", "trace_id_of"]


class SpanLink(NamedTuple):
    """Another span that a span points to."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """A span that has ended."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    parent_id: str | None
    name: str
    service: str = ""
    kind: str = "internal"
    """``internal``, ``server``, ``client``, ``producer`` or ``consumer``."""
    status: str = "unset"
    """``unset``, ``ok`` or ``error``."""
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    links: tuple[SpanLink, ...] = ()
    start_us: int = 0
    """Microseconds since 1970."""
    duration_us: int = 0


def record_of(span: Any) -> SpanRecord:
    """Read a span of the OpenTelemetry SDK, or of Loom's provider; a record is returned as it is."""
    if isinstance(span, SpanRecord):
        return span
    context = span.get_span_context()
    start, end = span.start_time or 0, span.end_time or span.start_time or 0
    return SpanRecord(
        trace_id=format_trace_id(context.trace_id),
        span_id=format_span_id(context.span_id),
        parent_id=format_span_id(span.parent.span_id) if span.parent is not None else None,
        name=span.name,
        service=str(span.resource.attributes.get("service.name", "")),
        kind=span.kind.name.lower(),
        status=span.status.status_code.name.lower(),
        attributes=dict(span.attributes or {}),
        links=tuple(
            SpanLink(format_trace_id(link.context.trace_id), format_span_id(link.context.span_id))
            for link in span.links
        ),
        start_us=start // 1000,
        duration_us=(end - start) // 1000,
    )


def trace_id_of(trace: Any) -> str:
    """Read the id of a trace: text, a number, a span, or a span's context."""
    if isinstance(trace, str):
        return trace.lower()
    if isinstance(trace, int):
        return format_trace_id(trace)
    if isinstance(trace, SpanRecord):
        return trace.trace_id
    context = trace.get_span_context() if hasattr(trace, "get_span_context") else trace
    return format_trace_id(context.trace_id)
