"""The publisher's side: events of one phase, paced or not."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

from .event import HEAD, WARM, now, tail
from .spec import Spec, say

Headers = dict[str, str] | None
Outgoing = tuple[bytes, Headers]


class Producer(Protocol):
    """Opens a span around each event handed out, and gives the headers that carry its context."""

    def produce(self) -> Iterator[Headers]: ...


class Batch:
    """The events of one phase: iterate with `for` or `async for` over `(payload, headers)`.

    With a rate it keeps an absolute schedule, so that a late event is not followed by a slower pace.
    """

    def __init__(self, first: int, count: int, spec: Spec, producer: Producer | None) -> None:
        self.first, self.count, self.rate, self.producer = first, count, spec.rate, producer
        self.tail = tail(spec.size)
        self.late_ns = 0
        """The worst lateness of the pacer."""

    def _outgoing(self, number: int) -> Iterator[Outgoing]:
        if self.producer is None:
            yield HEAD % (self.first + number, now(), 21.0) + self.tail, None
        else:
            for headers in self.producer.produce():
                yield HEAD % (self.first + number, now(), 21.0) + self.tail, headers

    def _pause(self, start: int, number: int) -> float:
        """Seconds until the event is due."""
        return (start + int(number * 1e9 / self.rate) - now()) / 1e9

    def _arrived(self, start: int, number: int) -> None:
        self.late_ns = max(self.late_ns, now() - start - int(number * 1e9 / self.rate))

    def __iter__(self) -> Iterator[Outgoing]:
        if not self.rate:
            yield from self._flood()
            return
        start = now()
        for number in range(self.count):
            if (pause := self._pause(start, number)) > 0:
                time.sleep(pause)
            self._arrived(start, number)
            yield from self._outgoing(number)

    async def __aiter__(self) -> AsyncIterator[Outgoing]:
        if not self.rate:
            for outgoing in self._flood():
                yield outgoing
            return
        start = now()
        for number in range(self.count):
            if (pause := self._pause(start, number)) > 0:
                await asyncio.sleep(pause)
            self._arrived(start, number)
            for outgoing in self._outgoing(number):
                yield outgoing

    def _flood(self) -> Iterator[Outgoing]:
        if self.producer is not None:
            for number in range(self.count):
                yield from self._outgoing(number)
            return
        # The measuring loop itself: no call that the system under test has not asked for.
        head, end, first = HEAD, self.tail, self.first
        for sequence in range(first, first + self.count):
            yield head % (sequence, now(), 21.0) + end, None


class Source:
    """READY; then for each WARM or GO from the driver one batch and WARMED or DONE; QUIT ends."""

    def __init__(self, spec: Spec, producer: Producer | None) -> None:
        self.spec, self.producer = spec, producer
        self._cpu = self._start = 0.0

    def _batch(self, command: str) -> Batch:
        if command == "WARM":
            return Batch(WARM, self.spec.warm, self.spec, self.producer)
        self._cpu, self._start = time.process_time(), time.perf_counter()
        return Batch(0, self.spec.events, self.spec, self.producer)

    def _done(self, command: str, batch: Batch) -> None:
        if command == "WARM":
            say("WARMED")
        else:
            say(
                "DONE",
                {
                    "cpu_s": time.process_time() - self._cpu,
                    "wall_s": time.perf_counter() - self._start,
                    "late_us": batch.late_ns / 1e3,
                },
            )

    def phases(self) -> Iterator[Batch]:
        """For clients that block. The batch is done when the next one is asked for: flush before that."""
        say("READY")
        for line in sys.stdin:
            command = line.strip()
            if command == "QUIT":
                return
            batch = self._batch(command)
            yield batch
            self._done(command, batch)

    async def aphases(self) -> AsyncIterator[Batch]:
        """The same for asyncio clients."""
        say("READY")
        loop = asyncio.get_running_loop()
        while True:
            command = (await loop.run_in_executor(None, sys.stdin.readline)).strip()
            if command in ("QUIT", ""):
                return
            batch = self._batch(command)
            yield batch
            self._done(command, batch)
