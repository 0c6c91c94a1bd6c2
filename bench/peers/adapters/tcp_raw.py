"""The machine's limit in Python: blocking loopback TCP with a length prefix, through a relay that only copies bytes.

`batch` is the number of events in one `send`; paced runs always send one by one.
"""

import socket
import threading
from collections.abc import Iterator
from typing import Any

from ..count import Callback, Handler, Session
from ..load import Source
from . import Adapter, free_port, python, wait_port

PREFIX = 4


def relay(pairs: list[tuple[int, int]]) -> None:
    """For each pair of ports: what comes in on the first goes to everyone connected to the second."""
    threads = [threading.Thread(target=_relay_topic, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _relay_topic(port_in: int, port_out: int) -> None:
    incoming = socket.create_server(("127.0.0.1", port_in))
    outgoing = socket.create_server(("127.0.0.1", port_out))
    receivers: list[socket.socket] = []

    def accept() -> None:
        while True:
            receivers.append(_no_delay(outgoing.accept()[0]))

    def pump(sender: socket.socket) -> None:
        buffer = bytearray(65536)
        view = memoryview(buffer)
        while size := sender.recv_into(buffer):
            for receiver in list(receivers):
                try:
                    receiver.sendall(view[:size])
                except OSError:
                    receivers.remove(receiver)

    threading.Thread(target=accept, daemon=True).start()
    while True:
        threading.Thread(target=pump, args=(_no_delay(incoming.accept()[0]),), daemon=True).start()


def _no_delay(connection: socket.socket) -> socket.socket:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Client(Adapter):
    batch = 1
    ports: dict[str, tuple[int, int]]

    def start_broker(self, folder: str) -> None:
        self.ports = {topic: (free_port(), free_port()) for topic in ("bench.in", "bench.out")}
        code = f"from peers.adapters.tcp_raw import relay; relay({list(self.ports.values())!r})"
        process = self.spawn(python(code), folder)
        for port, _ in self.ports.values():
            wait_port(port, process)

    def params(self) -> dict[str, Any]:
        return {"ports": self.ports}

    def _connect(self, topic: str, side: int) -> socket.socket:
        return _no_delay(socket.create_connection(("127.0.0.1", self.ports[topic][side])))

    def publisher(self, topic: str, source: Source) -> None:
        connection = self._connect(topic, 0)
        for batch in source.phases():
            together = 1 if batch.rate else self.batch
            pending: list[bytes] = []
            for payload, _ in batch:
                pending.append(len(payload).to_bytes(PREFIX, "big") + payload)
                if len(pending) >= together:
                    connection.sendall(b"".join(pending))
                    pending.clear()
            connection.sendall(b"".join(pending))

    def _frames(self, connection: socket.socket) -> Iterator[bytes]:
        read = connection.makefile("rb", 262144).read
        while len(prefix := read(PREFIX)) == PREFIX:
            yield read(int.from_bytes(prefix, "big"))

    def subscriber(self, topic: str, callbacks: list[Callback], session: Session) -> None:
        connections = [self._connect(topic, 1) for _ in callbacks]
        session.ready()

        def receive(connection: socket.socket, callback: Callback) -> None:
            for payload in self._frames(connection):
                callback(payload, None)

        for pair in zip(connections[1:], callbacks[1:], strict=True):
            threading.Thread(target=receive, args=pair, daemon=True).start()
        receive(connections[0], callbacks[0])

    def bridge(self, topic: str, out_topic: str, handler: Handler, session: Session) -> None:
        incoming, outgoing = self._connect(topic, 1), self._connect(out_topic, 0)
        session.ready()
        for frame in self._frames(incoming):
            for payload, _ in handler(frame, None):
                outgoing.sendall(len(payload).to_bytes(PREFIX, "big") + payload)
