"""Functions of the user, async and plain."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

__all__ = ["call", "in_block"]

F = TypeVar("F")


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it and return its result; a plain one runs in a thread, with its context."""
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    return await asyncio.to_thread(function, *arguments)


def in_block(function: F, block: Callable[[tuple[Any, ...], Mapping[str, Any]], AbstractContextManager[object]]) -> F:
    """Run each call of a function, async or not, in a block of its own, which is made of the call's arguments."""
    call = cast("Callable[..., Any]", function)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(call)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            with block(args, kwargs):
                return await call(*args, **kwargs)

        return cast("F", run_async)

    @functools.wraps(call)
    def run(*args: Any, **kwargs: Any) -> Any:
        with block(args, kwargs):
            return call(*args, **kwargs)

    return cast("F", run)
