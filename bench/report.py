"""The page that `make bench` prints: Markdown for a person, and every raw measurement beside it."""

import json
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured value with what it is to reach."""

    name: str
    unit: str
    goal: str
    median: float
    min: float
    max: float
    note: str = ""
    """What makes the figure less than it looks."""

    @staticmethod
    def of(name: str, unit: str, goal: str, values: list[float]) -> "Figure":
        return Figure(name, unit, goal, statistics.median(values), min(values), max(values))


class Report:
    """Collects the page; measurements are kept as they come, so that an aborted bench leaves them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._page, self._raw = folder / f"{stamp}.md", folder / f"{stamp}.jsonl"
        self._lines: list[str] = []
        self._notes: list[str] = []

    def add(self, *lines: str) -> None:
        self._lines.extend(lines)

    def note(self, note: str) -> None:
        """What a reader must know beside the table; said once."""
        if note not in self._notes:
            self._notes.append(note)

    def keep(self, measurement: dict[str, Any]) -> None:
        with self._raw.open("a") as raw:
            raw.write(json.dumps(measurement) + "\n")

    def kept(self) -> Iterator[dict[str, Any]]:
        """Every measurement so far."""
        if self._raw.exists():
            yield from map(json.loads, self._raw.read_text().splitlines())

    def table(self, head: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        head = list(head)
        self.add("", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}")
        self.add(*(f"| {' | '.join(row)} |" for row in rows))

    def figures(self, title: str, figures: list[Figure]) -> None:
        """A section of single figures."""
        for figure in figures:
            self.keep(asdict(figure))
            if figure.note:
                self.note(f"{figure.name}: {figure.note}")
        self.add("", f"## {title}")
        rows = ((figure.name, f"{spread(asdict(figure))} {figure.unit}", figure.goal) for figure in figures)
        self.table(("what", "median (lowest–highest)", "goal"), rows)

    def finish(self) -> None:
        if self._notes:
            self.add("", "Notes:", "", *(f"- {note}" for note in self._notes))
        text = "\n".join(self._lines) + "\n"
        self._page.write_text(text)
        print(text)
        print(f"kept as {self._page.parent.name}/{self._page.name}, raw lines beside it", file=sys.stderr)


def number(value: float) -> str:
    """Three digits, which is more than the spread allows."""
    for limit, unit in ((1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def spread(values: dict[str, Any], show: Callable[[float], str] = number) -> str:
    median, low, high = (show(values[key]) for key in ("median", "min", "max"))
    return median if low == high else f"{median} ({low}–{high})"
