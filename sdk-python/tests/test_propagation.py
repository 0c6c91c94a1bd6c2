"""The table of docs/propagation.md: one carrier after the other, each between a handler and a piece of its work.

The trace is read back from the server: the work's span must be the handler's child, and about the same workflow. Each
cell is used twice in a row for different workflows, so that what a pool or a thread remembers would show.
"""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import multiprocessing
import multiprocessing.pool
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import loom
import pytest
from conftest import Bus, SpanView, Traces, eventually
from loom import Context, Event
from loom.semconv import attribute
from opentelemetry import trace

tracer = trace.get_tracer("test.propagation")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "propagation.md"

Carrier = Callable[[Context], Awaitable[object]]
CARRIERS: dict[str, Carrier] = {}


def work(_: object = None) -> None:
    """Do what is to be found in the trace."""
    with tracer.start_as_current_span("work"):
        pass


async def work_later(_: object = None) -> None:
    await asyncio.sleep(0)
    work()


def carrier(name: str) -> Callable[[Carrier], Carrier]:
    def add(function: Carrier) -> Carrier:
        CARRIERS[name] = function
        return function

    return add


@pytest.fixture(scope="module", autouse=True)
def pools() -> Iterator[None]:
    yield
    POOL.shutdown()
    THREADS.close()
    THREADS.join()


