"""What the end of a handler says about its delivery, and on its span.

The verdicts are the Python face of ``src/client/answering.rs``.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, cast

from opentelemetry.trace import StatusCode

from loom.semconv import attribute
from loom.signals import Reject, Retry

if TYPE_CHECKING:
    from opentelemetry import trace

__all__ = ["UNDECIDED", "Failure", "Verdict", "failure_of", "record_failure"]

_MAX_UINT32 = 0xFFFF_FFFF


class Verdict(IntEnum):
    """The numbers of ``bridge.proto``."""

    NONE = 0
    """No outcome is sent: the server delivers again when the connection ends, or the time of the attempt."""
    RETRY = 2
    REJECT = 3


class Failure(NamedTuple):
    """How a handler did not handle its event; crosses the border as it is."""

    verdict: int
    delay_ms: int
    message: str


UNDECIDED = Failure(Verdict.NONE, 0, "")
"""The handler did not come to its end."""


def failure_of(error: BaseException) -> Failure:
    """Read what a handler has raised."""
    if isinstance(error, Retry):
        # Rounded up: 0 would leave it to the server.
        delay_ms = min(math.ceil(error.delay * 1000), _MAX_UINT32)
        return Failure(Verdict.RETRY, delay_ms, _with_causes(error))
    if isinstance(error, Reject):
        return Failure(Verdict.REJECT, 0, _with_causes(error))
    return Failure(Verdict.RETRY, 0, _describe(error))


def _with_causes(error: BaseException) -> str:
    """Keep what a signal was raised ``from``: it often says more than the signal."""
    parts = [_describe(error)]
    seen = {id(error)}
    cause = error.__cause__
    while cause is not None and id(cause) not in seen:
        parts.append(_describe(cause))
        seen.add(id(cause))
        cause = cause.__cause__
    return ", caused by ".join(parts)


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def record_failure(span: trace.Span, error: BaseException) -> None:
    """Write an exception of a handler onto its span."""
    if not span.is_recording():
        return
    span.record_exception(cast("Exception", error))
    span.set_attribute(attribute.ERROR_TYPE, type(error).__qualname__)
    span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
