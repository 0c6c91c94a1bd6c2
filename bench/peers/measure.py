"""One run of one workload: broker up, roles up, warm-up, the measured phase, counting, everything down."""

import tempfile
import time
from dataclasses import dataclass, replace
from typing import Any, Self

from .adapters import Adapter, free_port
from .machine import Noise, cpu_seconds, rss_mib
from .role import Role
from .spec import Spec, Tracing
from .systems import SYSTEMS, load_adapter

PATIENCE = 60.0
"""Seconds until a role has to be ready or warm."""
LIMIT = 240.0
"""Seconds for the measured phase."""
STALL = 5.0
"""Seconds without an event after which what is missing is lost."""
EXPECTED = 31.5
"""What the processor of W3 makes of the sensor's value."""
FAN_OUT = 8
FAN_PROCESSES = 2


@dataclass(frozen=True)
class Plan:
    """What is asked of a run."""

    system: str
    workload: str
    events: int
    size: int = 256
    rate: float = 1000.0
    """Events per second of the paced workloads, W2 and W3L."""
    idle: int = 1000
    """Subscriptions of W6."""

    @property
    def base(self) -> str:
        """The workload without its tracing."""
        return self.workload.removeprefix("W5-")

    @property
    def traced(self) -> bool:
        return self.workload.startswith("W5-")

    @staticmethod
    def default(system: str, workload: str) -> "Plan":
        base = workload.removeprefix("W5-")
        usual = 10_000 if base in ("W2", "W3L") else 20_000 if workload != base else 200_000
        return Plan(system, workload, SYSTEMS[system].events.get(workload, usual))


