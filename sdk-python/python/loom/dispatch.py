"""From the native client's queue into handlers, at half a microsecond each where they do not suspend.

One callback reads the wake descriptor. Up to ``max_in_flight`` long-lived worker tasks take events from one queue. A
worker whose handlers do not suspend takes event after event without returning to the loop. When it takes an event while
more are queued, it passes the baton: one idle worker is woken and goes on with the queue if the first one suspends. The
callback never waits for a handler, so replies, cancellations and acknowledgements arrive however long handlers take.

Each handler runs in a copy of the agent's ``contextvars`` context: what it sets is gone with it. The worker is a real
``asyncio.Task``, so ``asyncio.timeout``, ``TaskGroup`` and ``current_task`` work inside of a handler.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import math
import select
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from opentelemetry.context import Context as OtelContext

from loom._baggage import handled
from loom._deadlines import Deadlines, Running
from loom._driving import drive, resume
from loom._otel import BAGGAGE_KEY, SPAN_KEY, set_current
from loom._outcome import UNDECIDED, failure_of, record_failure
from loom.handler import Context as HandlerContext
from loom.semconv import attribute
from loom.signals import Retry
from loom.telemetry import forward_logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping

    from opentelemetry import trace

    from loom import _native
    from loom._client import Connection
    from loom._outcome import Failure
    from loom._spans import Spans
    from loom.outgoing import Emitter

__all__ = ["Dispatcher", "Handler", "Work", "handler_of"]

_log = logging.getLogger("loom")

_TAKE = 256
"""Events taken from the native queue at once."""
_SLICE = 0.002
"""Seconds after which a worker lets the loop see to others."""


class Handler(NamedTuple):
    """A function of the user, and how it is called."""

    function: Callable[..., Any]
    is_async: bool
    timeout: float
    """Seconds that it may take."""


def handler_of(function: Callable[..., Any], timeout: float) -> Handler:
    """Look at a function of the user; it may take ``timeout`` seconds."""
    inner: Any = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    if not callable(inner):
        raise TypeError(f"a handler is a function, not {type(inner).__name__}")
    call = inner if inspect.isroutine(inner) or inspect.isclass(inner) else inner.__call__
    if inspect.isasyncgenfunction(call) or inspect.isgeneratorfunction(call):
        raise TypeError(f"{function!r} is a generator: a handler is an async or a plain function")
    return Handler(function, inspect.iscoroutinefunction(call), timeout)


class Work(NamedTuple):
    """What one call of a handler needs."""

    handler: Handler
    arguments: tuple[Any, ...]
    otel: OtelContext


class Dispatcher:
    """Runs handlers. All of it belongs to the event loop's thread."""

    def __init__(
        self,
        connection: Connection,
        handlers: Mapping[int, Handler],
        spans: Spans,
        emitter: Emitter,
        *,
        agent_id: str,
        max_in_flight: int,
    ) -> None:
        self._agent_id = agent_id
        self._baggage = handled(agent_id)
        self._connection = connection
        self._client = connection.client
        self._handlers = handlers
        self._spans = spans
        self._emitter = emitter
        self._max_workers = max_in_flight
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._queue: deque[_native.Event] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._baton = False
        self._is_crowded = False
        self._is_stopping = False
        self._waiting_for_rest: list[asyncio.Future[None]] = []
        self._threads: ThreadPoolExecutor | None = None
        self._stop_watching: Callable[[], object] = _nothing
        self.deadlines = Deadlines(self._loop)
        self.handled = 0
        self.failed = 0
        self.abandoned = 0
        """Functions that went on in their threads when nobody waited for them any more."""

    # ---- start and end ----

    def start(self) -> None:
        """Watch the wake descriptor, and the connection."""
        self._connection.when_lost(self.withdraw)
        descriptor = self._client.fileno()
        try:
            self._loop.add_reader(descriptor, self._on_wake)
        except NotImplementedError:
            self._stop_watching = _watch_in_thread(descriptor, self._loop, self._on_wake)
        else:
            self._stop_watching = functools.partial(self._loop.remove_reader, descriptor)

    async def rest(self) -> None:
        """Wait until no event is queued and no handler runs."""
        while self._queue or self._busy or self._take():
            future: asyncio.Future[None] = self._loop.create_future()
            self._waiting_for_rest.append(future)
            self._pass_baton()
            await future

    async def stop(self) -> None:
        """Cancel the handlers that run, and end."""
        self._is_stopping = True
        for worker in self._workers:
            worker.cancel()
        if self._workers:
            await asyncio.wait(self._workers)
        if self._threads is not None:
            # A thread cannot be cancelled: its function ends when it ends.
            self._threads.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Stop watching the descriptor and the time."""
        self._stop_watching()
        self.deadlines.close()

    def withdraw(self) -> None:
        """Forget what waits here and will be delivered again, since the connection that brought it is gone."""
        queue = self._queue
        kept = [event for event in queue if not self._client.is_withdrawn(event)]
        self._client.release(len(queue) - len(kept))
        # The same object: workers hold it.
        queue.clear()
        queue.extend(kept)

    @property
    def queued(self) -> int:
        """Events that were taken from the native queue and not given to a handler."""
        return len(self._queue)

    @property
    def _busy(self) -> int:
        return len(self._workers) - len(self._idle)

    # ---- taking ----

    def _on_wake(self) -> None:
        self._client.clear_wake()
        if self._take():
            self._pass_baton()

    def _take(self) -> bool:
        """Fill the queue when it is empty; take notices always. True: there is something in the queue."""
        queue = self._queue
        events, notices = self._client.take(0 if queue else _TAKE)
        queue.extend(events)
        if notices is not None:
            self._connection.handle(notices)
        forward_logs()
        return bool(queue)

    def _pass_baton(self) -> None:
        """Wake one idle worker, unless one is on its way already."""
        if self._baton or self._is_stopping or self._busy >= self._max_workers:
            return
        if self._idle:
            self._idle.pop().set_result(None)
        else:
            worker = self._loop.create_task(self._work(), name="loom-worker")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        self._baton = True

    # ---- handling: the hot path ----

    async def _work(self) -> None:
        queue, handle = self._queue, self._handle
        self._baton = False
        slice_end = monotonic() + _SLICE
        while not self._is_stopping:
            if (not queue and not self._take()) or (self._is_crowded and self._is_too_many()):
                await self._wait_for_baton()
                slice_end = monotonic() + _SLICE
                continue
            event = queue.popleft()
            if queue and not self._baton:
                self._pass_baton()
            # Not awaited where the handler does not suspend: that spares a coroutine per event.
            suspended = handle(event)
            if suspended is not None:
                # What came while the queue was not empty has stayed in the client's, and nobody will be woken for it.
                if not queue and not self._baton and self._take():
                    self._pass_baton()
                await suspended
                slice_end = monotonic() + _SLICE
            elif monotonic() > slice_end:
                await asyncio.sleep(0)
                slice_end = monotonic() + _SLICE

    def _handle(self, event: _native.Event) -> Coroutine[Any, Any, None] | None:
        """Run a handler until it suspends, and return what is left of it."""
        carried = event.carried
        baggage = self._baggage if carried is None else handled(self._agent_id, *carried)
        span = self._spans.begin(event, baggage.stamp)
        otel = OtelContext({SPAN_KEY: span, BAGGAGE_KEY: baggage})
        handler = self._handlers[event.subscription]
        run = copy_context().run
        context = HandlerContext(self._emitter, event, span)
        arguments = (context, event.topic, event)
        if not handler.is_async:
            in_thread = self._in_thread(run, Work(handler, arguments, otel))
            return self._rest_of(event, span, in_thread, Running(handler.timeout, context))
        try:
            suspended = run(_start, handler.function, arguments, otel)
        except BaseException as error:  # noqa: BLE001 - see _failed
            failure = UNDECIDED
            try:
                failure = self._failed(span, error, event)
            finally:
                self._spans.finish(span, event, failure)
            return None
        if suspended is None:
            self.handled += 1
            self._spans.finish(span, event)
            return None
        return self._rest_of(event, span, resume(run, *suspended), Running(handler.timeout, context))

    async def _rest_of(self, event: _native.Event, span: trace.Span, rest: Awaitable[object], running: Running) -> None:
        task = running.task = cast("asyncio.Task[None]", asyncio.current_task())
        self.deadlines.enter(running)
        failure: Failure | None = UNDECIDED
        try:
            await rest
            running.check()
            self.handled += 1
            failure = None
        except BaseException as error:  # noqa: BLE001 - see _failed
            if running.is_over:
                span.set_attribute(attribute.EXECUTION_STATE, "TIMEOUT")
            failure = self._failed(span, running.explain(error), event)
        finally:
            self.deadlines.leave(running)
            self._spans.finish(span, event, failure)
            self._uncancel(task)

    def _uncancel(self, task: asyncio.Task[None]) -> None:
        """Forget cancellations left by a handler; before Python 3.13 a TaskGroup that fails leaves one."""
        if not self._is_stopping:
            while task.cancelling():
                task.uncancel()

    async def _wait_for_baton(self) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        self._idle.append(future)
        if self._waiting_for_rest and not self._busy:
            for waiting in self._waiting_for_rest:
                if not waiting.done():
                    waiting.set_result(None)
            self._waiting_for_rest.clear()
        try:
            await future
        finally:
            self._baton = False
            if future in self._idle:
                self._idle.remove(future)

    # ---- handling: what few do ----

    @contextmanager
    def parked(self) -> Generator[None]:
        """Let another handler run in the place of one that waits for further events."""
        self._max_workers += 1
        # Not in this handler's context: a worker that begins now outlives it.
        self._loop.call_soon(self._offer, context=self._context)
        try:
            yield
        finally:
            self._max_workers -= 1
            self._is_crowded = True

    def _offer(self) -> None:
        if self._queue or self._take():
            self._pass_baton()

    def _is_too_many(self) -> bool:
        """Tell whether a worker shall rest, since handlers that were parked have gone on beside its own."""
        self._is_crowded = self._busy > self._max_workers
        return self._is_crowded

    async def run(self, work: Work) -> Any:
        """Run a handler in the caller's task, in a context of its own."""
        run = copy_context().run
        if not work.handler.is_async:
            return await self._in_thread(run, work)
        return await _resume_from_start(run, work)

    async def _in_thread(self, run: Callable[..., Any], work: Work) -> Any:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._max_workers, thread_name_prefix="loom-handler")
        function = self._threads.submit(run, _call, work)
        try:
            result = await asyncio.wrap_future(function, loop=self._loop)
        except asyncio.CancelledError:
            # One that has not begun never will; one that runs cannot be stopped.
            if function.running():
                self.abandoned += 1
            raise
        if asyncio.iscoroutine(result):
            # A function that was not recognised as async: its coroutine runs on the loop, like any other.
            return await _resume_from_start(
                run, Work(Handler(lambda: result, is_async=True, timeout=math.inf), (), work.otel)
            )
        return result

    def _failed(self, span: trace.Span, error: BaseException, event: _native.Event) -> Failure:
        """Tell of a handler's failure, which is its own; raise again what is meant for the agent or the process.

        What is raised again decides nothing about the delivery.
        """
        self.failed += 1
        record_failure(span, error)
        is_cancelled = isinstance(error, asyncio.CancelledError)
        if not isinstance(error, Exception) and not is_cancelled:
            raise error
        if is_cancelled and self._is_stopping:
            _log.warning("the handler of %s (event %s) was cancelled by the agent's stop", event.topic, event.id)
            raise error
        context = span.get_span_context()
        trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
        # Where somebody delivers again, a Retry is the handler's plan: it needs no traceback.
        is_planned = isinstance(error, Retry) and event.offset is not None
        _log.log(
            logging.INFO if is_planned else logging.ERROR,
            "the handler of %s failed on event %s: %s: %s [trace_id=%s span_id=%s]",
            event.topic,
            event.id,
            type(error).__name__,
            error,
            trace_id,
            span_id,
            exc_info=None if is_planned else error,
            extra={"trace_id": trace_id, "span_id": span_id},
        )
        return failure_of(error)


