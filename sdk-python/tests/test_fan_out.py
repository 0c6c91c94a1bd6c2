"""One request to many: all of their replies, the first few, or what came in time."""

from __future__ import annotations

import asyncio
from typing import Any

import loom
import pytest
from conftest import Bus, Traces, eventually, start_script
from loom import Context, Event, Replies
from opentelemetry import trace
from opentelemetry.trace import format_trace_id

ANSWER = """
    import asyncio, sys, loom
    agent = loom.Agent(sys.argv[1])

    @agent.on(sys.argv[2])
    async def handle(ctx, topic, event):
        print("ASKED", flush=True)
        await asyncio.Event().wait()

    async def main(agent):
        print("READY", flush=True)
        await agent.wait_closed()

    agent.run(main)
"""
"""An agent that takes a request and never comes to its answer."""


async def responders(bus: Bus, topic: str, count: int) -> list[loom.Agent]:
    async def answer(ctx: Context, topic: str, event: Event) -> None:
        await ctx.reply(event.text() + "!")

    return [await bus.started("responder", topics=[topic], on_event=answer) for _ in range(count)]


async def test_all_replies_of_n_responders(bus: Bus) -> None:
    topic = bus.names.topic("ask")
    agents = await responders(bus, topic, 5)
    asker = await bus.started("asker")
    replies = await asker.fan_out(topic, "hi", n=5, timeout=20, thread_id="thread-1")
    assert (replies.is_complete, replies.missing, replies.wanted, len(replies)) == (True, 0, 5, 5)
    assert {reply.sender for reply in replies} == {agent.agent_id for agent in agents}
    assert {(reply.text(), reply.thread_id) for reply in replies} == {("hi!", "thread-1")}
    assert replies[0] in replies[:2]
    assert "5 of 5" in repr(replies)
    many = await asyncio.gather(*(asker.fan_out(topic, str(n), n=5, timeout=20) for n in range(100)))
    assert [{reply.text() for reply in replies} for replies in many] == [{f"{n}!"} for n in range(100)]
    assert asker.stats()["replies_dropped"] == 0


async def test_the_first_replies_are_enough_and_later_ones_are_counted(bus: Bus) -> None:
    topic = bus.names.topic("ask")
    await responders(bus, topic, 5)
    asker = await bus.started("asker")
    replies = await asker.fan_out(topic, "hi", n=2, timeout=20)
    assert (replies.is_complete, len(replies)) == (True, 2)
    await eventually(lambda: asker.stats()["replies_dropped"] == 3)


async def test_without_a_number_it_ends_with_its_time(bus: Bus) -> None:
    topic = bus.names.topic("ask")
    await responders(bus, topic, 3)
    asker = await bus.started("asker")
    replies = await asker.fan_out(topic, "hi", timeout=0.5)
    assert (replies.is_complete, replies.missing, replies.wanted) == (True, 0, None)
    assert len(replies) <= 3
    nobody = await asker.fan_out(bus.names.topic("nobody"), timeout=0.05)
    assert (len(nobody), nobody.is_complete) == (0, True)


async def test_a_responder_that_dies_leaves_the_replies_of_the_others(bus: Bus) -> None:
    topic = bus.names.topic("ask")
    alive = await responders(bus, topic, 2)
    asker = await bus.started("asker")
    process = start_script(ANSWER, bus.server.environment, bus.names.agent("mortal"), topic)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "READY\n"

        async def ask() -> Replies:
            return await asker.fan_out(topic, "hi", n=3, timeout=1)

        asking = asyncio.create_task(ask())
        assert await asyncio.to_thread(process.stdout.readline) == "ASKED\n"
        process.kill()
        replies = await asking
    finally:
        process.kill()
        process.communicate()
    assert (replies.is_complete, replies.missing) == (False, 1)
    assert {reply.sender for reply in replies} == {agent.agent_id for agent in alive}


