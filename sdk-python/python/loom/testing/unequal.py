"""The failure of a comparison: expected and found tree side by side."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from loom.testing.compare import Forest, missing_links
from loom.testing.record import record_of
from loom.testing.tree import ExpectedSpan, read_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loom.testing.compare import Node
    from loom.testing.tree import Tree

__all__ = ["assert_trace", "difference"]

_INDENT = "  "
_LEAST_WIDTH = 100
"""Columns that a failure may always take: a log of CI has no width."""


def assert_trace(spans: Iterable[Any], tree: Tree) -> None:
    """Compare spans with an expected tree; ``loom.testing.tree`` says how it is written.

    ``spans`` are records of ``loom_spans``, or spans of the OpenTelemetry SDK such as its in-memory exporter has.

    Raises:
        AssertionError: They differ; the message shows both trees and marks where.

    """
    __tracebackhide__ = True
    text = difference(spans, tree)
    if text is not None:
        raise AssertionError(text)


def difference(spans: Iterable[Any], tree: Tree, width: int | None = None) -> str | None:
    """Show where spans and an expected tree differ; None where they do not."""
    expected, is_open = read_tree(tree)
    forest = Forest(record_of(span) for span in spans)
    if forest.equals(expected, is_open=is_open):
        return None
    rows = _Rows(forest)
    rows.pair(expected, forest.roots, 0, is_open=is_open)
    count = len(forest.nodes)
    traces = sorted({node.span.trace_id for node in forest.nodes.values()})
    where = f" of trace {traces[0]}" if len(traces) == 1 else f" of {len(traces)} traces" if traces else ""
    head = f"found {count or 'no'} span{'s'[: count != 1]}{where}, and not the expected tree"
    return "\n".join([head, *_table(rows.rows, width or max(shutil.get_terminal_size().columns, _LEAST_WIDTH))])


class _Row(NamedTuple):
    mark: str
    """``!`` differs, ``<`` is missing, ``>`` is too much, blank is as expected."""
    expected: str
    found: str


class _Rows:
    """Puts beside each other what belongs together."""

    def __init__(self, forest: Forest) -> None:
        self._forest = forest
        self.rows: list[_Row] = []

    def pair(self, expected: Sequence[ExpectedSpan], found: Sequence[Node], depth: int, *, is_open: bool) -> None:
        """Write siblings: those that match, those that are nearly alike, then the rest."""
        forest = self._forest
        left = list(found)
        partners: list[tuple[ExpectedSpan, list[Node]]] = [(one, []) for one in expected]
        # Whoever takes any number takes what the others leave.
        in_turn = sorted(partners, key=lambda partner: partner[0].count is None)
        for wanted_alike in (forest.matches, _is_like, _has_name):
            for one, nodes in in_turn:
                for node in list(left):
                    if one.count is not None and len(nodes) >= one.count:
                        break
                    if wanted_alike(one, node):
                        nodes.append(node)
                        left.remove(node)
        for one, nodes in partners:
            self._write(one, nodes, depth)
        for node in left:
            self._write_found(node, depth, " " if is_open else ">")
        if is_open:
            self.rows.append(_Row(" ", _INDENT * depth + "...", ""))

    def _write(self, expected: ExpectedSpan, nodes: list[Node], depth: int) -> None:
        for node in nodes:
            is_same = _is_like(expected, node) and not node.is_orphan
            self._put(" " if is_same else "!", expected.line(), _line(node, expected), depth)
            missing = missing_links(expected, node)
            for link in expected.links:
                mark = "<" if link in missing else " "
                self._put(mark, f"~> {link}", "" if link in missing else f"~> {link}", depth + 1)
            self.pair(expected.children, node.children, depth + 1, is_open=expected.is_open)
        for _ in range((expected.count or 1) - len(nodes)):
            self._write_missing(expected, depth)

    def _write_missing(self, expected: ExpectedSpan, depth: int) -> None:
        self._put("<", expected.line(), "", depth)
        for link in expected.links:
            self._put("<", f"~> {link}", "", depth + 1)
        for child in expected.children:
            for _ in range(child.count or 1):
                self._write_missing(child, depth + 1)

    def _write_found(self, node: Node, depth: int, mark: str) -> None:
        self._put(mark, "", _line(node, None), depth)
        for child in node.children:
            self._write_found(child, depth + 1, mark)

    def _put(self, mark: str, expected: str, found: str, depth: int) -> None:
        indent = _INDENT * depth
        self.rows.append(_Row(mark, indent + expected if expected else "", indent + found if found else ""))


def _has_name(expected: ExpectedSpan, node: Node) -> bool:
    return node.span.name == expected.name


def _is_like(expected: ExpectedSpan, node: Node) -> bool:
    """Compare name and attributes; links have lines of their own."""
    return node.is_like(replace(expected, links=()))


def _line(node: Node, expected: ExpectedSpan | None) -> str:
    """Write a found span with what its expected one asks for."""
    keys = () if expected is None else expected.attributes
    attributes = {key: node.value(key) for key in keys}
    line = ExpectedSpan(node.span.name, {key: value for key, value in attributes.items() if value is not None}).line()
    return f"{line} (its parent {node.span.parent_id} is not there)" if node.is_orphan else line


def _table(rows: Sequence[_Row], width: int) -> list[str]:
    """Write two columns, or marked lines where two have no room."""
    left = max([len("expected"), *(len(row.expected) for row in rows)])
    right = max([len("found"), *(len(row.found) for row in rows)])
    if left + right + len("!   ") <= width:
        head = _Row(" ", "expected", "found")
        return [f"{row.mark} {row.expected:<{left}}  {row.found}".rstrip() for row in (head, *rows)]
    lines = ["- expected", "+ found"]
    for row in rows:
        if row.mark == " ":
            lines.append(f"  {row.found or row.expected}")
        else:
            lines += [f"- {row.expected}"] if row.expected else []
            lines += [f"+ {row.found}"] if row.found else []
    return lines
