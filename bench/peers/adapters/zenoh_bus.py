"""Zenoh through a router.

That is zenohd if $ZENOHD names one, else a Python process in router mode, which is the same Rust code.
"""

import json
import os
import threading
from typing import Any

from ..count import Callback, Handler, Session
from ..load import Headers, Source
from . import Adapter, free_port, python, wait_port

ROUTER = """
import zenoh, threading
config = zenoh.Config()
config.insert_json5("mode", '"router"')
config.insert_json5("listen/endpoints", '["tcp/127.0.0.1:{port}"]')
config.insert_json5("scouting/multicast/enabled", "false")
session = zenoh.open(config)
threading.Event().wait()
"""


class Client(Adapter):
    needs = ("zenoh",)
    headers = True
    channel = True
    """Iterate a channel; else a callback on zenoh's thread."""
    port: int

    def start_broker(self, folder: str) -> None:
        self.port = free_port()
        if daemon := os.environ.get("ZENOHD"):
            argv = [
                daemon,
                "-l",
                f"tcp/127.0.0.1:{self.port}",
                "--no-multicast-scouting",
                "--adminspace-permissions",
                "none",
            ]
        else:
            argv = python(ROUTER.format(port=self.port))
        wait_port(self.port, self.spawn(argv, folder))

    def params(self) -> dict[str, Any]:
        return {"port": self.port}

    def _open(self) -> Any:
        import zenoh

        config = zenoh.Config()
        config.insert_json5("scouting/multicast/enabled", "false")
        config.insert_json5("mode", '"client"')
        config.insert_json5("connect/endpoints", json.dumps([f"tcp/127.0.0.1:{self.port}"]))
        return zenoh.open(config)

    def _publisher(self, session: Any, topic: str) -> Any:
        import zenoh

        # Blocking instead of dropping: loss would make the figures incomparable.
        return session.declare_publisher(_key(topic), congestion_control=zenoh.CongestionControl.BLOCK)

    def _subscribe(self, session: Any, topic: str, callback: Callback) -> Any:
        if self.channel:
            import zenoh

            return session.declare_subscriber(_key(topic), zenoh.handlers.FifoChannel(4096))
        return session.declare_subscriber(
            _key(topic), lambda sample: callback(sample.payload.to_bytes(), _headers(sample))
        )

    def publisher(self, topic: str, source: Source) -> None:
        client = self._open()
        put = self._publisher(client, topic).put
        for batch in source.phases():
            for payload, headers in batch:
                if headers is None:
                    put(payload)
                else:
                    put(payload, attachment=json.dumps(headers))
        client.close()

    def subscriber(self, topic: str, callbacks: list[Callback], session: Session) -> None:
        client = self._open()
        subscriptions = [(self._subscribe(client, topic, callback), callback) for callback in callbacks]
        session.ready()
        self._receive(subscriptions, session)

    def bridge(self, topic: str, out_topic: str, handler: Handler, session: Session) -> None:
        client = self._open()
        put = self._publisher(client, out_topic).put

        def step(payload: bytes, headers: Headers) -> None:
            for result, outgoing in handler(payload, headers):
                if outgoing is None:
                    put(result)
                else:
                    put(result, attachment=json.dumps(outgoing))

        subscription = self._subscribe(client, topic, step)
        session.ready()
        self._receive([(subscription, step)], session)

    def _receive(self, subscriptions: list[tuple[Any, Callback]], session: Session) -> None:
        if not self.channel:
            session.hold()
            return

        def drain(subscription: Any, callback: Callback) -> None:
            for sample in subscription:
                callback(sample.payload.to_bytes(), _headers(sample))

        for pair in subscriptions[1:]:
            threading.Thread(target=drain, args=pair, daemon=True).start()
        drain(*subscriptions[0])

    def idle(self, count: int, session: Session) -> None:
        client = self._open()
        kept = [client.declare_subscriber(f"idle/{number}", lambda sample: None) for number in range(count)]
        session.ready()
        session.hold()
        del kept


def _key(topic: str) -> str:
    return topic.replace(".", "/")


def _headers(sample: Any) -> Headers:
    attachment = sample.attachment
    if attachment is None:
        return None
    headers: dict[str, str] = json.loads(attachment.to_bytes())
    return headers
