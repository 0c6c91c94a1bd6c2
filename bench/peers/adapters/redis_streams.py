"""Redis Streams with consumer groups, through redis-py and hiredis: XADD, XREADGROUP, XACK.

Publishes of a flood go in pipelines, and what was read together is acknowledged together. `fsync` says when the
append-only file is synced: `everysec` is Redis' default, `always` syncs before it answers, as Loom does.
"""

import os
import threading
from collections.abc import Iterator
from typing import Any

from ..count import Callback, Handler, Session
from ..load import Headers, Outgoing, Source
from . import Adapter, free_port, wait_port

PIPELINE = 256
"""Publishes in one round trip."""
FETCH = 256
"""Entries asked for at once."""
PAYLOAD = b"payload"


class Client(Adapter):
    needs = ("redis", "hiredis", "$redis-server")
    headers = True
    graceful = True
    fsync: str = "everysec"
    port: int

    def start_broker(self, folder: str) -> None:
        self.port = free_port()
        address = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", folder)
        kept = ("--save", "", "--appendonly", "yes", "--appendfsync", self.fsync)
        wait_port(self.port, self.spawn(["redis-server", *address, *kept], folder))

    def params(self) -> dict[str, Any]:
        return {"port": self.port}

    def _connect(self) -> Any:
        import redis

        return redis.Redis(host="127.0.0.1", port=self.port)

    def publisher(self, topic: str, source: Source) -> None:
        client = self._connect()
        for batch in source.phases():
            size = 1 if batch.rate else PIPELINE
            pipeline = client.pipeline(transaction=False)
            for number, outgoing in enumerate(batch, 1):
                pipeline.xadd(topic, _entry(outgoing))
                if number % size == 0:
                    pipeline.execute()
            pipeline.execute()

    def subscriber(self, topic: str, callbacks: list[Callback], session: Session) -> None:
        client = self._connect()
        for number, callback in enumerate(callbacks):
            group = f"subscriber-{os.getpid()}-{number}"
            client.xgroup_create(topic, group, mkstream=True)

            def receive(group: str = group, callback: Callback = callback) -> None:
                for ids, entries in self._read(topic, group):
                    for entry in entries:
                        callback(*entry)
                    client.xack(topic, group, *ids)

            threading.Thread(target=receive, daemon=True).start()
        session.ready()
        session.hold()

    def bridge(self, topic: str, out_topic: str, handler: Handler, session: Session) -> None:
        client, group = self._connect(), "processor"
        client.xgroup_create(topic, group, mkstream=True)

        def receive() -> None:
            for ids, entries in self._read(topic, group):
                pipeline = client.pipeline(transaction=False)
                for entry in entries:
                    for outgoing in handler(*entry):
                        pipeline.xadd(out_topic, _entry(outgoing))
                pipeline.xack(topic, group, *ids)
                pipeline.execute()

        threading.Thread(target=receive, daemon=True).start()
        session.ready()
        session.hold()

    def _read(self, topic: str, group: str) -> Iterator[tuple[list[bytes], list[tuple[bytes, Headers]]]]:
        client = self._connect()
        while True:
            for _, found in client.xreadgroup(group, "member", {topic: ">"}, count=FETCH, block=1000) or ():
                yield [entry for entry, _ in found], [_event(fields) for _, fields in found]


def _entry(outgoing: Outgoing) -> dict[Any, Any]:
    payload, headers = outgoing
    return {PAYLOAD: payload, **(headers or {})}


def _event(fields: dict[bytes, bytes]) -> tuple[bytes, Headers]:
    payload = fields.pop(PAYLOAD)
    return payload, {key.decode(): value.decode() for key, value in fields.items()} or None
