"""ZeroMQ publish/subscribe through a proxy device in its own process. No high-water mark, so nothing is dropped."""

import threading
import time
from typing import Any

from ..count import Callback, Handler, Session
from ..load import Source
from . import Adapter, free_port, python, wait_port

DEVICE = """
import zmq
context = zmq.Context()
front, back = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
for end, port in ((front, {front}), (back, {back})):
    end.set_hwm(0)
    end.bind(f"tcp://127.0.0.1:{{port}}")
zmq.proxy(front, back)
"""


class Client(Adapter):
    needs = ("zmq",)
    front: int
    back: int

    def start_broker(self, folder: str) -> None:
        self.front, self.back = free_port(), free_port()
        process = self.spawn(python(DEVICE.format(front=self.front, back=self.back)), folder)
        wait_port(self.front, process)
        wait_port(self.back, process)

    def params(self) -> dict[str, Any]:
        return {"front": self.front, "back": self.back}

    def _socket(self, kind: str, port: int) -> Any:
        import zmq

        socket: Any = zmq.Context.instance().socket(getattr(zmq, kind))
        socket.set_hwm(0)
        socket.connect(f"tcp://127.0.0.1:{port}")
        return socket

    def _subscribe(self, topic: str) -> Any:
        socket = self._socket("SUB", self.back)
        socket.subscribe(topic.encode())
        # ZeroMQ does not say when a subscription has reached the device.
        time.sleep(0.3)
        return socket

    def publisher(self, topic: str, source: Source) -> None:
        send, name = self._socket("PUB", self.front).send_multipart, topic.encode()
        time.sleep(0.5)
        for batch in source.phases():
            for payload, _ in batch:
                send((name, payload))

    def subscriber(self, topic: str, callbacks: list[Callback], session: Session) -> None:
        sockets = [self._subscribe(topic) for _ in callbacks]
        session.ready()

        def receive(socket: Any, callback: Callback) -> None:
            while True:
                callback(socket.recv_multipart()[1], None)

        for pair in zip(sockets[1:], callbacks[1:], strict=True):
            threading.Thread(target=receive, args=pair, daemon=True).start()
        receive(sockets[0], callbacks[0])

    def bridge(self, topic: str, out_topic: str, handler: Handler, session: Session) -> None:
        incoming, outgoing, name = self._subscribe(topic), self._socket("PUB", self.front), out_topic.encode()
        time.sleep(0.5)
        session.ready()
        while True:
            for payload, _ in handler(incoming.recv_multipart()[1], None):
                outgoing.send_multipart((name, payload))
