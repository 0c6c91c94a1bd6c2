"""Does a trace have the expected tree? Siblings have no order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from loom.testing.tree import ANYTHING, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from loom.testing.record import SpanRecord
    from loom.testing.tree import ExpectedSpan

__all__ = ["Forest", "Node", "missing_links"]

L = TypeVar("L")
R = TypeVar("R")

_MISSING = object()


class Node:
    """A found span with its children."""

    __slots__ = ("children", "is_orphan", "links", "span")

    def __init__(self, span: SpanRecord) -> None:
        self.span = span
        self.children: list[Node] = []
        self.is_orphan = False
        self.links: list[str] = []
        """Names of the spans that it points to; an id where the span was not found."""

    def value(self, key: str) -> Any:
        """Read what a tree calls ``key``; None where there is no such attribute."""
        found = self._value(key)
        return None if found is _MISSING else found

    def _value(self, key: str) -> Any:
        if key in ("service", "kind", "status"):
            return getattr(self.span, key)
        return self.span.attributes.get(key, _MISSING)

    def is_like(self, expected: ExpectedSpan) -> bool:
        """Compare the span itself, without its children."""
        if self.span.name != expected.name:
            return False
        for key, value in expected.attributes.items():
            found = self._value(key)
            if found is _MISSING or (value != ANYTHING and shown(found) != shown(value)):
                return False
        return not missing_links(expected, self)


def missing_links(expected: ExpectedSpan, node: Node) -> list[str]:
    """Name the links that a span shall have and has not."""
    left = list(node.links)
    missing: list[str] = []
    # The names first, so that "any" takes what they leave.
    for name in sorted(expected.links, key=lambda name: name == ANYTHING):
        taken = left[0] if name == ANYTHING and left else name
        if taken in left:
            left.remove(taken)
        else:
            missing.append(name)
    return missing


class Forest:
    """The found spans as trees, in the order of their start."""

    def __init__(self, spans: Iterable[SpanRecord]) -> None:
        nodes = {span.span_id: Node(span) for span in sorted(spans, key=lambda span: (span.start_us, span.span_id))}
        self.nodes: Mapping[str, Node] = nodes
        self.roots: list[Node] = []
        for node in nodes.values():
            parent = node.span.parent_id
            if parent in nodes and not _is_below(nodes, node, parent):
                nodes[parent].children.append(node)
            else:
                node.is_orphan = parent is not None
                self.roots.append(node)
            for link in node.span.links:
                other = nodes.get(link.span_id)
                node.links.append(link.span_id if other is None else other.span.name)
        self._known: dict[tuple[int, int], bool] = {}

    def equals(self, expected: Sequence[ExpectedSpan], *, is_open: bool) -> bool:
        """All expected roots are there, and no others unless the tree is open."""
        self._compare_leaves_first(expected)
        return not any(root.is_orphan for root in self.roots) and self._all_match(expected, self.roots, is_open=is_open)

    def matches(self, expected: ExpectedSpan, node: Node) -> bool:
        """Compare a span with everything below it."""
        # Found spans and expected ones live as long as the comparison, so their ids do not come again.
        key = (id(expected), id(node))
        known = self._known.get(key)
        if known is None:
            known = node.is_like(expected) and self._all_match(
                expected.children, node.children, is_open=expected.is_open
            )
            self._known[key] = known
        return known

    def _compare_leaves_first(self, expected: Sequence[ExpectedSpan]) -> None:
        """Fill what is known from below: a chain of hundreds of spans is deeper than Python's stack."""
        level: list[tuple[ExpectedSpan, Node]] = [(one, root) for one in expected for root in self.roots]
        pairs: list[tuple[ExpectedSpan, Node]] = []
        while level:
            level = [(one, node) for one, node in level if one.name == node.span.name]
            pairs += level
            level = [(child, below) for one, node in level for child in one.children for below in node.children]
        for one, node in reversed(pairs):
            self.matches(one, node)

    def _all_match(self, expected: Sequence[ExpectedSpan], found: Sequence[Node], *, is_open: bool) -> bool:
        wanted = [one for one in expected for _ in range(1 if one.count is None else one.count)]
        repeated = [one for one in expected if one.count is None]

        def is_optional(node: Node) -> bool:
            return is_open or any(self.matches(one, node) for one in repeated)

        needed = [node for node in found if not is_optional(node)]
        # A pairing that covers all that is wanted and one that covers all that is needed are together one that covers
        # both (Mendelsohn and Dulmage).
        return _can_cover(wanted, found, self.matches) and _can_cover(
            needed, wanted, lambda node, one: self.matches(one, node)
        )


def _can_cover(left: Sequence[L], right: Sequence[R], fits: Callable[[L, R], bool]) -> bool:
    """Tell whether each on the left can have one of its own on the right (augmenting paths)."""
    taken: dict[int, int] = {}

    def place(one: int, tried: set[int]) -> bool:
        for other, candidate in enumerate(right):
            if other in tried or not fits(left[one], candidate):
                continue
            tried.add(other)
            if other not in taken or place(taken[other], tried):
                taken[other] = one
                return True
        return False

    return len(left) <= len(right) and all(place(one, set()) for one in range(len(left)))


def _is_below(nodes: Mapping[str, Node], node: Node, parent: str | None) -> bool:
    """Tell whether the parent is a descendant of the span: a circle, which is no tree."""
    seen: set[str] = set()
    while parent is not None and parent in nodes and parent not in seen:
        if parent == node.span.span_id:
            return True
        seen.add(parent)
        parent = nodes[parent].span.parent_id
    return False
