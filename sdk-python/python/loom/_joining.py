"""Fan-in: the span of a handler is linked to the delivery of each event that its work joins, the last one marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loom import _native
from loom.semconv import attribute

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["link"]

_link_event = _native.link_event
_NativeSpan = _native.Span


def link(span: Any, events: Sequence[_native.Event]) -> None:
    """Link a span to the deliveries of these events, which stand in the order of their arrival."""
    if span is None or not events:
        return
    last = len(events) - 1
    if span.__class__ is _NativeSpan:
        for number, event in enumerate(events):
            _link_event(span, event, number == last)
    elif span.is_recording():
        for number, event in enumerate(events):
            context = event.envelope.extract_trace_context()
            if context is not None:
                marks: dict[str, str | bool] = {attribute.EVENT: event.id}
                if number == last:
                    marks[attribute.JOIN_LAST] = True
                span.add_link(context, marks)
