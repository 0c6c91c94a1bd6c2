"""Waiting by predicate, and asking the server as the page does."""

from __future__ import annotations

import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE = 30.0
"""Seconds after which what did not happen will not happen."""
_STEP = 0.05


def until(look: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Look until what is there is true, and return it."""
    nobody = threading.Event()
    for _ in range(int(patience / _STEP)):
        found = look()
        if found:
            return found
        nobody.wait(_STEP)
    raise AssertionError(f"{what} did not happen within {patience} s")


def get(http: str, path: str, **parameters: str | int) -> Any:
    """Answer of a route of the API."""
    query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
    with urllib.request.urlopen(f"http://{http}/api/v1/{path}{query}", timeout=10) as reply:
        return json.load(reply)