async def test_replies_are_taken_as_they_come(bus: Bus) -> None:
    """Each next responder answers when the reply of the one before it was taken."""
    topic, turn = bus.names.topic("ask"), asyncio.Condition()
    taken: list[str] = []

    async def answer_at(number: int) -> Any:
        async def answer(ctx: Context, topic: str, event: Event) -> None:
            async with turn:
                await turn.wait_for(lambda: len(taken) == number)
            await ctx.reply(str(number))

        return await bus.started("responder", topics=[topic], on_event=answer)

    for number in range(3):
        await answer_at(number)
    asker = await bus.started("asker")
    async with asker.fan_out(topic, n=3, timeout=20) as fan_out:
        async for reply in fan_out:
            async with turn:
                taken.append(reply.text())
                turn.notify_all()
    assert taken == ["0", "1", "2"]
    assert fan_out.replies.is_complete


async def test_leaving_the_block_ends_it(bus: Bus) -> None:
    topic, go_on = bus.names.topic("ask"), asyncio.Event()

    async def answer_late(ctx: Context, topic: str, event: Event) -> None:
        await go_on.wait()
        await ctx.reply("late")

    await responders(bus, topic, 1)
    await bus.started("late", topics=[topic], on_event=answer_late)
    asker = await bus.started("asker")
    async with asker.fan_out(topic, "hi", timeout=60) as fan_out:
        async for _ in fan_out:
            break
    assert [reply.text() for reply in fan_out.replies] == ["hi!"]
    go_on.set()
    await eventually(lambda: asker.stats()["replies_dropped"] == 1)
    with pytest.raises(loom.LoomError, match="once"):
        await fan_out


async def test_an_agent_is_counted_once(bus: Bus) -> None:
    topic = bus.names.topic("ask")

    async def twice(ctx: Context, topic: str, event: Event) -> None:
        await ctx.reply("first")
        await ctx.reply("second")
        await ctx.emit(bus.names.topic("done"))

    done = asyncio.Event()

    async def end(ctx: Context, topic: str, event: Event) -> None:
        done.set()

    await bus.started("twice", topics=[topic], on_event=twice)
    await bus.started("keeper", topics=[bus.names.topic("done")], on_event=end)
    asker = await bus.started("asker")
    async with asker.fan_out(topic, n=2, timeout=60) as fan_out:
        await asyncio.wait_for(done.wait(), 15)
        await eventually(lambda: fan_out.replies.duplicates == 1)
    assert [reply.text() for reply in fan_out.replies] == ["first"]
    assert fan_out.replies.missing == 1


async def test_it_works_inside_handlers_and_in_threads(bus: Bus) -> None:
    topic, ask, ask_plain = bus.names.topic("echo"), bus.names.topic("ask"), bus.names.topic("plain")
    await responders(bus, topic, 3)
    seen: list[Any] = []

    async def handle(ctx: Context, where: str, event: Event) -> None:
        seen.append([reply.text() for reply in await ctx.fan_out(topic, event.text(), n=3, timeout=20)])

    def plain(ctx: Context, where: str, event: Event) -> None:
        seen.append([reply.text() for reply in ctx.blocking.fan_out(topic, event.text(), n=3, timeout=20)])

    agent = bus.agent(max_in_flight=1, credit=1)
    agent.on(ask)(handle)
    agent.on(ask_plain)(plain)
    await agent.start()
    sender = await bus.started("sender")
    for number in range(10):
        await sender.emit(ask, payload=f"a{number}")
        await sender.emit(ask_plain, payload=f"b{number}")
    await eventually(lambda: len(seen) == 20)
    assert sorted(seen) == [[f"{letter}{n}!"] * 3 for letter in "ab" for n in range(10)]


async def test_its_numbers_are_checked(bus: Bus) -> None:
    asker = await bus.started("asker")
    for wrong in (0, -1, 4097):
        with pytest.raises(ValueError, match="replies"):
            asker.fan_out("a.b", n=wrong)
    for time in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="seconds"):
            asker.fan_out("a.b", timeout=time)
    with pytest.raises(loom.InvalidEvent, match="topic"):
        await asker.fan_out("not a topic", n=1)
    fan_out = asker.fan_out("a.b", n=1)
    with pytest.raises(loom.LoomError, match="entered"):
        aiter(fan_out)


