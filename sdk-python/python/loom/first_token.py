"""Time from the call of a model to the first part of its answer, on the span of the call.

OpenTelemetry has a name for it (``gen_ai.response.time_to_first_chunk``, in seconds), and the instrumentations of
OpenAI's client do not write it. A stream of that client is made while the call's span is the current one, so it is
known there.
"""

from __future__ import annotations

import functools
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from loom.faults import fault
from loom.semconv import attribute

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["measure_first_token"]


def measure_first_token(openai: Any) -> None:
    """Measure all streams of this module from now on."""
    try:
        for stream, measured in ((openai.Stream, _measured), (openai.AsyncStream, _measured_async)):
            stream.__init__ = _init(stream.__init__, measured)
    except Exception as error:  # noqa: BLE001 - counted: another version of the client may have no such classes
        fault("time to first token", error)


def _init(init: Callable[..., None], measured: Callable[[Any, Callable[[], None]], Any]) -> Callable[..., None]:
    @functools.wraps(init)
    def init_measured(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        try:
            span: Any = trace.get_current_span()
            began = getattr(span, "start_time", None)
            if span.is_recording() and began is not None:
                self._iterator = measured(self._iterator, _first(span, began))
        except Exception as error:  # noqa: BLE001 - counted, whatever another version of the client does
            fault("time to first token", error)

    return init_measured


def _first(span: Any, began_unix_nano: int) -> Callable[[], None]:
    """Tell of the first part, by a clock that nobody sets."""
    before = (time_ns() - began_unix_nano) / 1e9
    now = perf_counter()

    def tell() -> None:
        if span.is_recording():
            span.set_attribute(attribute.GEN_AI_TIME_TO_FIRST_CHUNK, max(0.0, before + perf_counter() - now))

    return tell


def _measured(parts: Iterator[Any], tell: Callable[[], None]) -> Iterator[Any]:
    for part in parts:
        tell()
        yield part
        break
    yield from parts


async def _measured_async(parts: AsyncIterator[Any], tell: Callable[[], None]) -> AsyncIterator[Any]:
    async for part in parts:
        tell()
        yield part
        break
    async for part in parts:
        yield part
