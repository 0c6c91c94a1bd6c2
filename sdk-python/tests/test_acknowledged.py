"""Acknowledged subscriptions: what a handler's end says, and what the server makes of it."""

from __future__ import annotations

import pickle
from typing import Any

import loom
import pytest
from loom._outcome import UNDECIDED, Failure, Verdict, failure_of
from loom.subscription import Acknowledged, acknowledged

# The first agent of the process sets telemetry up: no test may make one before the server is there.
pytestmark = pytest.mark.usefixtures("server")

# ---- the definition ----


def test_an_acknowledged_subscription_has_a_share_in_a_group() -> None:
    options: Any = {"group": None, "max_attempts": 0, "timeout": 0.0, "start": None, "max_in_flight": 1}
    assert acknowledged(ack=False, **options) is None
    # One in the handler and one that waits for it; everything else is the server's to say.
    assert acknowledged(ack=True, **options) == Acknowledged("", 2, 0, 0, 0)
    given = {"group": "workers", "max_attempts": 5, "timeout": 0.0001, "start": "new", "max_in_flight": 64}
    assert acknowledged(ack=True, **(options | given)) == Acknowledged("workers", 128, 5, 1, 1)
    assert acknowledged(ack=True, **(options | {"start": "all", "timeout": 30})) == Acknowledged("", 2, 0, 30_000, 0)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"group": "workers"}, "group given without ack"),
        ({"max_attempts": 5, "timeout": 1.0}, "max_attempts, timeout given without ack"),
        ({"start": "new"}, "start given without ack"),
        ({"ack": True, "group": ""}, "group is empty"),
        ({"ack": True, "max_attempts": -1}, "max_attempts is -1"),
        ({"ack": True, "timeout": float("nan")}, "timeout is nan"),
        ({"ack": True, "timeout": 1e9}, "timeout is"),
        ({"ack": True, "start": "old"}, "start is 'old'"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], what: str) -> None:
    agent = loom.Agent("refused")
    with pytest.raises(loom.InvalidAgent, match=what) as caught:
        agent.on("orders.>", **options)
    assert (caught.value.code, caught.value.field) == ("invalid_subscription", "hello.subscriptions")
    with pytest.raises(loom.InvalidAgent, match=what):
        loom.Agent("refused", topics=["orders.>"], on_event=print, **options)


def test_ack_belongs_to_topics() -> None:
    with pytest.raises(loom.InvalidAgent, match="without topics"):
        loom.Agent("refused", ack=True)


# ---- the verdict ----


def test_what_a_handler_raises_decides() -> None:
    assert failure_of(ValueError("no")) == Failure(Verdict.RETRY, 0, "ValueError: no")
    assert failure_of(loom.Retry()) == Failure(Verdict.RETRY, 0, "Retry: ")
    assert failure_of(loom.Retry("busy", delay=1.5)) == Failure(Verdict.RETRY, 1500, "Retry: busy")
    assert failure_of(loom.Retry(delay=0.0001)).delay_ms == 1
    assert failure_of(loom.Retry(delay=1e300)).delay_ms == 0xFFFF_FFFF
    assert failure_of(loom.Reject("bad")) == Failure(Verdict.REJECT, 0, "Reject: bad")
    assert UNDECIDED.verdict == 0
    for delay in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="delay is"):
            loom.Retry(delay=delay)


def test_a_signal_keeps_its_causes() -> None:
    try:
        try:
            try:
                raise KeyError("currency")
            except KeyError as error:
                raise ValueError("no price") from error
        except ValueError as error:
            raise loom.Reject("order 7") from error
    except loom.Reject as error:
        message = failure_of(error).message
    assert message == "Reject: order 7, caused by ValueError: no price, caused by KeyError: 'currency'"


def test_signals_are_no_errors_of_loom_and_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(loom.Retry("busy", delay=2)))
    assert (type(again), str(again), again.delay) == (loom.Retry, "busy", 2)
    assert str(pickle.loads(pickle.dumps(loom.Reject("bad")))) == "bad"
    assert not issubclass(loom.Retry, loom.LoomError)
    assert not issubclass(loom.Reject, loom.LoomError)