async def test_open_fan_outs_are_bounded_and_end_with_the_agent(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loom._answers.MAX_OPEN_REQUESTS", 1)
    asker = await bus.started("asker")

    async def ask() -> Replies:
        return await asker.fan_out(bus.names.topic("nobody"), n=1, timeout=60)

    waiting = asyncio.create_task(ask())
    await eventually(lambda: asker.stats()["published"] == 1)
    with pytest.raises(loom.Overloaded, match="open already"):
        await ask()
    await asker.stop()
    with pytest.raises(loom.ConnectionLost, match="stopped"):
        await waiting


# ---- the trace ----


async def test_the_span_of_a_handler_is_linked_to_what_it_joins(bus: Bus, traces: Traces) -> None:
    """Each reply's delivery, those of a request too; the last reply of each is marked."""
    topic, ask = bus.names.topic("echo"), bus.names.topic("ask")
    spans: list[Any] = []
    marks: list[Any] = []

    async def handle(ctx: Context, where: str, event: Event) -> None:
        with trace.get_tracer("tests").start_as_current_span("inner"):
            replies = await ctx.fan_out(topic, "hi", n=3, timeout=20)
            reply = await ctx.request(topic, "hi", timeout=20)
        span: Any = ctx.span
        marks.extend((link.attributes["event.id"], link.attributes.get("loom.join.last")) for link in span.links)
        assert marks == [
            (replies[0].id, None),
            (replies[1].id, None),
            (replies[2].id, True),
            (reply.id, True),
        ]
        spans.extend(link.context.span_id for link in span.links)

    await responders(bus, topic, 3)
    await bus.started("asker", topics=[ask], on_event=handle)
    sender = await bus.started("sender")
    with trace.get_tracer("tests").start_as_current_span("root") as root:
        await sender.emit(ask)
    await eventually(lambda: spans)
    # root, the ask, inner, and two requests that three responders handle and answer; every reply is delivered.
    found = await traces.whole(format_trace_id(root.get_span_context().trace_id), 1 + 4 + 1 + 2 * (2 + 3 * 2 + 3 * 3))
    by_id = {span.id: span for span in found}
    handler = next(span for span in found if span.name == "agent.on_event" and span.tags["topic"] == ask)
    assert handler.links == {f"{span_id:016x}" for span_id in spans}
    assert {by_id[link].name for link in handler.links} == {"bridge.forward"}
    assert len(handler.links) == 4


async def test_outside_of_handlers_the_current_span_joins(bus: Bus) -> None:
    topic = bus.names.topic("echo")
    await responders(bus, topic, 2)
    asker = await bus.started("asker")
    with trace.get_tracer("tests").start_as_current_span("outside") as span:
        await asker.fan_out(topic, "hi", n=2, timeout=20)
    recorded: Any = span
    assert len(recorded.links) == 2


async def test_spans_of_a_foreign_provider_are_linked_too(run_script: Any) -> None:
    done = run_script("""
        import asyncio, loom
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)

        async def echo(ctx, topic, event):
            await ctx.reply("hi")

        async def main():
            done = asyncio.Event()
            async def ask(ctx, topic, event):
                await ctx.fan_out("foreign.echo", n=2, timeout=20)
                done.set()
            one = loom.Agent("foreign-1", topics=["foreign.echo"], on_event=echo)
            two = loom.Agent("foreign-2", topics=["foreign.echo"], on_event=echo)
            async with one, two, loom.Agent("foreign-3", topics=["foreign.ask"], on_event=ask) as agent:
                await agent.emit("foreign.ask")
                await done.wait()

        asyncio.run(main())
        links = [link for span in exporter.get_finished_spans() for link in span.links]
        print([link.attributes.get("loom.join.last") for link in links])
    """)
    assert (done.code, done.out.strip()) == (0, "[None, True]"), done.err


async def test_a_request_that_the_server_refuses_ends_at_once(bus: Bus) -> None:
    topic = bus.names.topic("circle")
    errors: list[Any] = []

    async def handle(ctx: Context, where: str, event: Event) -> None:
        for ask in (ctx.request(topic, timeout=60), all_of(ctx)):
            with pytest.raises(loom.EventExpired) as caught:
                await ask
            errors.append(caught.value)

    async def all_of(ctx: Context) -> Replies:
        return await ctx.fan_out(topic, n=1, timeout=60)

    reported: list[loom.LoomError] = []
    agent = await bus.started(topics=[topic], on_event=handle, on_error=reported.append)
    await agent.emit(topic, ttl=1)
    await eventually(lambda: len(errors) == 2)
    # Raised where it was asked, and nowhere else.
    assert reported == []
    assert agent.stats()["rejected"] == 2
