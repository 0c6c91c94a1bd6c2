"""Request and reply, inside and outside of handlers."""

from __future__ import annotations

import asyncio
from typing import Any

import loom
import pytest
from conftest import Bus, eventually
from loom import Context, Event


async def echo(ctx: Context, topic: str, event: Event) -> None:
    await ctx.reply(event.text().upper(), type="echo")


async def test_a_request_gets_its_reply(bus: Bus) -> None:
    topic = bus.names.topic("echo")
    await bus.started(topics=[topic], on_event=echo)
    asker = await bus.started("asker")
    reply = await asker.request(topic, "hello", thread_id="thread-1", timeout=10)
    assert (reply.text(), reply.type, reply.thread_id) == ("HELLO", "echo", "thread-1")
    replies = await asyncio.gather(*(asker.request(topic, str(n), timeout=10) for n in range(500)))
    assert [r.text() for r in replies] == [str(n) for n in range(500)]


async def test_requests_inside_handlers_work_while_every_handler_waits(bus: Bus) -> None:
    """The reader never waits for a handler, and replies overtake what stands in line."""
    topic, echo_topic = bus.names.topic("ask"), bus.names.topic("echo")
    done: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        reply = await ctx.request(echo_topic, event.text(), timeout=20)
        done.append(reply.text())

    await bus.started("echo", topics=[echo_topic], on_event=echo)
    agent = await bus.started(topics=[topic], on_event=handle, max_in_flight=4, credit=16)
    sender = await bus.started("sender")
    for number in range(400):
        await sender.emit(topic, payload=f"n{number}")
    await eventually(lambda: len(done) == 400)
    assert sorted(done) == sorted(f"N{n}" for n in range(400))
    assert agent.stats()["overflowed"] == 0


async def test_a_reply_needs_no_credit(bus: Bus) -> None:
    """The handler holds all the credit there is, and waits for its reply with it."""
    topic, echo_topic = bus.names.topic("ask"), bus.names.topic("echo")
    done: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        done.append((await ctx.request(echo_topic, event.text(), timeout=20)).text())

    await bus.started("echo", topics=[echo_topic], on_event=echo)
    agent = await bus.started(topics=[topic], on_event=handle, max_in_flight=1, credit=1)
    sender = await bus.started("sender")
    for number in range(50):
        await sender.emit(topic, payload=f"n{number}")
    await eventually(lambda: len(done) == 50)
    assert done == [f"N{n}" for n in range(50)]
    assert agent.stats()["overflowed"] == 0


def test_reply_topics_have_no_handlers() -> None:
    with pytest.raises(loom.InvalidAgent, match="replies"):
        loom.Agent("a", topics=["_inbox.>"], on_event=echo)


async def test_a_request_that_nobody_answers_ends(bus: Bus) -> None:
    asker = await bus.started("asker")
    with pytest.raises(loom.DeadlineExceeded, match="nobody replied"):
        await asker.request(bus.names.topic("nobody"), timeout=0.05)
    with pytest.raises(TimeoutError):
        await asker.request(bus.names.topic("nobody"), timeout=0.05)


async def test_timeouts_do_not_use_up_the_credit(bus: Bus) -> None:
    topic, silent = bus.names.topic("work"), bus.names.topic("silent")
    seen: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        with pytest.raises(loom.DeadlineExceeded):
            await ctx.request(silent, timeout=0.01)
        seen.append(event.json())

    await bus.started(topics=[topic], on_event=handle, credit=4, max_in_flight=4)
    sender = await bus.started("sender")
    for number in range(60):
        await sender.emit(topic, payload=number)
    await eventually(lambda: len(seen) == 60)


async def test_late_and_double_replies_are_dropped(bus: Bus) -> None:
    topic, answered = bus.names.topic("late"), asyncio.Event()
    held: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        held.append(event)
        if len(held) == 2:
            for old in held:
                await ctx.reply("first", to=old)
                await ctx.reply("second", to=old)
            answered.set()

    await bus.started(topics=[topic], on_event=handle)
    asker = await bus.started("asker")
    with pytest.raises(loom.DeadlineExceeded):
        await asker.request(topic, timeout=0.05)
    reply = await asker.request(topic, timeout=10)
    assert reply.text() == "first"
    await answered.wait()
    assert asker.stats()["overflowed"] == 0


async def test_only_requests_can_be_replied_to(bus: Bus) -> None:
    topic = bus.names.topic("emitted")
    errors: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        try:
            await ctx.reply("nobody waits")
        except loom.InvalidEvent as error:
            errors.append(error)

    await bus.started(topics=[topic], on_event=handle)
    await (await bus.started("sender")).emit(topic)
    await eventually(lambda: errors)
    assert errors[0].field == "event.envelope.reply_to"


async def test_plain_functions_may_ask_and_answer(bus: Bus) -> None:
    topic, echo_topic = bus.names.topic("ask"), bus.names.topic("echo")

    def answer(ctx: Context, topic: str, event: Event) -> None:
        ctx.blocking.reply(event.text() + "!")

    def ask(ctx: Context, topic: str, event: Event) -> None:
        ctx.blocking.reply(ctx.blocking.request(echo_topic, event.text(), timeout=10).text())

    await bus.started("echo", topics=[echo_topic], on_event=answer)
    await bus.started(topics=[topic], on_event=ask)
    asker = await bus.started("asker")
    assert (await asker.request(topic, "hi", timeout=10)).text() == "hi!"


async def test_open_requests_are_bounded(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loom._answers.MAX_OPEN_REQUESTS", 3)
    asker = await bus.started("asker")
    waiting = [asyncio.create_task(asker.request(bus.names.topic("x"), timeout=5)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(loom.Overloaded, match="open already"):
        await asker.request(bus.names.topic("x"), timeout=5)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    with pytest.raises(loom.DeadlineExceeded):
        await asker.request(bus.names.topic("x"), timeout=0.01)
