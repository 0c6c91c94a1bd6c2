"""Trace and identity on log records: which trace a line belongs to, and whom it was about.

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s trace=%(trace_id)s agent=%(agent_id)s")
    loom.logs.install_log_context()

The fields are read where the line is logged, in its thread and task. docs/logs.md has the recipes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import format_span_id, format_trace_id

from loom._baggage import IDENTITY
from loom._otel import SPAN_KEY, get_current
from loom.faults import fault
from loom.stamping import identity_of

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["FIELDS", "LoomContextFilter", "install_log_context", "structlog_processor"]

FIELDS = ("trace_id", "span_id", *IDENTITY)
"""What a record gets."""


class LoomContextFilter(logging.Filter):
    """A filter that lets everything pass and puts ``FIELDS`` on it: empty texts where there is nothing to say.

    What a record has already, by ``extra`` or from a filter before, stays. So put it where records are made and not
    where they are written: on a ``QueueHandler``, not on the handlers of its ``QueueListener``.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Put the fields on a record."""
        fields, current = record.__dict__, _current_fields()
        for name in FIELDS:
            fields.setdefault(name, current.get(name, ""))
        return True


def install_log_context(*handlers: logging.Handler) -> LoomContextFilter:
    """Add the filter to these handlers, or to those of the root logger, once each; returns it.

    A filter of the root logger itself would not see the records of other loggers, and handlers that are added later
    are not known yet: set logging up first.

    Raises:
        ValueError: There is no handler.

    """
    found = handlers or tuple(logging.getLogger().handlers)
    if not found:
        raise ValueError("the root logger has no handler yet: call logging.basicConfig() or dictConfig() before")
    shared = LoomContextFilter()
    for handler in found:
        if not any(isinstance(one, LoomContextFilter) for one in handler.filters):
            handler.addFilter(shared)
    return shared


def structlog_processor(_logger: Any, _method: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add those of ``FIELDS`` that there are; what the event has already stays."""
    for name, value in _current_fields().items():
        event_dict.setdefault(name, value)
    return event_dict


def _current_fields() -> dict[str, str]:
    fields: dict[str, str] = {}
    try:
        _read(fields)
    except Exception as error:  # noqa: BLE001 - counted, whatever it is
        fault("log context", error)
    return fields


def _read(fields: dict[str, str]) -> None:
    current = get_current()
    span: Any = current.get(SPAN_KEY)
    if span is not None and (context := span.get_span_context()).is_valid:
        fields["trace_id"] = format_trace_id(context.trace_id)
        fields["span_id"] = format_span_id(context.span_id)
    identity = identity_of(current)
    if identity:
        fields.update((name, identity[key]) for name, key in IDENTITY.items() if key in identity)
