"""Functions of the user that are told of something, and must not break what tells them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["guarded"]

_log = logging.getLogger("loom")

T = TypeVar("T")


def guarded(callback: Callable[[T], None] | None, name: str) -> Callable[[T], None]:
    """Return it as one that never raises: what it raises is logged. None is one that does nothing."""

    def call(told: T) -> None:
        if callback is None:
            return
        try:
            callback(told)
        except Exception:  # noqa: BLE001 - logged, whatever it is
            _log.exception("%s failed", name)

    return call
