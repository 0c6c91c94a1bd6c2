"""The current context in child processes: those of pools, and those of ``multiprocessing``.

Each task of a pool runs in the context of its submission, each child begins in that of its start, and spans of children
leave them before they end. A forked child inherits the context; into others, and into pools, headers go along.
"""

from __future__ import annotations

import functools
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import pool, util
from multiprocessing.process import BaseProcess
from threading import Lock
from typing import TYPE_CHECKING, Any

from loom._otel import get_current, set_current
from loom.carrying import of_submission
from loom.faults import fault
from loom.headers import context_of, to_headers
from loom.telemetry import Inheritance, installed, resume_telemetry, shutdown_telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["carry_into_processes"]

_FLUSH_SECONDS = 5.0

_lock = Lock()
_is_on = False


class Start:
    """What a child that was not forked is told about its parent. It takes effect when the child unpickles it."""

    def __init__(self, headers: Mapping[str, str], telemetry: Inheritance | None) -> None:
        self._headers = headers
        self._telemetry = telemetry

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return _begin, (self._headers, self._telemetry)


def _begin(headers: Mapping[str, str], telemetry: Inheritance | None) -> Start:
    try:
        carry_into_processes()
        if telemetry is not None:
            resume_telemetry(telemetry)
            _flush_at_the_end()
        set_current(context_of(headers, get_current()))
    except Exception as error:  # noqa: BLE001 - counted, whatever it is
        fault("a child process", error)
    return Start(headers, telemetry)


def carry_into_processes() -> None:
    """Switch it on, once."""
    global _is_on  # noqa: PLW0603 - patches are one per process, too
    with _lock:
        if _is_on:
            return
        _is_on = True
    BaseProcess.start = _start(BaseProcess.start)  # type: ignore[method-assign]
    ProcessPoolExecutor.submit = of_submission(ProcessPoolExecutor.submit)  # type: ignore[method-assign]
    for method in ("apply_async", "_map_async", "imap", "imap_unordered"):
        setattr(pool.Pool, method, of_submission(getattr(pool.Pool, method)))
    # The key of the registration must live as long as the process.
    util.register_after_fork(carry_into_processes, lambda _: _flush_at_the_end())


def _flush_at_the_end() -> None:
    # Children of multiprocessing leave by os._exit, past atexit.
    util.Finalize(None, shutdown_telemetry, args=(_FLUSH_SECONDS,), exitpriority=0)


def _start(start: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(start)
    def start_in_context(self: Any) -> None:
        # An attribute, so that it is pickled with the child where the child is not forked.
        self._loom_start = _told_to_children()
        try:
            start(self)
        finally:
            del self._loom_start

    return start_in_context


def _told_to_children() -> Start | None:
    try:
        provider = installed()
        return Start(to_headers(), provider.inheritance() if provider is not None else None)
    except Exception as error:  # noqa: BLE001 - counted, whatever it is
        fault("a child process", error)
        return None
