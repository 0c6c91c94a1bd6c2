"""NATS core publish/subscribe through nats-server, with nats-py."""

import os
from pathlib import Path
from typing import Any

from ..count import Callback, Handler, Session
from ..load import Source
from . import HAVE_UVLOOP, Adapter, free_port, wait_port


class Client(Adapter):
    needs = ("nats", "$nats-server")
    headers = True
    graceful = True
    uvloop = HAVE_UVLOOP
    port: int

    def start_broker(self, folder: str) -> None:
        self.port = free_port()
        config = Path(folder, "nats.conf")
        # At the default of 64 MiB pending the server drops a subscriber that lags; lifted, to measure without loss.
        config.write_text(f"host: 127.0.0.1\nport: {self.port}\nmax_pending: 2147483648\n")
        wait_port(self.port, self.spawn(["nats-server", "-c", str(config)], folder))

    def params(self) -> dict[str, Any]:
        return {"port": self.port}

    async def _connect(self) -> Any:
        import nats

        return await nats.connect(f"nats://127.0.0.1:{self.port}", max_outstanding_pings=100)

    async def publisher(self, topic: str, source: Source) -> None:
        client = await self._connect()
        publish = client.publish
        async for batch in source.aphases():
            async for payload, headers in batch:
                await publish(topic, payload, headers=headers)
            await client.flush(timeout=120)
        await client.close()

    async def subscriber(self, topic: str, callbacks: list[Callback], session: Session) -> None:
        client = await self._connect()
        for callback in callbacks:

            async def receive(message: Any, callback: Callback = callback) -> None:
                callback(message.data, message.headers)

            await client.subscribe(topic, cb=receive, pending_msgs_limit=-1, pending_bytes_limit=-1)
        await self._serve(client, session)

    async def bridge(self, topic: str, out_topic: str, handler: Handler, session: Session) -> None:
        client = await self._connect()

        async def receive(message: Any) -> None:
            for payload, headers in handler(message.data, message.headers):
                await client.publish(out_topic, payload, headers=headers)

        await client.subscribe(topic, cb=receive, pending_msgs_limit=-1, pending_bytes_limit=-1)
        await self._serve(client, session)

    async def idle(self, count: int, session: Session) -> None:
        client = await self._connect()

        async def receive(message: Any) -> None:
            raise AssertionError(f"nobody publishes here, yet {message.subject} came")

        for number in range(count):
            await client.subscribe(f"idle.{os.getpid()}.{number}", cb=receive)
        await self._serve(client, session)

    async def _serve(self, client: Any, session: Session) -> None:
        await client.flush(timeout=60)
        session.ready()
        await session.until_quit()
        await client.close()
