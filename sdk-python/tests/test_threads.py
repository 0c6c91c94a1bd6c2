"""Conversations of several agents: one thread, and an end even where nobody ends it."""

from __future__ import annotations

import logging
import re
import urllib.request
from typing import Any

import loom
import pytest
from conftest import Bus, eventually
from loom import Context, Event

DEFAULT_TTL = 64


async def test_agents_that_answer_each_other_for_ever_are_stopped(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    """By the hops of their events: the one that sends the last is told, and the server counts it."""
    ping, pong = bus.names.topic("ping"), bus.names.topic("pong")
    hops: list[int] = []
    errors: list[loom.LoomError] = []

    def answer_on(topic: str) -> Any:
        async def answer(ctx: Context, where: str, event: Event) -> None:
            hops.append(event.envelope.hop)
            await ctx.emit(topic, payload=event.payload)

        return answer

    one = await bus.started("one", topics=[ping], on_event=answer_on(pong), on_error=errors.append)
    two = await bus.started("two", topics=[pong], on_event=answer_on(ping), on_error=errors.append)
    before = expired(bus)
    await one.emit(ping, thread_id="argument")
    await eventually(lambda: errors)
    assert hops == list(range(DEFAULT_TTL))
    error = errors[0]
    assert isinstance(error, loom.EventExpired)
    assert "agents that answer each other for ever" in str(error)
    assert one.stats()["rejected"] + two.stats()["rejected"] == len(errors) == 1
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1
    assert "was rejected" in warned[0]
    assert expired(bus) == before + 1


def expired(bus: Bus) -> int:
    with urllib.request.urlopen(f"http://{bus.server.http}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    found = re.search(r'^loom_bus_rejected_total\{.*"event_expired".*\} (\d+)$', text, re.MULTILINE)
    return int(found[1]) if found else 0


async def test_requests_inside_of_requests_end_too(bus: Bus) -> None:
    """Each asks the other before it answers: the last one of them learns that it was one too many."""
    one_topic, two_topic = bus.names.topic("one"), bus.names.topic("two")
    depth: list[int] = []

    def ask(topic: str) -> Any:
        async def handle(ctx: Context, where: str, event: Event) -> None:
            depth.append(event.envelope.hop)
            try:
                reply = await ctx.request(topic, timeout=60)
            except loom.EventExpired:
                await ctx.reply("the end")
            else:
                await ctx.reply(reply.text())

        return handle

    await bus.started("one", topics=[one_topic], on_event=ask(two_topic))
    await bus.started("two", topics=[two_topic], on_event=ask(one_topic))
    asker = await bus.started("asker")
    assert (await asker.request(one_topic, timeout=20)).text() == "the end"
    assert max(depth) == DEFAULT_TTL - 1


async def test_a_thread_may_have_a_topic_of_its_own(bus: Bus) -> None:
    """Who joins a conversation subscribes to its topic, and answers stay in its thread."""
    thread = "t-1"
    topic = bus.names.topic("chat", thread)
    seen: list[str] = []

    async def listen(ctx: Context, where: str, event: Event) -> None:
        assert where == bus.names.topic("chat", event.thread_id)
        seen.append(event.text())
        if event.text() == "hello":
            await ctx.emit(bus.names.topic("chat", event.thread_id), payload="hi")

    await bus.started(topics=[topic], on_event=listen)
    sender = await bus.started("sender")
    await sender.emit(topic, payload="hello", thread_id=thread)
    await sender.emit(bus.names.topic("chat", "t-2"), payload="elsewhere", thread_id="t-2", confirm=True)
    await eventually(lambda: seen == ["hello", "hi"])
