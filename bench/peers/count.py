"""The receiver's side: counts loss, order, duplicates and latency, and answers the driver."""

import asyncio
import json
import os
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterable
from typing import Any

from .event import HEAD, SEQ, TIME, WARM, now, tail
from .load import Headers, Outgoing
from .spec import Spec, say

Callback = Callable[[bytes, Headers], None]
Handler = Callable[[bytes, Headers], Iterable[Outgoing]]
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


class Session:
    """The conversation of a receiving role with the driver, on a thread of its own.

    POLL → COUNT, STOP → RESULT at once, QUIT → leave: a `graceful` adapter waits for `until_quit()` and closes its
    client; another one is ended where it stands, because its thread blocks in a receive call.
    """

    def __init__(self, graceful: bool) -> None:
        self.graceful = graceful
        self._quit = threading.Event()

    def start(self, seen: Callable[[], int], stop: Callable[[], None], leave: Callable[[], None]) -> None:
        self._seen, self._stop, self._leave = seen, stop, leave
        threading.Thread(target=self._listen, daemon=True).start()

    def ready(self) -> None:
        say("READY")

    async def until_quit(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._quit.wait)

    def hold(self) -> None:
        """The same for clients that receive on threads of their own."""
        self._quit.wait()

    def _listen(self) -> None:
        for line in sys.stdin:
            command = line.strip()
            if command == "POLL":
                say("COUNT", self._seen())
            elif command == "STOP":
                self._stop()
            elif command == "QUIT":
                break
        self._quit.set()
        if not self.graceful:
            self._leave()
            sys.stdout.flush()
            os._exit(0)


class Counter:
    """Counts what one subscription receives."""

    def __init__(self, spec: Spec, group: "SubscriberGroup") -> None:
        self.events, self.warm_events, self.expect_value = spec.events, spec.warm, spec.expect_value
        self.group = group
        self.latency = array("q") if spec.latency else None
        self.got = self.warm = self.next = self.disorder = self.wrong = 0
        self.published_first = self.last = 0
        self.cpu_first = self.cpu_last = 0.0
        self.done = False

    def __call__(self, payload: bytes, headers: Headers = None) -> None:
        sequence = int(payload[SEQ])
        if sequence >= WARM:
            self.warm += 1
            if self.warm == self.warm_events:
                self.group.warmed()
            return
        if self.latency is not None:
            self.latency.append(now() - int(payload[TIME]))
        if sequence != self.next:
            self.disorder += 1
        self.next = sequence + 1
        self.got += 1
        if self.got == 1:
            self.published_first, self.cpu_first = int(payload[TIME]), time.process_time()
        if self.got == self.events:
            if self.expect_value is not None:
                self.wrong = int(abs(json.loads(payload)["v"] - self.expect_value) > 1e-6)
            self.finish()

    def finish(self) -> None:
        if not self.done:
            self.done = True
            self.last, self.cpu_last = now(), time.process_time()
            self.group.finished()

    def result(self) -> dict[str, Any]:
        values = sorted(self.latency) if self.latency else []
        pick = {
            name: values[min(len(values) - 1, int(q * len(values)))] / 1e3 for name, q in QUANTILES.items() if values
        }
        return {
            "got": self.got,
            "lost": self.events - self.got,
            "disorder": self.disorder,
            "wrong": self.wrong,
            "published_first": self.published_first,
            "last": self.last,
            "cpu_s": self.cpu_last - self.cpu_first,
            "latency_us": pick or None,
        }


class SubscriberGroup:
    """The subscriptions of one subscriber process."""

    def __init__(
        self, spec: Spec, session: Session, wrap: Callable[[Callback], Callback], leave: Callable[[], None]
    ) -> None:
        self.counters = [Counter(spec, self) for _ in range(spec.subscriptions)]
        self.callbacks = [wrap(counter) for counter in self.counters]
        self._open = self._cold = spec.subscriptions
        self._reported = False
        session.start(lambda: sum(counter.got for counter in self.counters), self._stop, leave)

    def warmed(self) -> None:
        self._cold -= 1
        if not self._cold:
            say("WARMED")

    def finished(self) -> None:
        self._open -= 1
        if not self._open:
            self._report()

    def _stop(self) -> None:
        for counter in self.counters:
            counter.finish()
        self._report()

    def _report(self) -> None:
        if not self._reported:
            self._reported = True
            say("RESULT", [counter.result() for counter in self.counters])


class Processor:
    """The middle of W3: parse, times 1.5, format; sequence and the sensor's time stay."""

    def __init__(self, spec: Spec, session: Session, leave: Callable[[], None]) -> None:
        self._tail = tail(spec.size)
        self._seen = 0
        self._cpu: float | None = None
        session.start(lambda: self._seen, self._stop, leave)

    def transform(self, payload: bytes) -> bytes:
        event = json.loads(payload)
        if self._cpu is None and event["seq"] < WARM:
            self._cpu = time.process_time()
        self._seen += 1
        return HEAD % (event["seq"], event["t"], event["v"] * 1.5) + self._tail

    def handle(self, payload: bytes, headers: Headers = None) -> Iterable[Outgoing]:
        return ((self.transform(payload), None),)

    def _stop(self) -> None:
        say("RESULT", {"cpu_s": time.process_time() - (self._cpu or 0.0), "seen": self._seen})
