"""Every log line says which trace it belongs to and whom it was about, in whatever thread or library it is written."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.config
import logging.handlers
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import loom
import pytest
import structlog
from conftest import ROOT, Bus
from loom import Context, Event, logs
from loom.logs import FIELDS, LoomContextFilter, install_log_context, structlog_processor
from opentelemetry import trace

tracer = trace.get_tracer("tests")
log = logging.getLogger("tests.logs")


class Kept(logging.Handler):
    """Keeps what a formatter would see."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def fields(self, index: int = -1) -> dict[str, str]:
        return {name: getattr(self.records[index], name) for name in FIELDS}


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    logging.getLogger().addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    logging.getLogger().removeHandler(handler)


def ids(span: trace.Span) -> dict[str, str]:
    context = span.get_span_context()
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


NOTHING = dict.fromkeys(FIELDS, "")


async def test_lines_of_handlers_have_trace_agent_and_workflow(bus: Bus, kept: Kept) -> None:
    install_log_context(kept)
    topic, done, seen = bus.names.topic("logged"), asyncio.Event(), list[dict[str, str]]()

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        seen.append(ids(ctx.span))
        log.info("in the handler")
        await asyncio.to_thread(log.info, "in its thread")
        done.set()

    agent = await bus.started("logger", topics=[topic], on_event=handle)
    about = loom.context(workflow_id="w-1", session_id="s-1", user_id="u-1", tenant_id="t-1")
    with about, tracer.start_as_current_span("root"):
        await agent.emit(topic, thread_id="th-1")
    await asyncio.wait_for(done.wait(), 15)
    mine = [record for record in kept.records if record.name == "tests.logs"]
    assert [record.getMessage() for record in mine] == ["in the handler", "in its thread"]
    for record in mine:
        assert {name: getattr(record, name) for name in FIELDS} == {
            **seen[0],
            "agent_id": agent.agent_id,
            "workflow_id": "w-1",
            "session_id": "s-1",
            "user_id": "u-1",
            "tenant_id": "t-1",
            "thread_id": "th-1",
            "correlation_id": "",
        }


def test_a_line_outside_of_everything_has_empty_fields(kept: Kept) -> None:
    install_log_context()
    log.info("alone")
    assert kept.fields() == NOTHING
    formatter = logging.Formatter("%(message)s trace=%(trace_id)s agent=%(agent_id)s user=%(user_id)s")
    assert formatter.format(kept.records[-1]) == "alone trace= agent= user="


def test_a_line_of_another_thread_has_that_thread_s_context(kept: Kept) -> None:
    install_log_context(kept)

    def work(number: int) -> dict[str, str]:
        with loom.context(workflow_id=f"w-{number}"), tracer.start_as_current_span("work") as span:
            log.info("%d", number)
            return {**NOTHING, **ids(span), "workflow_id": f"w-{number}"}

    with ThreadPoolExecutor(8) as pool:
        expected = dict(enumerate(pool.map(work, range(100))))
    found = {int(record.getMessage()): record for record in kept.records if record.name == "tests.logs"}
    assert {number: {name: getattr(record, name) for name in FIELDS} for number, record in found.items()} == expected

    def carried() -> None:
        log.info("carried")

    with loom.context(workflow_id="mine"):
        plain = threading.Thread(target=loom.carried(carried))
        plain.start()
        plain.join()
    assert kept.fields()["workflow_id"] == "mine"


def test_a_queue_keeps_what_was_true_when_the_line_was_written(kept: Kept) -> None:
    """The listener's thread knows nothing of it, and its own filter does not overwrite it."""
    lines: queue.Queue[logging.LogRecord] = queue.Queue(10)
    sender = logging.handlers.QueueHandler(lines)
    install_log_context(sender, kept)
    listener = logging.handlers.QueueListener(lines, kept)
    quiet = logging.getLogger("tests.logs.queued")
    quiet.propagate = False
    quiet.addHandler(sender)
    quiet.setLevel(logging.INFO)
    listener.start()
    with loom.context(user_id="u"), tracer.start_as_current_span("root") as span:
        quiet.info("queued")
    listener.stop()
    quiet.removeHandler(sender)
    assert kept.fields() == {**NOTHING, **ids(span), "user_id": "u"}


def test_what_a_record_says_itself_stays(kept: Kept) -> None:
    install_log_context(kept)
    with loom.context(user_id="u", correlation_id="c"):
        log.info("mine", extra={"user_id": "other", "correlation_id": "own"})
    assert kept.fields() == {**NOTHING, "user_id": "other", "correlation_id": "own"}


def test_it_is_installed_once_and_on_what_is_there(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    install_log_context(kept)
    install_log_context()
    install_log_context(kept)
    assert len([one for one in kept.filters if isinstance(one, LoomContextFilter)]) == 1
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with pytest.raises(ValueError, match="the root logger has no handler yet"):
        install_log_context()


def test_dict_config_takes_the_filter_by_its_name() -> None:
    stream = io.StringIO()
    logger = logging.getLogger("tests.logs.configured")
    logging.config.dictConfig(
        {
            "version": 1,
            "incremental": False,
            "disable_existing_loggers": False,
            "filters": {"loom": {"()": "loom.logs.LoomContextFilter"}},
            "formatters": {"line": {"format": "%(message)s workflow=%(workflow_id)s"}},
            "handlers": {
                "out": {"class": "logging.StreamHandler", "stream": stream, "filters": ["loom"], "formatter": "line"}
            },
            "loggers": {"tests.logs.configured": {"handlers": ["out"], "level": "INFO", "propagate": False}},
        }
    )
    with loom.context(workflow_id="w"):
        logger.info("done")
    assert stream.getvalue() == "done workflow=w\n"


def test_structlog_gets_what_there_is() -> None:
    stream = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(stream), processors=[structlog_processor, structlog.processors.JSONRenderer()]
    )
    logger.info("alone")
    with loom.context(workflow_id="w", tenant_id="t"), tracer.start_as_current_span("root") as span:
        logger.info("inside", tenant_id="mine")
    alone, inside = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert alone == {"event": "alone"}
    assert inside == {"event": "inside", **ids(span), "workflow_id": "w", "tenant_id": "mine"}


def test_structlog_s_lines_and_the_library_s_look_alike() -> None:
    """The recipe of docs/logs.md: stdlib's records rendered by structlog."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    shared: list[Any] = [structlog.stdlib.add_log_level, structlog_processor]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    foreign = logging.getLogger("tests.logs.foreign")
    foreign.propagate = False
    foreign.addHandler(handler)
    with loom.context(workflow_id="w"):
        foreign.warning("from a library")
    foreign.removeHandler(handler)
    assert json.loads(stream.getvalue()) == {"event": "from a library", "level": "warning", "workflow_id": "w"}


def test_a_failure_of_it_costs_no_line(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    install_log_context(kept)

    def broken() -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(logs, "get_current", broken)
    before = loom.telemetry_stats().faults.get("log context", 0)
    log.info("still here")
    monkeypatch.undo()
    assert "still here" in [record.getMessage() for record in kept.records]
    assert kept.fields() == NOTHING
    assert loom.telemetry_stats().faults["log context"] > before


def test_the_guide_s_recipes_run(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [kept])
    guide = (ROOT / "docs/logs.md").read_text(encoding="utf-8")
    recipes = [part.split("```")[0] for part in guide.split("```python\n")[1:]]
    assert len(recipes) == 4
    for recipe in recipes:
        exec(compile(recipe, "docs/logs.md", "exec"), {})
    structlog.reset_defaults()
