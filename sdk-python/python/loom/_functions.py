"""Functions of the user, async and plain."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call"]


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it and return its result; a plain one runs in a thread, with its context."""
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    return await asyncio.to_thread(function, *arguments)
