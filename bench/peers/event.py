"""The payload of every measurement: fixed columns, so that counting it costs no JSON parser.

The clock is CLOCK_MONOTONIC (`perf_counter_ns`), one clock for all processes of a machine: the publisher's stamp can be
subtracted in the subscriber.
"""

import time

now = time.perf_counter_ns

WARM = 2_000_000_000
"""Sequence numbers from here on mark warm-up events, which are not counted."""

HEAD = b'{"seq":%10d,"t":%19d,"v":%10.3f,"pad":"'
SEQ = slice(7, 17)
TIME = slice(22, 41)
_HEAD_LENGTH = len(HEAD % (0, 0, 0.0))


def tail(size: int) -> bytes:
    """What follows the head so that the payload has `size` bytes."""
    padding = size - _HEAD_LENGTH - 2
    if padding < 0:
        raise ValueError(f"a payload needs at least {_HEAD_LENGTH + 2} bytes, not {size}")
    return b"x" * padding + b'"}'
