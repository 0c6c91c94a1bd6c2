"""Expected traces: read from indented text or from nested tuples.

    request [http.route=/orders]
      agent.on_event [agent.id=billing status=error]
        chat gpt *
        execute_tool search *2
        ~> EventBus.publish
        ...

A line is a span, its indentation says whose child. In brackets stand attributes that it must have; others may be there.
``service``, ``kind`` and ``status`` mean the span's own fields, and ``[name=*]`` any value. ``*`` after a name means
one such sibling or more, ``*3`` three of them. ``~> name`` is a link to a span of this name, or with ``~> *`` to any
span. ``...`` allows for children that are not named. Names that end in such marks stand in double quotes, as in JSON.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from textwrap import dedent
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ExpectedSpan", "Tree", "read_tree"]

_LINE = re.compile(
    r"""(?P<name>"(?:[^"\\]|\\.)*"|.+?)
        (?:\s+\[(?P<attributes>(?:[^\]"]|"(?:[^"\\]|\\.)*")*)\])?
        (?:\s+\*(?P<count>\d*))?\s*$""",
    re.VERBOSE,
)
_ATTRIBUTE = re.compile(r'(?P<key>[^\s=,]+)\s*=\s*(?P<value>"(?:[^"\\]|\\.)*"|[^\s,]+)[\s,]*')
ANYTHING = "*"
LINK = "~>"
REST = ("...", "…")


@dataclass(frozen=True, slots=True)
class ExpectedSpan:
    """A span that shall be there, with all its children."""

    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    children: tuple[ExpectedSpan, ...] = ()
    links: tuple[str, ...] = ()
    """Names of spans that it shall be linked to; ``*`` is any."""
    count: int | None = 1
    """How many such siblings there shall be; None for one or more."""
    is_open: bool = False
    """It may have other children, too."""

    def line(self) -> str:
        """Write it as its line in a tree."""
        parts = [_quoted(self.name)]
        if self.attributes:
            parts.append(f"[{' '.join(f'{key}={shown(value)}' for key, value in self.attributes.items())}]")
        if self.count != 1:
            parts.append(f"*{self.count or ''}")
        return " ".join(parts)


Part: TypeAlias = str | ExpectedSpan | tuple[Any, ...]
"""A span: a line, a tuple of a line and its children, or an ``ExpectedSpan``."""
Tree: TypeAlias = Part | list[Any]
"""Indented text, one span, or a list of them."""


def read_tree(tree: Tree) -> tuple[tuple[ExpectedSpan, ...], bool]:
    """Read the roots of an expected tree, and whether there may be others.

    Raises:
        ValueError: The tree cannot be read; the message names the line.

    """
    if isinstance(tree, str):
        return _read_text(tree)
    parts = tree if isinstance(tree, list) else [tree]
    root = _with_children(ExpectedSpan(""), parts)
    if root.links:
        raise ValueError("a link belongs to a span: put it below one")
    return root.children, root.is_open


def shown(value: Any) -> str:
    """Write a value as a tree has it."""
    if isinstance(value, bool):
        return str(value).lower()
    text = value if isinstance(value, str) else str(value)
    return json.dumps(text, ensure_ascii=False) if not text or re.search(r'[\s,\]"]', text) else text


def _quoted(name: str) -> str:
    is_plain = name == name.strip() != "" and not re.search(r"\s(\*\d*|\[.*\])$", name)
    is_plain = is_plain and name not in REST and not name.startswith((LINK, '"', "#"))
    return name if is_plain else json.dumps(name, ensure_ascii=False)


def _read_text(text: str) -> tuple[tuple[ExpectedSpan, ...], bool]:
    lines = [(number, line) for number, line in enumerate(dedent(text).expandtabs().splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line.strip() and not line.lstrip().startswith("#")]
    # The spans that a line may stand below, each with its indentation; the first entry stands above the roots.
    above: list[tuple[int, list[Any]]] = [(-1, [])]
    for number, line in lines:
        indent = len(line) - len(line.lstrip())
        closed = indent
        while above[-1][0] >= indent:
            closed = above.pop()[0]
        if closed != indent:
            raise ValueError(f"line {number} of the expected tree is indented like no line above it: {line.strip()!r}")
        content = line.strip()
        if content in REST or content.startswith(LINK):
            above[-1][1].append(content)
        else:
            parts: list[Any] = [_read_line(content, number)]
            above[-1][1].append(parts)
            above.append((indent, parts))
    root = _with_children(ExpectedSpan(""), [_fold(part) for part in above[0][1]])
    if root.links:
        raise ValueError("a link belongs to a span: put it below one")
    return root.children, root.is_open


def _fold(part: Any) -> Any:
    if isinstance(part, str):
        return part
    span, *children = part
    return _with_children(span, [_fold(child) for child in children])


def _with_children(span: ExpectedSpan, parts: Iterable[Any]) -> ExpectedSpan:
    children: list[ExpectedSpan] = list(span.children)
    links: list[str] = list(span.links)
    is_open = span.is_open
    for part in parts:
        if part is ... or (isinstance(part, str) and part.strip() in REST):
            is_open = True
        elif isinstance(part, str) and part.strip().startswith(LINK):
            links.append(_unquoted(part.strip()[len(LINK) :].strip()))
        else:
            children.append(_read_part(part))
    return ExpectedSpan(span.name, span.attributes, tuple(children), tuple(links), span.count, is_open)


def _is_branch(part: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(part, tuple) and part != ()


def _read_part(part: object) -> ExpectedSpan:
    if isinstance(part, ExpectedSpan):
        return part
    if isinstance(part, str):
        return _read_line(part.strip(), None)
    if _is_branch(part):
        line, *children = part
        if isinstance(line, ExpectedSpan):
            return _with_children(line, children)
        return _with_children(_read_line(line.strip(), None), children)
    raise ValueError(f"no span of an expected tree: {part!r}; use 'name', or ('name', child, …)")


def _read_line(line: str, number: int | None) -> ExpectedSpan:
    where = "the expected tree" if number is None else f"line {number} of the expected tree"
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"{where} cannot be read: {line!r}")
    attributes: dict[str, str] = {}
    text = (match["attributes"] or "").strip()
    position = 0
    while position < len(text):
        attribute = _ATTRIBUTE.match(text, position)
        if attribute is None:
            raise ValueError(f"{where} has an attribute that cannot be read: {text[position:]!r}")
        attributes[attribute["key"]] = _unquoted(attribute["value"])
        position = attribute.end()
    count = match["count"]
    return ExpectedSpan(
        _unquoted(match["name"]), attributes, count=1 if count is None else int(count) if count else None
    )


def _unquoted(text: str) -> str:
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        return str(json.loads(text))
    return text
