"""Opik's own traces, one for each handler: ``Agent(instrument=["opik"])``.

Opik (https://github.com/comet-ml/opik) keeps its current trace in context variables of its own. Older versions forget
it when the first span below it has ended, so that the second call of ``track_openai`` begins another one; and threads
of a pool never have it. Here each handler is an Opik trace with a span that is open as long as the handler runs, and
threads take all context variables of whoever starts them.
"""

from __future__ import annotations

import functools
import importlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from loom._functions import in_block
from loom.carrying import carried, of_submission
from loom.faults import fault
from loom.identity import get_current_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["OpikTrace", "in_opik_traces"]


class OpikTrace:
    """An Opik trace around a ``with`` block; without ``opik``, or where it fails, the block runs as it is."""

    __slots__ = ("_name", "_project", "_stack")

    def __init__(self, name: str, *, project_name: str | None = None) -> None:
        self._name = name
        self._project = project_name

    def __enter__(self) -> None:
        self._stack = stack = ExitStack()
        try:
            # An extra, and seconds to import.
            opik: Any = importlib.import_module("opik")
            who = get_current_context()
            metadata = {
                "trace_id": f"{trace.get_current_span().get_span_context().trace_id:032x}",
                "agent_id": who.agent_id,
                "workflow_id": who.workflow_id,
            }
            of_trace = {"project_name": self._project, "thread_id": who.thread_id, "metadata": metadata}
            stack.enter_context(opik.start_as_current_trace(self._name, **of_trace))
            # Opik pops the trace with the last span of its stack: this one stays until the end.
            stack.enter_context(opik.start_as_current_span(self._name, project_name=self._project))
        except Exception as error:  # noqa: BLE001 - counted, whatever it is
            fault("opik", error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._stack.__exit__(kind, error, traceback)
        except Exception as failure:  # noqa: BLE001 - counted; the handler's own error goes on by itself
            if failure is not error:
                fault("opik", failure)


def in_opik_traces(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make each call of a handler an Opik trace of its name."""
    _carry_into_threads()
    name = getattr(function, "__name__", type(function).__name__)
    return in_block(function, lambda _args, _kwargs: OpikTrace(name))


_lock = threading.Lock()
_is_on = False


def _carry_into_threads() -> None:
    """Let threads have Opik's variables, and all others, of whoever starts them; once."""
    global _is_on  # noqa: PLW0603 - patches are one per process, too
    with _lock:
        if _is_on:
            return
        _is_on = True
    start = threading.Thread.start

    @functools.wraps(start)
    def start_in_context(self: Any) -> None:
        self.run = carried(self.run)
        start(self)

    ThreadPoolExecutor.submit = of_submission(ThreadPoolExecutor.submit)  # type: ignore[method-assign]
    threading.Thread.start = start_in_context  # type: ignore[method-assign]
