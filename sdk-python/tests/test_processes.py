"""Processes that are interrupted, fork, end, and have no collector."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from typing import Any

import pytest
from conftest import Bus, RunScript, Traces, chain, eventually, start_script
from loom import Context, Event
from loom.testing import LoomServer

RUN = """
    import asyncio, sys, loom
    agent = loom.Agent(sys.argv[1], topics=[sys.argv[2]], on_event=lambda ctx, topic, event: None)

    @agent.on(sys.argv[2] + ".more")
    async def handle(ctx, topic, event):
        await ctx.emit(sys.argv[3], payload=event.payload)

    async def main(agent):
        print("READY", flush=True)
        await agent.wait_closed()

    sys.exit(agent.run(main))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_run_ends_cleanly_on_a_signal(bus: Bus, traces: Traces, number: signal.Signals) -> None:
    answer = bus.names.topic("answer")
    ids: list[Any] = []

    async def keep(ctx: Context, topic: str, event: Event) -> None:
        ids.append(event.envelope.trace_id)

    await bus.started("keeper", topics=[answer], on_event=keep)
    sender = await bus.started("sender")
    topic = bus.names.topic("run")
    process = start_script(RUN, bus.server.environment, bus.names.agent("run"), topic, answer)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "READY\n"
        for _ in range(20):
            await sender.emit(f"{topic}.more")
        await sender.flush()
        await eventually(lambda: ids)
        process.send_signal(number)
        out, err = await asyncio.to_thread(process.communicate, timeout=15)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out, err) == (0, "", "")
    await eventually(lambda: len(ids) == 20)
    for trace_id in ids:
        chain(await traces.whole(trace_id, 8))


def test_a_second_signal_ends_the_process_at_once(server: LoomServer, names: object) -> None:
    script = """
        import asyncio, sys, loom
        agent = loom.Agent("stubborn", topics=["stubborn.>"], on_event=lambda *a: None, stop_timeout=60)

        @agent.on("stubborn.event")
        async def handle(ctx, topic, event):
            print("STUCK", flush=True)
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    pass

        async def main(agent):
            await agent.emit("stubborn.event")
            await agent.wait_closed()

        agent.run(main)
    """
    process = start_script(script, server.environment)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "STUCK\n"
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.3)
            raise AssertionError("the first signal should have waited for the handler")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
    finally:
        process.kill()
        process.communicate()


def test_run_raises_what_the_server_refuses(run_script: RunScript) -> None:
    done = run_script("""
        import asyncio, loom
        async def main():
            async with loom.Agent("twice"):
                await asyncio.to_thread(second)
        def second():
            try:
                loom.Agent("twice").run()
            except loom.AgentIdInUse as error:
                print(error.code)
        # Signals belong to the main thread: only one of the two may be run() here.
        import threading, signal
        loop = asyncio.new_event_loop()
        first = loom.Agent("twice")
        loop.run_until_complete(first.start())
        second()
        loop.run_until_complete(first.stop())
        loop.close()
    """)
    assert (done.code, done.out.strip()) == (0, "agent_id_in_use"), done.err


def test_main_s_end_is_the_agent_s(run_script: RunScript) -> None:
    done = run_script("""
        import loom
        async def main(agent):
            await agent.emit("main.topic", confirm=True)
            print(agent.stats()["settled"])
        print(loom.Agent("with-main").run(main))
        async def broken(agent):
            raise RuntimeError("of main")
        try:
            loom.Agent("with-main").run(broken)
        except RuntimeError as error:
            print(error)
    """)
    assert (done.code, done.out.split("\n")[:3]) == (0, ["1", "0", "of main"]), done.err


