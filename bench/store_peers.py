"""The trace store beside those of others: the same spans, the same questions, and whether the answers are the same.

Nothing comes while questions are asked, since some could not take what comes to Loom meanwhile.
"""

import statistics
import sys
import tempfile
import time
from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from peers.machine import Noise, cpu_seconds, own_mib
from peers.stores import AGENTS, SPANS_PER_TRACE, Question, Store, send
from peers.stores.jaeger import Jaeger
from peers.stores.loom_store import Loom
from peers.stores.phoenix import Phoenix
from report import Figure, Report, number

PEERS: tuple[type[Store], ...] = (Jaeger, Phoenix)
QUESTIONS = 200
"""Of each kind."""
FEW = 4_800
"""Spans of a quick run."""
STALLED = 60.0
"""Seconds in which not one more span was stored: no more are waited for."""
SLOWEST = 20
"""Spans a second that a peer has to take."""
MS, S, HOUR = 1_000_000, 1_000_000_000, 3_600_000_000_000


@dataclass(frozen=True)
class Measured:
    """What one store needed, in the order of the table, and what it answered; nothing about what it cannot say."""

    label: str
    figures: dict[str, Figure]
    answers: dict[str, list[Any]]


def beside_peers(report: Report, options: Namespace) -> None:
    """Each beside a Loom with as many spans. A peer that is not there, or fails, becomes a note."""
    there = [peer for peer in (kind() for kind in PEERS) if _there(report, options, peer)]
    looms: dict[int, Measured] = {}
    for peer in there:
        spans = FEW if options.quick else peer.large if options.large else peer.usual
        if spans not in looms:
            looms[spans] = _measured(report, options, Loom(), spans)
        loom = looms[spans]
        try:
            found = _measured(report, options, peer, spans)
        except Exception as error:  # noqa: BLE001 - whatever fails in a peer, the figures of the others stand
            report.note(f"{peer.name} as a trace store failed: {_line(error)}")
            continue
        _compare(report, loom, found)
        columns = loom, found
        rows = [column.figures[what] for what in loom.figures for column in columns if what in column.figures]
        report.figures(f"The trace store beside {peer.name}, nothing coming while questions are asked", rows)


def _there(report: Report, options: Namespace, peer: Store) -> bool:
    try:
        if options.install:
            peer.install()
        reason = peer.missing()
    except Exception as error:  # noqa: BLE001 - as above
        reason = f"{peer.name} cannot be installed: {_line(error)}"
    if reason:
        report.note(reason)
    return not reason


def _line(error: Exception) -> str:
    """A note is one line, though the end of a log may be in it."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _compare(report: Report, loom: Measured, peer: Measured) -> None:
    for kind, answers in peer.answers.items():
        expected = loom.answers[kind]
        if different := [pair for pair in zip(answers, expected, strict=True) if pair[0] != pair[1]]:
            theirs, ours = different[0]
            note = f"{len(different)} of {len(expected)} answers are not Loom's, the first {theirs} instead of {ours}"
            report.note(f"{peer.label}, {kind}: {note}")


def _measured(report: Report, options: Namespace, store: Store, spans: int) -> Measured:
    print(f"store: {spans} spans into {store.name}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="loom-bench-", dir=options.directory) as folder:
        store.start(folder)
        try:
            begin = time.time_ns()
            label = f"{number(spans)} spans, {store.name} {store.version}".strip()
            traces, figures = _fill(store, spans, label)
            print(f"store: asking {store.name}", file=sys.stderr, flush=True)
            noise = Noise([store.process])
            asked = {kind: _ask(questions) for kind, questions in _questions(store, traces, begin).items()}
            if (foreign := noise.cores()) > options.quiet:
                report.note(f"{label}: others used {foreign:.2f} cores while it was asked")
        finally:
            store.stop()
    if set(asked["trace by id"][1]) != {SPANS_PER_TRACE}:
        raise RuntimeError(f"{store.name}: traces with {sorted(set(asked['trace by id'][1]))} spans")
    for kind, (times, _) in asked.items():
        for part, took in ("p50", statistics.median(times)), ("p95", sorted(times)[int(len(times) * 0.95) - 1]):
            figures[f"{kind}, {part}"] = Figure.of(f"{kind}, {label}, {part}", "ms", "–", [took])
    return Measured(label, figures, {kind: answers for kind, (_, answers) in asked.items()})


def _fill(store: Store, spans: int, label: str) -> tuple[list[str], dict[str, Figure]]:
    """Sends as fast as the store takes them, until its API can find all of them."""
    empty = store.bytes()
    begin, cpu = time.perf_counter(), cpu_seconds([store.process])
    sent = send(store.otlp, spans, 0, timeout=STALLED + spans / SLOWEST)
    _until_stored(store, spans, begin)
    took, cpu = time.perf_counter() - begin, cpu_seconds([store.process]) - cpu
    measured = [
        ("ingest until all can be found", "spans/s", spans / took),
        ("CPU of the server", "µs/span", cpu / spans * 1e6),
        ("database", "B/span", (store.bytes() - empty) / spans),
        ("memory of the server then, without pages of files", "MiB", own_mib([store.process])),
    ]
    return sent["traces"], {what: Figure.of(f"{what}, {label}", unit, "–", [value]) for what, unit, value in measured}


def _until_stored(store: Store, spans: int, begin: float) -> None:
    """Looks again when half of the rest should be there, or after another tenth of the time: each look costs CPU."""
    most, since = 0, begin
    while (stored := store.stored()) != spans:
        now = time.perf_counter()
        if stored > most:
            most, since = stored, now
        if stored > spans or now - since > STALLED:
            raise RuntimeError(f"{stored} of {spans} spans are stored")
        left = (now - begin) * (spans - stored) / max(stored, 1)
        time.sleep(max(min(left / 2, (now - begin) / 10), store.poll))


def _questions(store: Store, traces: list[str], sent: int) -> dict[str, list[Question]]:
    """Traces begin at equal steps in the 24 hours before they are sent.

    Bounds of time lie ten seconds beside full hours, where no trace begins in any store. No two of them are the same,
    since caches are not what is measured.
    """
    numbers = range(1 + QUESTIONS)
    agents = [AGENTS[number % len(AGENTS)] for number in numbers]
    hours = [sent - 10 * S - number % 23 * HOUR - number * MS for number in numbers]
    days = [sent + 10 * S + number * MS for number in numbers]
    metrics = [store.metrics(agent, end - 24 * HOUR, end) for agent, end in zip(agents, days, strict=True)]
    questions = {
        "trace by id": [store.trace(traces[number % len(traces)]) for number in numbers],
        "search by agent and hour": [
            store.search(agent, end - HOUR, end) for agent, end in zip(agents, hours, strict=True)
        ],
        "metrics of an agent over 24 h": [question for question in metrics if question],
    }
    return {kind: asked for kind, asked in questions.items() if asked}


def _ask(questions: list[Question]) -> tuple[list[float], list[Any]]:
    """One after the other. The first does not count: what it needs is loaded for all."""
    _, *asked = [question.ask() for question in questions]
    return [took for took, _ in asked], [answer for _, answer in asked]