def _start(
    function: Callable[..., Coroutine[Any, Any, Any]], arguments: tuple[Any, ...], otel: OtelContext
) -> tuple[Coroutine[Any, Any, Any], Any] | None:
    """Run a handler up to its first suspension; None when it did not suspend."""
    set_current(otel)
    running = function(*arguments)
    try:
        return running, running.send(None)
    except StopIteration:
        return None


async def _resume_from_start(run: Callable[..., Any], work: Work) -> Any:
    """Run a whole handler and return its result."""

    def start() -> Coroutine[Any, Any, Any]:
        set_current(work.otel)
        return cast("Coroutine[Any, Any, Any]", work.handler.function(*work.arguments))

    return await drive(run, run(start))


def _call(work: Work) -> Any:
    set_current(work.otel)
    return work.handler.function(*work.arguments)


def _nothing() -> None:
    pass


def _watch_in_thread(
    descriptor: int, loop: asyncio.AbstractEventLoop, on_wake: Callable[[], None]
) -> Callable[[], None]:
    """Watch for loops that cannot: one thread sleeps in the kernel and calls into the loop once per batch."""
    over, seen = threading.Event(), threading.Event()

    def wake() -> None:
        on_wake()
        seen.set()

    def watch() -> None:
        while not over.is_set():
            readable, _, _ = select.select([descriptor], [], [], 0.5)
            if readable and not over.is_set():
                seen.clear()
                loop.call_soon_threadsafe(wake)
                seen.wait(1.0)

    threading.Thread(target=watch, name="loom-wake", daemon=True).start()
    return over.set
