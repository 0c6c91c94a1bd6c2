"""An agent: an id, subscriptions, capabilities, and a connection to the bus."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import uuid
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from loom import _native
from loom._callbacks import guarded
from loom._client import Connection
from loom._deadlines import HANDLER_TIMEOUT, check_seconds
from loom._otel import current_source
from loom._running import until_signalled, within
from loom._spans import spans_for
from loom._stats import counted
from loom.actions import ActionServer, Capability
from loom.config import Qos, Settings
from loom.contract import Bidder, Contracts
from loom.dispatch import Dispatcher, Handler, handler_of
from loom.exceptions import InvalidAgent, LoomError
from loom.identity import current_agent
from loom.instrument import OPIK, prepare_process
from loom.join import Join
from loom.opik import in_opik_traces
from loom.outgoing import DEFAULT_TIMEOUT, Emitter, Outgoing
from loom.subscription import Subscription, acknowledged, check_pattern
from loom.telemetry import forward_logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from loom._client import ConnectionChange
    from loom.handler import Context
    from loom.join import By
    from loom.subscription import Acknowledged, Start

    EventHandler = Callable[[Context, str, _native.Event], Any]
    ActionHandler = Callable[[Context, Any], Any]

__all__ = ["Agent"]

_log = logging.getLogger("loom")

H = TypeVar("H", bound="Callable[..., Any]")

_INBOX_CAPACITY = 4096
"""Replies that wait on the server: as many as an agent may have requests open."""
_SPAN_FLUSH = 2.0
"""Seconds that a stop waits for spans at most: a collector that is away must not delay it further."""


class Agent(Outgoing):
    """Receives events, provides capabilities, emits and calls.

    ``on_event`` receives the events of ``topics``; more handlers are added with ``@agent.on(...)`` and
    ``@agent.capability(...)`` before the start. Handlers are ``async def handler(ctx, topic, event)``; a plain function
    runs in a thread. Up to ``max_in_flight`` of them run at once, each for at most ``timeout`` seconds (30;
    ``math.inf`` for no limit).

    The agent says every ``heartbeat`` seconds that it lives, and the server takes it for lost after
    ``heartbeat_timeout`` seconds of silence; 0 leaves it to the server's settings, 5 s and 30 s.

    ``instrument`` names the libraries whose calls are recorded (see ``loom.instrument``); without it these are the LLM
    clients whose instrumentation is installed.
    """

    __slots__ = (
        "_actions",
        "_capabilities",
        "_connection",
        "_contracts",
        "_dispatcher",
        "_is_in_opik",
        "_is_stopping",
        "_on_connection",
        "_on_error",
        "_settings",
        "_spans",
        "_subscriptions",
        "_timeout",
        "agent_id",
        "instance_id",
    )

    def __init__(
        self,
        agent_id: str,
        *,
        topics: Iterable[str] = (),
        on_event: EventHandler | None = None,
        qos: Qos | str = Qos.BATCHED,
        ack: bool = False,
        group: str | None = None,
        max_attempts: int = 0,
        timeout: float = 0.0,
        start: Start | None = None,
        address: str | None = None,
        token: str | None = None,
        max_in_flight: int = 64,
        credit: int = 1024,
        buffer_bytes: int = 8 * 1024 * 1024,
        emit_timeout: float | None = None,
        stop_timeout: float = 5.0,
        heartbeat: float = 0.0,
        heartbeat_timeout: float = 0.0,
        capture_content: bool | None = None,
        instrument: Iterable[str] | None = None,
        on_error: Callable[[LoomError], None] | None = None,
        on_connection: Callable[[ConnectionChange], None] | None = None,
    ) -> None:
        if not _native.is_valid_agent_id(agent_id):
            raise InvalidAgent(
                f"agent id {agent_id!r} is not valid: use 1 to 128 letters, digits, _, . and -", field="hello.agent_id"
            )
        self.agent_id = agent_id
        self.instance_id = uuid.uuid4().hex
        self._settings = Settings.from_environment(
            address=address,
            token=token,
            max_in_flight=max_in_flight,
            credit=credit,
            buffer_bytes=buffer_bytes,
            emit_timeout=emit_timeout,
            stop_timeout=stop_timeout,
            heartbeat=heartbeat,
            heartbeat_timeout=heartbeat_timeout,
            capture_content=capture_content,
        )
        check_seconds("timeout", timeout)
        self._timeout = timeout
        self._subscriptions: list[Subscription] = []
        self._capabilities: dict[str, Capability] = {}
        self._on_error = on_error
        self._on_connection = on_connection
        self._event = None
        self._connection: Connection | None = None
        self._dispatcher: Dispatcher | None = None
        self._actions: ActionServer | None = None
        self._is_stopping = False
        self._contracts = Contracts(self.instance_id)
        self._spans = spans_for(agent_id, self.instance_id)
        names = None if instrument is None else set(instrument)
        self._is_in_opik = OPIK in (names or ())
        prepare_process(names, records=self._spans.are_recorded, captures=self._settings.capture_content)
        patterns = [topics] if isinstance(topics, str) else list(topics)
        if patterns and on_event is None:
            raise InvalidAgent("topics were given without on_event: who shall handle their events?")
        if on_event is not None and not patterns:
            raise InvalidAgent("on_event was given without topics: which events shall it handle?")
        if on_event is not None:
            self.on(*patterns, qos=qos, ack=ack, group=group, max_attempts=max_attempts, start=start)(on_event)
        elif ack or group or max_attempts or start is not None:
            raise InvalidAgent("ack or its options were given without topics: which events are meant?")

    # ---- definition ----

    def on(
        self,
        *patterns: str,
        qos: Qos | str = Qos.BATCHED,
        capacity: int = 0,
        ack: bool = False,
        group: str | None = None,
        max_attempts: int = 0,
        timeout: float = 0.0,
        start: Start | None = None,
    ) -> Callable[[H], H]:
        """Subscribe a handler to topics or patterns (``*`` is one segment, a last ``>`` one or more).

        ``capacity`` is the size of the mailbox on the server, in events; 0 means the default of the QoS. An event that
        two subscriptions of an agent want is delivered twice.

        A handler may take ``timeout`` seconds, 0 means as many as the agent's may; then it is cancelled, and its span
        says TIMEOUT. A plain function cannot be cancelled: ``ctx.is_cancelled`` tells it.

        With ``ack`` the events come from the stream that keeps them, and come again until a handler has handled them:
        it acknowledges by returning. ``raise loom.Retry(delay=seconds)``, or any other exception, asks for another
        attempt, ``raise loom.Reject("why")`` for none. ``qos`` and ``capacity`` do not apply.

        Agents that name the same ``group`` share the events; without one the agent has all of them for itself. After
        ``max_attempts`` attempts an event is a dead letter; 0 means the server's default. The server delivers again
        what has no outcome after ``timeout`` seconds, its wait in the agent included. A group that has not been there
        before begins with ``start``: with ``"all"`` that the stream has, with what is ``"new"``, with the event at an
        offset, or with the first that the server took at a time or after it: a ``datetime`` with a zone, or text like
        ``"2026-11-01T00:00:00Z"``.
        """
        self._check_not_started("subscriptions")
        kind = Qos.of(qos)
        check_seconds("timeout", timeout)
        for pattern in patterns:
            check_pattern(pattern)
        share = acknowledged(
            ack=ack,
            group=group,
            max_attempts=max_attempts,
            timeout=timeout or self._timeout,
            start=start,
            max_in_flight=self._settings.max_in_flight,
        )

        def register(function: H) -> H:
            handler = self._handler(function, timeout)
            self._subscriptions.extend(Subscription(pattern, kind, capacity, share, handler) for pattern in patterns)
            return function

        return register

    def capability(
        self, name: str, *, description: str = "", input_schema: Mapping[str, Any] | None = None, timeout: float = 0.0
    ) -> Callable[[H], H]:
        """Provide a capability: ``async def handler(ctx, args)`` returns the result, as JSON or bytes.

        It may take ``timeout`` seconds as handlers of events may, and no longer than its caller waits.
        """
        self._check_not_started("capabilities")
        check_seconds("timeout", timeout)
        if not _native.is_valid_capability(name):
            raise InvalidAgent(
                f"capability {name!r} is not valid: use 1 to 128 letters, digits, _, . and -",
                field="hello.capabilities",
            )
        if name in self._capabilities:
            raise InvalidAgent(f"capability {name} stands twice", field="hello.capabilities")
        schema = json.dumps(input_schema) if input_schema is not None else ""

        def register(function: H) -> H:
            text = description or inspect.getdoc(function) or ""
            self._capabilities[name] = Capability(name, self._handler(function, timeout), text, schema)
            return function

        return register

    def join(
        self,
        *patterns: str,
        by: By = "correlation_id",
        timeout: float = DEFAULT_TIMEOUT,
        ack: bool = False,
        group: str | None = None,
        max_attempts: int = 0,
    ) -> Callable[[H], H]:
        """Handle events that belong together by one call: ``async def handler(ctx, joined)``.

        It is called when an event of each pattern has come with the same ``correlation_id``, or ``thread_id``, or
        ``timeout`` seconds after the first one with those that are there: ``joined.missing`` tells. ``ctx`` is that of
        the last event, and its span is linked to all of them.

        With ``ack`` all of them come again until the handler has handled them. Each pattern has a group of its own
        then, named after ``group`` and its place.
        """
        self._check_not_started("subscriptions")

        def register(function: H) -> H:
            join = Join(function, patterns, by, timeout, ack=ack)
            for number, pattern in enumerate(patterns, start=1):
                own_group = f"{group or self.agent_id}.{number}" if ack else group
                # It begins with the event's arrival: the waiting must not use up the handler's time.
                limit = timeout + (self._timeout or HANDLER_TIMEOUT)
                self.on(pattern, ack=ack, group=own_group, max_attempts=max_attempts, timeout=limit)(
                    join.handler(pattern)
                )
            return function

        return register

    def contractor(
        self,
        *patterns: str,
        bid: Callable[[Context, Any], Any],
        perform: Callable[[Context, Any, Any], Any],
        qos: Qos | str = Qos.BATCHED,
    ) -> None:
        """Take part in contract nets: bid for tasks on these topics, and perform those that are awarded.

        ``bid(ctx, task)`` returns what this agent would do the task for, or None where it does not want it; a bid
        reserves nothing and may never be awarded. ``perform(ctx, task, bid)`` does the work and returns its result, as
        JSON or bytes. Both are async or plain functions; a plain one runs in a thread. See ``call_for_proposals``.
        """
        bidder = Bidder(self._contracts, bid, perform)
        self.on(*patterns, qos=qos)(bidder.on_cfp)
        if self._contracts.capability not in self._capabilities:
            self.capability(self._contracts.capability, description="takes the awards of this process' bids")(
                self._contracts.award
            )

    def _handler(self, function: Callable[..., Any], timeout: float) -> Handler:
        if self._is_in_opik:
            function = in_opik_traces(function)
        return handler_of(function, self._limit(timeout))

    def _limit(self, timeout: float) -> float:
        return timeout or self._timeout or HANDLER_TIMEOUT

    # ---- life ----

    async def start(self) -> None:
        """Connect, and return when the server has welcomed this agent; waits until there is a server.

        Raises:
            AgentIdInUse: Another process is connected under this id.
            InvalidAgent: The server does not take this agent's definition.
            PermissionDenied: The token is missing or wrong.

        """
        if self._connection is not None:
            raise LoomError(f"agent {self.agent_id} is started already", code="invalid_agent_id")
        loop = asyncio.get_running_loop()
        inbox_id = len(self._subscriptions) + 1
        inbox = f"_inbox.{self.instance_id}"
        subscriptions: list[tuple[int, str, int, int, Acknowledged | None]] = [
            (number, wanted.pattern, int(wanted.qos), wanted.capacity, wanted.acknowledged)
            for number, wanted in enumerate(self._subscriptions, start=1)
        ]
        # What stands below _inbox. needs no credit: replies overtake the events whose handlers wait for them. Realtime,
        # because nobody who replies shall wait for an agent that does not take its replies.
        subscriptions.append((inbox_id, inbox, int(Qos.REALTIME), _INBOX_CAPACITY, None))
        client = _native.Client(
            agent_id=self.agent_id,
            instance_id=self.instance_id,
            address=self._settings.address,
            token=self._settings.token,
            subscriptions=subscriptions,
            reply_subscription=inbox_id,
            capabilities=[(c.name, c.description, c.input_schema) for c in self._capabilities.values()],
            credit=self._settings.credit,
            byte_limit=self._settings.buffer_bytes,
            source=self._spans.source,
            client=f"loom-python/{_native.__version__}",
            heartbeat_ms=self._settings.heartbeat_ms,
        )
        self._spans.bind(client)
        connection = Connection(
            client,
            loop,
            agent_id=self.agent_id,
            address=self._settings.address,
            on_error=guarded(self._on_error, f"on_error of agent {self.agent_id}"),
            on_connection=guarded(self._on_connection, f"on_connection of agent {self.agent_id}"),
        )
        emitter = Emitter(
            connection,
            self._spans,
            inbox=inbox,
            emit_timeout=self._settings.emit_timeout,
            capture_content=self._settings.capture_content,
        )
        self._contracts.bind(emitter)
        handlers = {number: wanted.handler for number, wanted in enumerate(self._subscriptions, start=1)}
        dispatcher = Dispatcher(
            connection,
            handlers,
            self._spans,
            emitter,
            agent_id=self.agent_id,
            max_in_flight=self._settings.max_in_flight,
        )
        emitter.parked = dispatcher.parked
        actions = ActionServer(self.agent_id, self._capabilities, dispatcher, self._spans, emitter)
        connection.serve_calls(actions)
        self._connection, self._dispatcher, self._actions, self._emitter = connection, dispatcher, actions, emitter
        self._is_stopping = False
        recording = current_source.get()
        if recording is None or not recording.is_usable:
            current_source.set(self._spans.source)
        if current_agent.get() is None:
            current_agent.set(self.agent_id)
        dispatcher.start()
        client.start()
        try:
            await connection.connected()
        except BaseException:
            await self._close(monotonic())
            raise

    async def stop(self) -> None:
        """Let handlers end, send what is waiting, say goodbye, flush spans; within ``stop_timeout`` seconds.

        What could not be finished is counted and logged.
        """
        if self._connection is None or self._is_stopping:
            return
        self._is_stopping = True
        connection, dispatcher, actions = self._parts()
        deadline = monotonic() + self._settings.stop_timeout
        connection.client.freeze()
        # Three quarters for handlers, and the rest for what they have left behind.
        await within((deadline - monotonic()) * 0.75, _all_rest(dispatcher, actions))
        await actions.stop()
        await dispatcher.stop()
        if connection.is_connected:
            await within(deadline - monotonic(), connection.flushed())
            connection.client.leave()
            await within(max(0.1, deadline - monotonic()), asyncio.shield(connection.closed))
        await self._close(deadline)

    async def _close(self, deadline: float) -> None:
        connection, dispatcher, actions = self._parts()
        await actions.stop()
        await dispatcher.stop()
        unconfirmed, unhandled = connection.client.abandon()
        dispatcher.withdraw()
        unhandled += dispatcher.queued
        connection.fail_all(LoomError("the agent has been stopped", code="unavailable"))
        dispatcher.close()
        self._connection = None
        if current_agent.get() == self.agent_id:
            current_agent.set(None)
            current_source.set(None)
        if unconfirmed or unhandled:
            _log.warning(
                "agent %s stopped with %d published events unconfirmed and %d received events unhandled",
                self.agent_id,
                unconfirmed,
                unhandled,
            )
        if self._spans.source is not None:
            patience = min(_SPAN_FLUSH, max(0.1, deadline - monotonic()))
            await asyncio.get_running_loop().run_in_executor(None, _native.flush_spans, patience)
        forward_logs()

    async def flush(self) -> None:
        """Wait until every event emitted so far is settled by the server."""
        await self._started().flushed()

    async def wait_closed(self) -> None:
        """Wait until the agent is stopped; raise when the server has refused it for good."""
        connection = self._started()
        await asyncio.shield(connection.closed)
        if connection.refused is not None:
            raise connection.refused

    def run(self, main: Callable[[Agent], Awaitable[object]] | None = None) -> int:
        """Start, run until SIGINT or SIGTERM (or until ``main`` returns), and stop. Blocks; returns the exit code.

        A second signal ends the process at once.
        """
        with asyncio.Runner() as runner:
            return runner.run(until_signalled(self.agent_id, self._live(main), self.stop))

    async def _live(self, main: Callable[[Agent], Awaitable[object]] | None) -> None:
        await self.start()
        if main is not None:
            await main(self)
        else:
            await self.wait_closed()

    async def __aenter__(self) -> Agent:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    # ---- looking at it ----

    @property
    def is_connected(self) -> bool:
        """A stream to the server is open."""
        return self._connection is not None and self._connection.is_connected

    def stats(self) -> dict[str, int]:
        """Count what went through this agent since its start."""
        return counted(*self._parts()[:2], self._contracts)

    def __repr__(self) -> str:
        state = "connected" if self.is_connected else "not connected"
        return f"Agent({self.agent_id!r}, {state})"

    def __getattr__(self, name: str) -> Any:
        if name == "_emitter":
            raise LoomError(f"agent {self.agent_id} is not started: await agent.start() first", code="unavailable")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _started(self) -> Connection:
        if self._connection is None:
            raise LoomError(f"agent {self.agent_id} is not started: await agent.start() first", code="unavailable")
        return self._connection

    def _parts(self) -> tuple[Connection, Dispatcher, ActionServer]:
        connection = self._started()
        assert self._dispatcher is not None  # noqa: S101 - set together with the connection
        assert self._actions is not None  # noqa: S101
        return connection, self._dispatcher, self._actions

    def _check_not_started(self, what: str) -> None:
        if self._connection is not None:
            raise LoomError(f"agent {self.agent_id} is started already: {what} come before it", code="invalid_agent_id")


async def _all_rest(dispatcher: Dispatcher, actions: ActionServer) -> None:
    await dispatcher.rest()
    await actions.rest()