def in_thread(function: Callable[[], object]) -> Awaitable[None]:
    """Run in a thread that knows nothing of contexts, not even by instrumentation."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def run() -> None:
        try:
            function()
            loop.call_soon_threadsafe(done.set_result, None)
        except BaseException as error:
            loop.call_soon_threadsafe(done.set_exception, error)

    _thread.start_new_thread(run, ())
    return done


# ---- asyncio ----


@carrier("await")
async def awaited(ctx: Context) -> None:
    await work_later()


@carrier("asyncio.create_task")
async def task(ctx: Context) -> None:
    await asyncio.create_task(work_later())


@carrier("asyncio.gather")
async def gathered(ctx: Context) -> None:
    await asyncio.gather(asyncio.sleep(0), work_later())


@carrier("asyncio.TaskGroup")
async def grouped(ctx: Context) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(work_later())


@carrier("asyncio.wait_for, asyncio.timeout")
async def timed(ctx: Context) -> None:
    async with asyncio.timeout(5):
        await asyncio.wait_for(work_later(), 5)


@carrier("loop.call_soon, call_later")
async def called_soon(ctx: Context) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def last() -> None:
        work()
        done.set_result(None)

    loop.call_soon(loop.call_later, 0, last)
    await done


@carrier("Future.add_done_callback")
async def future_callback(ctx: Context) -> None:
    loop = asyncio.get_running_loop()
    first, done = loop.create_future(), loop.create_future()

    def last(_: object) -> None:
        work()
        done.set_result(None)

    first.add_done_callback(last)
    loop.call_soon(first.set_result, None)
    await done


@carrier("a task that goes on after its handler")
async def left_behind(ctx: Context) -> None:
    async def later() -> None:
        while ctx.span.is_recording():  # noqa: ASYNC110 - nothing tells of a span's end
            await asyncio.sleep(0)
        work()

    LEFT_BEHIND.append(asyncio.create_task(later()))


LEFT_BEHIND: list[asyncio.Task[None]] = []


# ---- threads ----


@carrier("asyncio.to_thread")
async def to_thread(ctx: Context) -> None:
    await asyncio.to_thread(work)


@carrier("loop.run_in_executor")
async def in_executor(ctx: Context) -> None:
    await asyncio.get_running_loop().run_in_executor(None, work)


POOL = ThreadPoolExecutor(1)


@carrier("ThreadPoolExecutor.submit")
async def submitted(ctx: Context) -> None:
    await asyncio.wrap_future(POOL.submit(work))


@carrier("ThreadPoolExecutor.map")
async def mapped(ctx: Context) -> None:
    list(POOL.map(work, [None]))


@carrier("threading.Thread")
async def thread(ctx: Context) -> None:
    one = threading.Thread(target=work)
    one.start()
    one.join()


@carrier("threading.Timer")
async def timer(ctx: Context) -> None:
    one = threading.Timer(0, work)
    one.start()
    one.join()


@carrier("multiprocessing.pool.ThreadPool")
async def thread_pool(ctx: Context) -> None:
    THREADS.apply_async(work).get(10)


THREADS = multiprocessing.pool.ThreadPool(1)


@carrier("another event loop in a thread")
async def nested_loop(ctx: Context) -> None:
    await asyncio.to_thread(asyncio.run, work_later())


@carrier("asyncio.run_coroutine_threadsafe from a thread")
async def back_to_the_loop(ctx: Context) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(work_later(), loop).result(10))


@carrier("ctx.blocking in a thread")
async def blocking(ctx: Context) -> None:
    def run() -> None:
        with tracer.start_as_current_span("work"):
            ctx.blocking.emit("propagation.nobody")

    await asyncio.to_thread(run)


@carrier("contextvars.copy_context().run")
async def copied(ctx: Context) -> None:
    context = contextvars.copy_context()
    await in_thread(lambda: context.run(work))


@carrier("loom.carried: a callback of a foreign thread")
async def carried(ctx: Context) -> None:
    await in_thread(loom.carried(work))


# ---- generators ----


@carrier("a generator, loom.traced")
async def generator(ctx: Context) -> None:
    @loom.traced("work")
    def items() -> Iterator[int]:
        assert trace.get_current_span() is not ctx.span
        yield 1
        yield 2

    for _ in items():
        assert trace.get_current_span() is ctx.span


@carrier("an async generator, loom.traced")
async def async_generator(ctx: Context) -> None:
    @loom.traced("work")
    async def items() -> AsyncIterator[int]:
        assert trace.get_current_span() is not ctx.span
        yield 1
        await asyncio.sleep(0)
        yield 2

    async for _ in items():
        assert trace.get_current_span() is ctx.span


async def spanned_items() -> AsyncIterator[int]:
    with tracer.start_as_current_span("work"):
        yield 1
        await asyncio.sleep(0)
        yield 2


@carrier("an async generator with a span around its yield, loom.aiter")
async def iterated(ctx: Context) -> None:
    async for _ in loom.aiter(spanned_items()):
        assert trace.get_current_span() is ctx.span


@carrier("the same, left early")
async def left_early(ctx: Context) -> None:
    async with loom.aiter(spanned_items()) as items:
        async for _ in items:
            break
    assert trace.get_current_span() is ctx.span


@carrier("the same, closed by another task")
async def closed_elsewhere(ctx: Context) -> None:
    items = loom.aiter(spanned_items())
    await anext(items)
    await asyncio.create_task(items.aclose())
    assert trace.get_current_span() is ctx.span


@carrier("the same, made here and read by another task")
async def read_elsewhere(ctx: Context) -> None:
    items = loom.aiter(spanned_items())

    async def read() -> None:
        with tracer.start_as_current_span("reader"):
            async for _ in items:
                pass

    await asyncio.create_task(read())


# ---- processes ----


def process(method: str) -> Carrier:
    async def run(ctx: Context) -> None:
        context: Any = multiprocessing.get_context(method)
        child: BaseProcess = context.Process(target=work)
        child.start()
        await asyncio.to_thread(child.join, 30)
        assert child.exitcode == 0

    return run


def process_pool(method: str) -> Carrier:
    async def run(ctx: Context) -> None:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            # The worker begins with somebody else's task.
            with loom.context(workflow_id="of another"), tracer.start_as_current_span("another"):
                await asyncio.wrap_future(pool.submit(os.getpid))
            await asyncio.get_running_loop().run_in_executor(pool, work)

    return run


for method in ("fork", "spawn", "forkserver"):
    carrier(f"multiprocessing.Process, {method}")(process(method))
    carrier(f"ProcessPoolExecutor, {method}")(process_pool(method))


@carrier("multiprocessing.Pool")
async def pool(ctx: Context) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        await asyncio.to_thread(workers.map, work, [None])
        workers.close()
        await asyncio.to_thread(workers.join)


@carrier("os.fork")
async def forked(ctx: Context) -> None:
    child = os.fork()
    if child == 0:
        try:
            work()
            loom.shutdown_telemetry()
        finally:
            os._exit(0)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert status == 0


CHILD = """
import loom
from opentelemetry import trace

