"""NATS JetStream with file storage: publishes are acknowledged by the server, consumers pull and acknowledge.

By default the server does not sync its files before it acknowledges; it is measured as it is.
"""

import asyncio
import os
from collections import deque
from pathlib import Path
from typing import Any

from ..count import Callback, Handler, Session
from ..load import Source
from . import HAVE_UVLOOP, Adapter, free_port, wait_port

PENDING = 4096
"""Publishes without acknowledgement: as many as Loom's window."""
FETCH = 256
"""Messages asked for at once."""


class Client(Adapter):
    needs = ("nats", "$nats-server")
    headers = True
    graceful = True
    uvloop = HAVE_UVLOOP
    port: int

    def start_broker(self, folder: str) -> None:
        self.port = free_port()
        config = Path(folder, "nats.conf")
        store = Path(folder, "jetstream")
        config.write_text(f'host: 127.0.0.1\nport: {self.port}\njetstream {{ store_dir: "{store}" }}\n')
        wait_port(self.port, self.spawn(["nats-server", "-c", str(config)], folder))

    def params(self) -> dict[str, Any]:
        return {"port": self.port}

    async def _connect(self) -> tuple[Any, Any]:
        import nats
        from nats.js.errors import BadRequestError

        client = await nats.connect(f"nats://127.0.0.1:{self.port}", max_outstanding_pings=100)
        jetstream = client.jetstream(publish_async_max_pending=PENDING, timeout=60)
        try:
            await jetstream.add_stream(name="bench", subjects=["bench.>"])
        except BadRequestError:
            # Another role was first.
            await jetstream.stream_info("bench")
        return client, jetstream

    async def publisher(self, topic: str, source: Source) -> None:
        client, jetstream = await self._connect()
        pending: deque[Any] = deque()
        async for batch in source.aphases():
            async for payload, headers in batch:
                pending.append(await jetstream.publish_async(topic, payload, headers=headers))
                while pending and pending[0].done():
                    pending.popleft().result()
            while pending:
                await pending.popleft()
        await client.close()

    async def subscriber(self, topic: str, callbacks: list[Callback], session: Session) -> None:
        client, jetstream = await self._connect()
        pulls = []
        for number, callback in enumerate(callbacks):

            async def receive(message: Any, callback: Callback = callback) -> None:
                callback(message.data, message.headers)

            pulls.append(await self._pull(jetstream, topic, f"subscriber-{os.getpid()}-{number}", receive))
        await self._serve(client, pulls, session)

    async def bridge(self, topic: str, out_topic: str, handler: Handler, session: Session) -> None:
        client, jetstream = await self._connect()

        async def receive(message: Any) -> None:
            for payload, headers in handler(message.data, message.headers):
                await jetstream.publish(out_topic, payload, headers=headers)

        await self._serve(client, [await self._pull(jetstream, topic, "processor", receive)], session)

    async def _pull(self, jetstream: Any, topic: str, durable: str, receive: Any) -> Any:
        subscription = await jetstream.pull_subscribe(topic, durable=durable)

        async def pull() -> None:
            while True:
                try:
                    messages = await subscription.fetch(FETCH, timeout=1)
                except TimeoutError:
                    continue
                for message in messages:
                    await receive(message)
                    await message.ack()

        return asyncio.create_task(pull())

    async def _serve(self, client: Any, pulls: list[Any], session: Session) -> None:
        session.ready()
        await session.until_quit()
        for pull in pulls:
            pull.cancel()
        await client.close()
