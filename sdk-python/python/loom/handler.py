"""What a handler is given: the way out, the handled event, and its span."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from loom.blocking import BlockingContext
from loom.exceptions import InvalidEvent, LoomError
from loom.lifecycle import Tool, tell_thought
from loom.outgoing import DEFAULT_TIMEOUT, Emitter, Outgoing
from loom.phases import Phase, Timing, timing_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Span

    from loom import _native

__all__ = ["Context"]


class Context(Outgoing):
    """What a handler is given: the agent's way out, the handled event, and its span."""

    __slots__ = ("_is_given_up", "_timing", "caller", "span")

    _is_given_up: bool
    _timing: Timing
    span: Span
    """The span of this handler; the current one while it runs."""
    caller: str
    """Agent id of a call's caller; empty in handlers of events."""

    def __init__(self, emitter: Emitter, event: _native.Event | None, span: Any, caller: str = "") -> None:
        self._emitter = emitter
        self._event = event
        self.span = span
        self.caller = caller

    @property
    def event(self) -> _native.Event:
        """The handled event."""
        if self._event is None:
            raise LoomError("a call has no event: its arguments are the handler's second parameter")
        return self._event

    @property
    def is_cancelled(self) -> bool:
        """Nobody waits for this handler any more: its time is up, or its caller has gone.

        An ``async`` handler is cancelled then. A plain function runs in a thread, which cannot be stopped from outside:
        a long one looks here now and then, and returns.
        """
        # Not set at the start: few handlers ask.
        return getattr(self, "_is_given_up", False)

    def thinking(self, text: str | None = None) -> None:
        """Tell that the handler thinks: ``agent_thinking`` on its span, with the text only if the agent captures it."""
        tell_thought(self.span, text, capture_content=self._emitter.capture_content)

    def tool(self, name: str, /, **arguments: Any) -> Tool:
        """Use a tool: ``with ctx.tool("search", query=text):``, or ``async with``.

        The block is a span ``execute_tool NAME`` and the current one, between ``tool_executing`` and
        ``tool_completed`` on the handler's span. The arguments are recorded only if the agent captures contents; the
        tool itself is the caller's to call.
        """
        return Tool(self.span, name, arguments, capture_content=self._emitter.capture_content)

    def phase(self, name: str, /) -> Phase:
        """Name what the handler does now: ``with ctx.phase("llm_processing"):``, or ``async with``.

        The block is a span of that name and the current one, and its time is added to ``loom.phase.NAME_ms`` of the
        handler's span. ``initialization``, ``tool_execution``, ``llm_processing``, ``result_formatting`` and
        ``websocket_notification`` are the usual names; others are written in lower case, and all but letters, digits
        and ``_`` becomes ``_``.
        """
        return Phase(self.timing, name)

    @property
    def timing(self) -> Timing:
        """How long each phase took so far."""
        # Not made at the start: few handlers have phases.
        try:
            return self._timing
        except AttributeError:
            self._timing = timing = timing_of(self.span)
            return timing

    def give_up(self) -> None:
        """Tell the handler that nobody waits for it. For the agent."""
        self._is_given_up = True

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the agent."""
        return self._emitter.loop

    def parked(self) -> AbstractContextManager[None]:
        """Give this handler's place among ``max_in_flight`` to another one while it waits for further events."""
        # Calls have no place among them.
        return nullcontext() if self._event is None else self._emitter.parked()

    async def barrier(self, name: str, parties: int, *, timeout: float = DEFAULT_TIMEOUT) -> int:
        """See ``Agent.barrier``. While this handler waits, another one may run in its place."""
        with self.parked():
            return await super().barrier(name, parties, timeout=timeout)

    @property
    def blocking(self) -> BlockingContext:
        """The same for handlers that are plain functions, which run in a thread."""
        return BlockingContext(self)

    @property
    def _joining_span(self) -> Any:
        return self.span

    async def reply(
        self,
        payload: Any = b"",
        *,
        to: _native.Event | None = None,
        type: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Answer the handled event, or ``to``, where its producer awaits an answer.

        Raises:
            InvalidEvent: The event's producer awaits none.

        """
        event = self.event if to is None else to
        if not event.reply_to:
            raise InvalidEvent(
                f"nobody awaits a reply to the event {event.id} on {event.topic}: it was emitted, not requested",
                field="event.envelope.reply_to",
            )
        return await self.emit(
            event.reply_to,
            type=type,
            payload=payload,
            correlation_id=event.correlation_id or None,
            thread_id=event.thread_id or None,
            metadata=metadata,
        )
