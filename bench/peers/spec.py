"""What the driver tells a role process, and the lines in which they talk."""

import json
import sys
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Tracing:
    """W5: the Python OpenTelemetry SDK in publisher and subscriber."""

    port: int
    queue: int


@dataclass(frozen=True)
class Spec:
    """One role process of one run; travels as JSON in its first argument."""

    system: str
    role: str
    workload: str
    topic: str
    events: int
    """Events of the measured phase."""
    warm: int
    """Events before it, not counted."""
    size: int
    """Bytes of a payload."""
    rate: float = 0.0
    """Events per second; 0 is as fast as the system takes them."""
    subscriptions: int = 1
    out_topic: str = ""
    expect_value: float | None = None
    tracing: Tracing | None = None
    params: dict[str, Any] = field(default_factory=dict)
    """What the adapter's broker side tells its clients, ports above all."""

    @property
    def latency(self) -> bool:
        """Whether each event's latency is kept."""
        return self.rate > 0

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def load(text: str) -> "Spec":
        raw = json.loads(text)
        tracing = raw.pop("tracing")
        return Spec(tracing=Tracing(**tracing) if tracing else None, **raw)


def say(word: str, value: object = None) -> None:
    """One line to the driver: a word, and a value as JSON."""
    text = word if value is None else f"{word} {json.dumps(value)}"
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
