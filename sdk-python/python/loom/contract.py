"""The contract net of FIPA: a call for proposals, bids, and an award that returns the result.

| FIPA | here |
| --- | --- |
| ``cfp`` | the request of a fan-out, with the task as its payload |
| ``propose``, ``refuse`` | its replies, by their type |
| ``accept-proposal`` | a call of a capability that only the bidding process provides |
| ``inform``, ``failure`` | the result of that call, and its error |
| ``reject-proposal`` | an event to the bidder's inbox |

The award is a call, so whoever dies with it is noticed at once, and nobody else gets it.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from loom._functions import call
from loom._payload import decode
from loom.exceptions import HandlerFailed, InvalidEvent, LoomError, Overloaded, ProviderGone, UnknownCapability

if TYPE_CHECKING:
    from collections.abc import Callable

    from loom import _native
    from loom.handler import Context
    from loom.outgoing import Emitter, Outgoing
    from loom.replies import Replies

__all__ = ["CFP", "Bidder", "Contracts", "Proposal", "Proposals", "open_until"]

_log = logging.getLogger("loom")

CFP = "cfp"
PROPOSE = "propose"
REFUSE = "refuse"
REJECT = "reject-proposal"

AWARD_PREFIX = "_award."
"""Begins the name of the capability that takes a process' awards; its instance id follows."""
CONTRACT = "loom-contract"
"""Header of a proposal: its id."""
AWARD = "loom-award"
"""Header of a proposal: the capability that takes its award."""
OPEN_MS = "loom-open-ms"
"""Header of a call for proposals: how long a proposal stays open, in milliseconds."""

_MAX_HELD = 1024
"""Proposals of one agent that may be open; more calls are refused."""
_REJECTION_TIMEOUT = 1.0
"""Seconds that a rejection may wait for room: the result of an award is not held back for it."""
_MAX_OPEN_MS = 24 * 3600 * 1000
_DEFAULT_OPEN_MS = 60_000


class Proposal(NamedTuple):
    """What an agent would do a task for."""

    sender: str
    """Agent id of the bidder."""
    bid: Any
    """What its bid handler has returned."""
    event: _native.Event
    """The reply that brought it."""


class Proposals(Sequence[Proposal]):
    """The proposals for a task, in the order in which they came. Award one; the others are rejected then."""

    __slots__ = ("_open", "_outgoing", "_proposals", "missing", "refused")

    missing: int
    """How many agents of those that were asked for have not answered in time; 0 where no number was given."""
    refused: int
    """How many agents do not want the task, or have answered what is no proposal."""

    def __init__(self, outgoing: Outgoing, replies: Replies) -> None:
        self._outgoing = outgoing
        self._proposals = tuple(proposal for reply in replies if (proposal := _proposal(reply)) is not None)
        self._open = list(self._proposals)
        self.refused = len(replies) - len(self._proposals)
        self.missing = replies.missing

    async def award(self, proposal: Proposal, *, timeout: float = 30.0) -> Any:
        """Accept a proposal, and return the result of the task; the others are rejected when it is there.

        When it fails the others are open still: award the next.

        Raises:
            ProviderGone: The bidder has left, or died with the award: it may or may not have done the work.
            HandlerFailed: It could not do the work, or its proposal is not open any more.
            DeadlineExceeded: No result within ``timeout`` seconds; the bidder was told to stop.

        """
        if proposal not in self._open:
            raise InvalidEvent(f"the proposal of {proposal.sender} is not open: it was awarded or rejected before")
        self._open.remove(proposal)
        headers = proposal.event.metadata
        try:
            result = await self._outgoing.invoke(headers[AWARD], {"contract": headers[CONTRACT]}, timeout=timeout)
        except UnknownCapability:
            raise ProviderGone(f"agent {proposal.sender} has left with its proposal: award another one") from None
        await self.reject()
        return result

    async def reject(self) -> None:
        """Reject the proposals that are open; one whose rejection cannot be sent ends with its time."""
        while self._open:
            rejected = self._open.pop()
            event = rejected.event
            try:
                await self._outgoing.emit(
                    event.reply_to,
                    type=REJECT,
                    thread_id=event.thread_id,
                    correlation_id=event.metadata[CONTRACT],
                    timeout=_REJECTION_TIMEOUT,
                )
            except LoomError as error:
                _log.info("the rejection of %s's proposal was not sent: %s", rejected.sender, error)

    @overload
    def __getitem__(self, index: int) -> Proposal: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Proposal, ...]: ...
    def __getitem__(self, index: int | slice) -> Proposal | tuple[Proposal, ...]:
        return self._proposals[index]

    def __len__(self) -> int:
        return len(self._proposals)

    def __repr__(self) -> str:
        bids = {proposal.sender: proposal.bid for proposal in self}
        return f"Proposals({bids}, refused={self.refused}, missing={self.missing})"