class Run:
    """The processes of one run; leaves none behind."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.adapter: Adapter = load_adapter(plan.system)
        self.roles: list[Role] = []
        self.sink: Role | None = None
        self.folder = tempfile.TemporaryDirectory(prefix="peers-")

    def __enter__(self) -> Self:
        try:
            self.adapter.start_broker(self.folder.name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for role in self.roles:
            if role.process.poll() is None:
                role.quit(10)
        if self.sink:
            self.sink.quit(5)
        self.adapter.stop_broker()
        self.folder.cleanup()

    def start(self, spec: Spec) -> Role:
        role = Role.worker(spec, self.adapter.environment)
        self.roles.append(role)
        role.wait("READY", PATIENCE)
        return role

    def spec(self) -> Spec:
        """What all roles have in common."""
        plan, tracing = self.plan, None
        if plan.traced:
            port = free_port()
            self.sink = Role.sink(port)
            self.sink.wait("READY", PATIENCE)
            # Room for every span, so that none is dropped: the cost of tracing is measured, not its loss.
            tracing = Tracing(port, 4 * plan.events + 10_000)
        warm = max(20, min(2000, plan.events // 10))
        rate = plan.rate if plan.base in ("W2", "W3L") else 0.0
        return Spec(
            plan.system,
            "publisher",
            plan.base,
            "bench.in",
            plan.events,
            warm,
            plan.size,
            rate,
            tracing=tracing,
            params=self.adapter.params(),
        )

    def processes(self) -> list[Any]:
        roles = [*self.roles, *([self.sink] if self.sink else [])]
        return [*self.adapter.processes, *(role.process for role in roles)]


def throughput(plan: Plan) -> dict[str, Any]:
    """W1 to W5: events through publisher, broker, perhaps a processor, and subscribers."""
    with Run(plan) as run:
        rest = rss_mib(run.adapter.processes)
        spec = run.spec()
        processor: Role | None = None
        if plan.base in ("W3", "W3L"):
            subscribers = [run.start(replace(spec, role="subscriber", topic="bench.out", expect_value=EXPECTED))]
            processor = run.start(replace(spec, role="processor", out_topic="bench.out"))
        elif plan.base == "W4":
            share = replace(spec, role="subscriber", subscriptions=FAN_OUT // FAN_PROCESSES)
            subscribers = [run.start(share) for _ in range(FAN_PROCESSES)]
        else:
            subscribers = [run.start(replace(spec, role="subscriber"))]
        publisher = run.start(spec)
        # Some systems settle their routes after a subscription is acknowledged.
        time.sleep(0.5)
        publisher.send("WARM")
        publisher.wait("WARMED", PATIENCE)
        for subscriber in subscribers:
            subscriber.wait("WARMED", PATIENCE)

        noise, broker_cpu = Noise(run.processes()), cpu_seconds(run.adapter.processes)
        publisher.send("GO")
        published = publisher.wait("DONE", LIMIT)
        received = [counter for process in _collect(subscribers) for counter in process]
        broker_cpu = cpu_seconds(run.adapter.processes) - broker_cpu
        foreign = noise.cores()

        result = _summary(plan, published, received)
        result.update(
            foreign_cores=round(foreign, 3),
            broker_rss_rest_mib=round(rest, 1),
            broker_rss_mib=round(rss_mib(run.adapter.processes), 1),
        )
        result["cpu_us_per_event"]["broker"] = round(broker_cpu / plan.events * 1e6, 2)
        if processor:
            processor.send("STOP")
            cpu = processor.wait("RESULT", PATIENCE)["cpu_s"]
            result["cpu_us_per_event"]["processor"] = round(cpu / plan.events * 1e6, 2)

        # Clients flush their last spans when they leave.
        for role in (publisher, *([processor] if processor else []), *subscribers):
            role.quit(180)
        if run.sink:
            run.sink.send("COUNT")
            result["spans"] = run.sink.wait("SPANS", PATIENCE)
        return result | run.adapter.report()


def publishing(plan: Plan) -> dict[str, Any]:
    """W0: events through one publisher, until the system has settled the last of them."""
    with Run(plan) as run:
        publisher = run.start(run.spec())
        publisher.send("WARM")
        publisher.wait("WARMED", PATIENCE)
        noise = Noise(run.processes())
        publisher.send("GO")
        published = publisher.wait("DONE", LIMIT)
        return {
            "events_per_s": round(plan.events / published["wall_s"]),
            "foreign_cores": round(noise.cores(), 3),
            "cpu_us_per_event": {"publisher": round(published["cpu_s"] / plan.events * 1e6, 2)},
        }


def _collect(subscribers: list[Role]) -> list[list[dict[str, Any]]]:
    """The results of all subscriber processes; when nothing arrives any more they are asked for what they have."""
    results: dict[int, list[dict[str, Any]]] = {}
    seen, moved = -1, time.monotonic()
    while len(results) < len(subscribers):
        total = 0
        for number, subscriber in enumerate(subscribers):
            if number in results:
                continue
            subscriber.send("POLL")
            found = subscriber.line(PATIENCE)
            if found is None:
                raise TimeoutError("a subscriber does not answer")
            word, value = found
            if word == "RESULT":
                results[number] = value
            elif word == "COUNT":
                total += value
        if total != seen:
            seen, moved = total, time.monotonic()
        elif time.monotonic() - moved > STALL:
            for number, subscriber in enumerate(subscribers):
                if number not in results:
                    subscriber.send("STOP")
                    results[number] = subscriber.wait("RESULT", PATIENCE)
        time.sleep(0.25)
    return [results[number] for number in sorted(results)]


def _summary(plan: Plan, published: dict[str, Any], received: list[dict[str, Any]]) -> dict[str, Any]:
    got = sum(counter["got"] for counter in received)
    first = min((counter["published_first"] for counter in received if counter["got"]), default=0)
    elapsed = (max(counter["last"] for counter in received) - first) / 1e9 if got else 0.0
    return {
        "events_per_s": round(got / elapsed) if elapsed else 0,
        "elapsed_s": round(elapsed, 3),
        "got": got,
        "lost": sum(counter["lost"] for counter in received),
        "disorder": sum(counter["disorder"] for counter in received),
        "wrong": sum(counter["wrong"] for counter in received),
        "latency_us": received[0]["latency_us"],
        "late_us": round(published["late_us"], 1),
        "cpu_us_per_event": {
            "publisher": round(published["cpu_s"] / plan.events * 1e6, 2),
            "subscriber": round(max(counter["cpu_s"] for counter in received) / plan.events * 1e6, 2),
        },
    }


def memory(plan: Plan) -> dict[str, Any]:
    """W6: the broker's memory at rest and with idle subscriptions on one connection."""
    with Run(plan) as run:
        before = _settled_rss(run)
        run.start(replace(run.spec(), role="idle", subscriptions=plan.idle))
        after = _settled_rss(run)
        return {
            "broker_rss_rest_mib": round(before, 1),
            "broker_rss_idle_mib": round(after, 1),
            "idle": plan.idle,
            "kib_per_subscription": round((after - before) * 1024 / plan.idle, 2),
        }


def _settled_rss(run: Run) -> float:
    """The broker's memory once it has not changed for half a second."""
    last, since = -1.0, time.monotonic()
    while time.monotonic() - since < 0.5:
        now = rss_mib(run.adapter.processes)
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.05)
    return last
