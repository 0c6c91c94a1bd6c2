"""Coroutines that run in a context of their own, in the task of whoever awaits them."""

from __future__ import annotations

from types import coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

__all__ = ["awaited", "drive", "resume"]


async def drive(run: Callable[..., Any], running: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end, each step by ``run``, which is that of a ``contextvars.Context``."""
    try:
        awaited = run(running.send, None)
    except StopIteration as result:
        return result.value
    return await resume(run, running, awaited)


@coroutine
def resume(run: Callable[..., Any], running: Coroutine[Any, Any, Any], awaited: Any) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that awaits something."""
    while True:
        try:
            sent = yield awaited
        except GeneratorExit:
            run(running.close)
            raise
        except BaseException as error:  # noqa: BLE001 - cancellation is the coroutine's to see
            step: Callable[[Any], Any] = running.throw
            value: Any = error
        else:
            step, value = running.send, sent
        try:
            awaited = run(step, value)
        except StopIteration as result:
            return result.value


async def awaited(step: Callable[..., Any], *arguments: Any) -> Any:
    """Make a coroutine of a call that returns any awaitable; it is called in the first step."""
    return await step(*arguments)
