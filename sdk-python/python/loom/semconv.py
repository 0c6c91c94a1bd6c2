"""Names of spans, attributes, headers and metrics: the constants of the contract, as the native module has them.

``semconv.span.ON_EVENT``, ``semconv.attribute.TOPIC``, ``semconv.header.TRACEPARENT``,
``semconv.metric.BUS_PUBLISHED``; ``docs/semconv.md`` explains each.
"""

from __future__ import annotations

from types import SimpleNamespace

from loom import _native

__all__ = ["attribute", "header", "metric", "span"]


def _names(module: str) -> SimpleNamespace:
    return SimpleNamespace(**{constant: value for owner, constant, value in _native.semconv_names() if owner == module})


attribute = _names("attribute")
header = _names("header")
metric = _names("metric")
span = _names("span")
