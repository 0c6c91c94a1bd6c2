"""Failures of telemetry itself. They never reach the program: each is counted, and now and then logged."""

from __future__ import annotations

import logging
from collections import Counter
from threading import Lock

__all__ = ["counted", "fault"]

_log = logging.getLogger("loom")
_counts: Counter[str] = Counter()
_lock = Lock()


def fault(place: str, error: BaseException) -> None:
    """Count a failure, and log the first one of its place and every power of ten."""
    with _lock:
        _counts[place] += 1
        count = _counts[place]
    if _is_power_of_ten(count):
        _log.warning("failed to set telemetry context (%s, %d times so far): %r", place, count, error, exc_info=error)


def counted() -> dict[str, int]:
    """Return the number of failures by place."""
    with _lock:
        return dict(_counts)


def _is_power_of_ten(number: int) -> bool:
    return str(number).strip("0") == "1"