loom.init_telemetry("child")
with loom.from_environment(), trace.get_tracer("child").start_as_current_span("work"):
    pass
"""


@carrier("subprocess, loom.to_environment")
async def environment(ctx: Context) -> None:
    given = {**os.environ, **SERVER, **loom.to_environment()}
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", CHILD], env=given, check=True, timeout=30)


SERVER: dict[str, str] = {}


# ---- the test ----


@pytest.mark.parametrize("name", CARRIERS)
async def test_carrier(name: str, bus: Bus, traces: Traces) -> None:
    SERVER.update(bus.server.environment)
    topic = bus.names.topic("carry")
    seen: list[tuple[str, str]] = []
    errors: list[BaseException] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        try:
            await CARRIERS[name](ctx)
            assert trace.get_current_span() is ctx.span
        except BaseException as error:
            errors.append(error)
            raise
        finally:
            context = ctx.span.get_span_context()
            seen.append((f"{context.trace_id:032x}", f"{context.span_id:016x}"))

    agent = await bus.started("carrier", topics=[topic], on_event=handle)
    sender = await bus.started("sender")
    workflows = ("first", "second")
    for number, workflow in enumerate(workflows, start=1):
        with loom.context(workflow_id=workflow, user_id="u"):
            await sender.emit(topic)
        await eventually(partial(has, seen, number), patience=40)
    assert errors == []
    for workflow, (trace_id, handler) in zip(workflows, seen, strict=True):
        found = await work_of(traces, trace_id)
        expected = {attribute.AGENT: agent.agent_id, attribute.WORKFLOW_ID: workflow, attribute.USER_ID: "u"}
        assert found.parent == handler
        assert found.tags.items() >= expected.items()


def has(seen: list[Any], count: int) -> bool:
    return len(seen) == count


async def work_of(traces: Traces, trace_id: str) -> SpanView:
    async def look() -> list[SpanView]:
        return [span for span in await asyncio.to_thread(traces.get, trace_id) if span.name == "work"]

    try:
        (found,) = await eventually(look)
    except AssertionError:
        names = [(span.name, span.parent) for span in traces.get(trace_id)]
        raise AssertionError(f"no span 'work' in {trace_id}: {names}") from None
    return found  # type: ignore[no-any-return]


async def test_what_is_submitted_outside_of_any_context_has_none(bus: Bus) -> None:
    """After a handler has used them, a pool's threads belong to nobody."""
    topic = bus.names.topic("outside")
    done = asyncio.Event()

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        await asyncio.wrap_future(POOL.submit(work))
        THREADS.apply(work)
        done.set()

    await bus.started("carrier", topics=[topic], on_event=handle)
    sender = await bus.started("sender")
    with loom.context(workflow_id="w"):
        await sender.emit(topic)
    await asyncio.wait_for(done.wait(), 10)

    def look() -> tuple[bool, str | None]:
        return trace.get_current_span().get_span_context().is_valid, loom.get_current_context().workflow_id

    assert POOL.submit(look).result(10) == (False, None)
    assert THREADS.apply(look) == (False, None)


def test_the_page_lists_each_carrier() -> None:
    listed = re.findall(r"^\| ([^|]+?) \| (?:by itself|Loom|`loom)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(name.replace("`", "") for name in listed) == sorted(CARRIERS)
