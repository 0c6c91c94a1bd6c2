"""Names of spans, their events, attributes, headers and metrics: the contract's constants, from the native module.

``semconv.span.ON_EVENT``, ``semconv.attribute.TOPIC``, ``semconv.header.TRACEPARENT``,
``semconv.metric.BUS_PUBLISHED``; ``docs/semconv.md`` explains each.
"""

from __future__ import annotations

from types import SimpleNamespace

from loom import _native

__all__ = ["attribute", "event", "header", "metric", "span"]


def _names(module: str) -> SimpleNamespace:
    return SimpleNamespace(**{constant: value for owner, constant, value in _native.semconv_names() if owner == module})


attribute = _names("attribute")
event = _names("event")
header = _names("header")
metric = _names("metric")
span = _names("span")