async def test_what_was_emitted_leaves_the_process_without_a_stop(
    bus: Bus, traces: Traces, run_script: RunScript
) -> None:
    """The program just ends: no stop, no flush."""
    topic = bus.names.topic("exit")
    seen: list[Any] = []

    async def keep(ctx: Context, topic: str, event: Event) -> None:
        seen.append(event.envelope.trace_id)

    await bus.started("keeper", topics=[topic], on_event=keep)
    done = await asyncio.to_thread(
        run_script,
        """
        import asyncio, sys, loom
        from opentelemetry import trace
        async def main():
            agent = loom.Agent(sys.argv[1])
            await agent.start()
            with trace.get_tracer("t").start_as_current_span("last words") as span:
                for _ in range(500):
                    await agent.emit(sys.argv[2])
        asyncio.run(main())
        """,
        bus.names.agent("exit"),
        topic,
    )
    assert (done.code, done.err) == (0, "")
    await eventually(lambda: len(seen) == 500)
    assert len(set(seen)) == 1
    spans = await traces.whole(seen[0], 1 + 500 * 4)
    assert [span.name for span in spans].count("last words") == 1


async def test_a_fork_needs_an_agent_of_its_own(bus: Bus, traces: Traces, run_script: RunScript) -> None:
    topic = bus.names.topic("fork")
    seen: dict[Any, Any] = {}

    async def keep(ctx: Context, topic: str, event: Event) -> None:
        seen[event.text()] = event.envelope.trace_id

    await bus.started("keeper", topics=[topic], on_event=keep)
    done = await asyncio.to_thread(
        run_script,
        """
        import asyncio, os, sys, warnings, loom
        from opentelemetry import trace
        # Python warns of forks with threads; this test is about that they work.
        warnings.simplefilter("ignore", DeprecationWarning)
        tracer = trace.get_tracer("t")

        async def parent():
            agent = loom.Agent(sys.argv[1])
            await agent.start()
            span = tracer.start_span("before the fork")
            pid = os.fork()
            if pid == 0:
                # The loop is the parent's: the child only looks at what it has inherited.
                try:
                    await agent.emit(sys.argv[3], payload="inherited")
                except loom.ConnectionLost as error:
                    assert "after the fork" in str(error).replace("\\n", " "), error
                else:
                    os._exit(3)
                span.end()
                return True
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == 0, status
            with tracer.start_as_current_span("parent"):
                await agent.emit(sys.argv[3], payload="parent")
            span.end()
            await agent.stop()
            return False

        async def child():
            with tracer.start_as_current_span("child"):
                async with loom.Agent(sys.argv[2]) as agent:
                    await agent.emit(sys.argv[3], payload="child")

        loop = asyncio.new_event_loop()
        if loop.run_until_complete(parent()):
            # A new loop: the parent's selector is shared with it.
            asyncio.run(child())
            loom.shutdown_telemetry()
            os._exit(0)
        loop.close()
        """,
        bus.names.agent("parent"),
        bus.names.agent("child"),
        topic,
    )
    assert done.code == 0, done.err
    await eventually(lambda: len(seen) == 2)
    assert set(seen) == {"parent", "child"}
    for name, trace_id in seen.items():
        spans = chain(await traces.whole(trace_id, 5))
        assert spans[0].name == name
        assert name in spans[0].service or name == "child"


def test_a_collector_that_is_away_changes_nothing(run_script: RunScript, port: int) -> None:
    done = run_script(
        """
        import asyncio, logging, sys, time, loom
        logging.basicConfig(format="%(name)s %(message)s")
        async def main():
            seen = asyncio.Queue()
            async def handle(ctx, topic, event):
                await seen.put(event.json())
            async with loom.Agent("away-b", topics=["away.x"], on_event=handle), loom.Agent("away-a") as agent:
                for number in range(3000):
                    await agent.emit("away.x", payload=number)
                assert [await seen.get() for _ in range(3000)] == list(range(3000))
                for _ in range(3):
                    await asyncio.sleep(0.2)
                    await agent.emit("away.x", payload=0)
        asyncio.run(main())
        report = loom.telemetry_stats()
        assert report.recorded == 6006, report
        assert report.exported == 0
        print("fine")
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
    )
    assert (done.code, done.out.strip()) == (0, "fine"), done.err
    lines = [line for line in done.err.splitlines() if line.strip()]
    assert len(lines) == 2, done.err
    assert f"no spans can be exported to http://127.0.0.1:{port}" in lines[0]
    assert "not every span left the process: spans: 6006 recorded" in lines[1]
