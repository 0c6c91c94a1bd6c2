"""Who a piece of work is about: agent, workflow, session, user, tenant, thread, correlation, and free baggage.

    with loom.context(workflow_id="onboarding", user_id=user.id):
        await agent.emit("guest.arrived", payload=...)

Everything that begins inside is about them: spans of this process (Loom's, your own, and those of any instrumentation),
events and their handlers, calls and their providers, whatever the process or the thread. It is OpenTelemetry's baggage,
so keep secrets out of it: instrumented HTTP clients send it along.
"""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from opentelemetry.context import Context

from loom._baggage import IDENTITY, baggage_of, text
from loom._functions import in_block
from loom._otel import BAGGAGE_KEY, get_current, set_current
from loom.semconv import attribute

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

__all__ = ["Identity", "context", "current_agent", "get_current_context", "set_current_context"]

F = TypeVar("F")

current_agent: ContextVar[str | None] = ContextVar("loom_agent", default=None)
"""The agent that was started in this context; handlers have it in their baggage."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the current work is about; None where that was not said."""

    agent_id: str | None = None
    workflow_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    tenant_id: str | None = None
    thread_id: str | None = None
    correlation_id: str | None = None
    baggage: Mapping[str, str] = field(default_factory=dict[str, str])
    """All other entries."""


def get_current_context() -> Identity:
    """Tell whom the current work is about."""
    entries = baggage_of(get_current())
    return Identity(
        agent_id=text(entries.get(attribute.AGENT)) or current_agent.get(),
        workflow_id=text(entries.get(attribute.WORKFLOW_ID)),
        session_id=text(entries.get(attribute.SESSION_ID)),
        user_id=text(entries.get(attribute.USER_ID)),
        tenant_id=text(entries.get(attribute.TENANT_ID)),
        thread_id=text(entries.get(attribute.THREAD_ID)),
        correlation_id=text(entries.get(attribute.CORRELATION_ID)),
        baggage={key: str(value) for key, value in entries.items() if key not in IDENTITY.values()},
    )


def set_current_context(
    *,
    agent_id: object = None,
    workflow_id: object = None,
    session_id: object = None,
    user_id: object = None,
    tenant_id: object = None,
    thread_id: object = None,
    correlation_id: object = None,
    baggage: Mapping[str, object] | None = None,
) -> None:
    """Say whom all that follows in this task or thread is about, until it ends or is told otherwise.

    None leaves a part as it is, an empty text removes it. In a handler it ends with the handler. ``with context(...)``
    ends by itself.
    """
    given = (agent_id, workflow_id, session_id, user_id, tenant_id, thread_id, correlation_id)
    _enter(_entries(given, baggage))


class context:  # noqa: N801 - called like a function
    """The same for a ``with`` block, or for each call of a decorated function, async or not.

    Do not ``yield`` inside of the block: a generator leaves it only when it goes on. ``loom.traced`` knows how.
    """

    __slots__ = ("_before", "_entries")

    _entries: Mapping[str, str]

    def __init__(
        self,
        *,
        agent_id: object = None,
        workflow_id: object = None,
        session_id: object = None,
        user_id: object = None,
        tenant_id: object = None,
        thread_id: object = None,
        correlation_id: object = None,
        baggage: Mapping[str, object] | None = None,
    ) -> None:
        given = (agent_id, workflow_id, session_id, user_id, tenant_id, thread_id, correlation_id)
        self._entries = _entries(given, baggage)

    @classmethod
    def _of(cls, entries: Mapping[str, str]) -> context:
        block = cls()
        block._entries = entries
        return block

    def __enter__(self) -> Identity:
        self._before = get_current()
        _enter(self._entries)
        return get_current_context()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # By value, as spans do it: a token works in the Context only that made it.
        set_current(self._before)

    def __call__(self, function: F) -> F:
        """Run each call of a function in this context."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("a generator would leave its context with its caller: decorate it with loom.traced instead")
        return in_block(function, lambda _args, _kwargs: self._of(self._entries))


def _entries(given: tuple[object, ...], baggage: Mapping[str, object] | None) -> Mapping[str, str]:
    """``given`` stands in the order of IDENTITY."""
    entries = {key: str(value) for key, value in (baggage or {}).items()}
    return entries | {key: str(value) for key, value in zip(IDENTITY.values(), given, strict=True) if value is not None}


def _enter(entries: Mapping[str, str]) -> None:
    current = get_current()
    set_current(Context({**current, BAGGAGE_KEY: baggage_of(current).extended(entries)}))
