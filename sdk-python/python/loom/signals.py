"""What a handler of an acknowledged delivery may raise to decide about it.

They are no faults of Loom and have no code: a handler raises them, and they become the outcome of its delivery.
"""

from __future__ import annotations

import math

__all__ = ["Reject", "Retry"]


class Retry(Exception):  # noqa: N818 - a request, and not an error
    """Raised by a handler: deliver this event again, not before ``delay`` seconds.

    With a delay of 0 the server decides; it waits longer after each attempt. Where an event was tried ``max_attempts``
    times it becomes a dead letter all the same.
    """

    def __init__(self, message: str = "", *, delay: float = 0.0) -> None:
        if not (math.isfinite(delay) and delay >= 0):
            raise ValueError(f"delay is {delay}: it is a number of seconds, 0 or more")
        super().__init__(message)
        self.delay = delay

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the delay, for process pools."""
        return (_retry, (str(self), self.delay))


class Reject(Exception):  # noqa: N818 - a decision, and not an error
    """Raised by a handler: never deliver this event again, it cannot be handled. It becomes a dead letter."""


def _retry(message: str, delay: float) -> Retry:
    return Retry(message, delay=delay)
