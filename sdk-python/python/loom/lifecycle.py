"""What a handler tells of itself while it runs: that it thinks, and which tools it uses.

Each becomes an event of the handler's span, and a tool a span of its own, by OpenTelemetry's GenAI conventions. What
was thought, and with what a tool was called, is nobody's business by default: spans carry names and sizes, and contents
only where the agent captures them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from loom._otel import own_tracer
from loom.contents import of_event
from loom.semconv import attribute, event
from loom.semconv import span as span_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from opentelemetry.trace import Span

__all__ = ["Tool", "tell_thought"]


def tell_thought(handler: Span, text: str | None, *, capture_content: bool) -> None:
    """Write ``agent_thinking`` onto a handler's span."""
    attributes: dict[str, str | int] = {}
    if text is not None:
        attributes[attribute.THOUGHT_SIZE] = len(text)
        if capture_content:
            attributes[attribute.THOUGHT] = of_event(handler, attribute.THOUGHT, text)
    handler.add_event(event.AGENT_THINKING, attributes)


class Tool:
    """The use of a tool, as a ``with`` or an ``async with`` block. Its span is the current one inside."""

    __slots__ = ("_arguments", "_current", "_handler", "name", "span")

    span: Span
    """``execute_tool NAME``; there from the beginning of the block."""

    def __init__(self, handler: Span, name: str, arguments: Mapping[str, Any], *, capture_content: bool) -> None:
        self.name = name
        self._handler = handler
        self._arguments = arguments if capture_content else None

    def __enter__(self) -> Tool:
        self._handler.add_event(event.TOOL_EXECUTING, {attribute.GEN_AI_TOOL_NAME: self.name})
        attributes = {attribute.GEN_AI_OPERATION_NAME: "execute_tool", attribute.GEN_AI_TOOL_NAME: self.name}
        if self._arguments is not None:
            # What JSON does not know is shown as Python shows it.
            attributes[attribute.GEN_AI_TOOL_ARGUMENTS] = json.dumps(self._arguments, default=repr, ensure_ascii=False)
        self._current: AbstractContextManager[Span] = own_tracer().start_as_current_span(
            f"{span_name.EXECUTE_TOOL} {self.name}", attributes=attributes
        )
        self.span = self._current.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        done: dict[str, str] = {attribute.GEN_AI_TOOL_NAME: self.name}
        if error is not None:
            done[attribute.ERROR_TYPE] = type(error).__qualname__
            self.span.set_attribute(attribute.ERROR_TYPE, type(error).__qualname__)
            if not isinstance(error, Exception):
                # A tool that was cancelled has not done its work; the tracer leaves that to us.
                self.span.set_status(trace.StatusCode.ERROR, f"{type(error).__name__}: {error}")
        self._current.__exit__(kind, error, traceback)
        self._handler.add_event(event.TOOL_COMPLETED, done)

    async def __aenter__(self) -> Tool:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