class Contracts:
    """The proposals of one agent that may be awarded. All of it belongs to the event loop's thread."""

    def __init__(self, instance_id: str) -> None:
        self.capability = f"{AWARD_PREFIX}{instance_id}"
        self._emitter: Emitter | None = None
        self._held: dict[str, _Held] = {}

    def bind(self, emitter: Emitter) -> None:
        """Use the connection of a started agent."""
        self._emitter = emitter

    async def award(self, ctx: Context, args: dict[str, object]) -> Any:
        """Serve the capability: do the work of a proposal."""
        held = self._held.get(str(args.get("contract")))
        if held is None:
            raise HandlerFailed("the proposal is not open any more: it was awarded or rejected, or its time is over")
        held.close()
        return await call(held.perform, ctx, held.task, held.bid)

    async def propose(self, ctx: Context, held: _Held, cfp: _native.Event) -> None:
        """Send a proposal, and keep it open as long as its caller wants.

        Raises:
            Overloaded: Too many are open.

        """
        if len(self._held) >= _MAX_HELD:
            raise Overloaded(f"{_MAX_HELD} proposals of this agent are open already")
        emitter = self._emitter
        assert emitter is not None  # noqa: S101 - bound before the first event comes
        requests = emitter.connection.requests
        contract = uuid.uuid4().hex
        # Its rejection comes to the inbox, like a reply to it.
        requests.admit(contract, held)

        def close() -> None:
            timer.cancel()
            requests.close(contract)
            self._held.pop(contract, None)

        timer = emitter.loop.call_later(_open_seconds(cfp), close)
        held.close = close
        self._held[contract] = held
        try:
            await ctx.emit(
                cfp.reply_to,
                type=PROPOSE,
                payload=held.bid,
                correlation_id=cfp.correlation_id,
                reply_to=emitter.inbox,
                metadata={CONTRACT: contract, AWARD: self.capability},
            )
        except BaseException:
            close()
            raise

    def __len__(self) -> int:
        return len(self._held)


class Bidder:
    """Answers calls for proposals."""

    def __init__(self, contracts: Contracts, bid: Callable[..., Any], perform: Callable[..., Any]) -> None:
        self._contracts = contracts
        self._bid = bid
        self._perform = perform

    async def on_cfp(self, ctx: Context, topic: str, event: _native.Event) -> None:  # noqa: ARG002 - a handler's
        """Handle a call for proposals."""
        if not event.reply_to:
            raise InvalidEvent(
                f"the event {event.id} on {event.topic} is no call for proposals: nobody awaits a bid",
                field="event.envelope.reply_to",
            )
        task = decode(event.payload, event.content_type)
        try:
            bid = await call(self._bid, ctx, task)
            if bid is not None:
                await self._contracts.propose(ctx, _Held(self._perform, task, bid), event)
                return
        except Overloaded as error:
            _log.warning("a call for proposals on %s is refused: %s", event.topic, error)
        except Exception:
            # The error is this agent's own; the caller need not wait for its time to be over.
            await ctx.reply(type=REFUSE)
            raise
        await ctx.reply(type=REFUSE)


class _Held:
    """One proposal that may be awarded; whatever comes to the inbox for it rejects it."""

    close: Callable[[], None]

    def __init__(self, perform: Callable[..., Any], task: Any, bid: Any) -> None:
        self.perform = perform
        self.task = task
        self.bid = bid

    def done(self) -> bool:
        return False

    def set_result(self, _rejection: object) -> None:
        self.close()

    def set_exception(self, _error: LoomError) -> None:
        self.close()


def _proposal(reply: _native.Event) -> Proposal | None:
    """Read a reply; None where it is none that could be awarded."""
    headers = reply.metadata
    if reply.type != PROPOSE or CONTRACT not in headers or not headers.get(AWARD, "").startswith(AWARD_PREFIX):
        return None
    try:
        return Proposal(reply.sender, decode(reply.payload, reply.content_type), reply)
    except ValueError as error:
        _log.warning("the bid of agent %s cannot be read: %s", reply.sender, error)
        return None


def open_until(seconds: float) -> dict[str, str]:
    """Return the headers of a call whose proposals stay open for so long."""
    if not 0 < seconds * 1000 <= _MAX_OPEN_MS:
        raise ValueError(f"open_for is {seconds}: it is a number of seconds, at most {_MAX_OPEN_MS // 1000}")
    return {OPEN_MS: str(math.ceil(seconds * 1000))}


def _open_seconds(cfp: _native.Event) -> float:
    text = cfp.metadata.get(OPEN_MS, "")
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(_MAX_OPEN_MS))
    milliseconds = int(text) if is_number else _DEFAULT_OPEN_MS
    return min(milliseconds, _MAX_OPEN_MS) / 1000
