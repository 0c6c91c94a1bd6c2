"""One measurement as one JSON line: `python -m peers.bench --system nats --workload W1`.

W0  publish     publisher → broker, until all is settled; nobody listens
W1  throughput  publisher → broker → subscriber
W2  latency     the same, paced at --rate
W3  pipeline    sensor → processor (× 1.5) → output, three processes, as fast as it goes
W3L             the same, paced: latency from end to end
W4  fan-out     one publisher → 8 subscriptions in 2 processes
W5-W1, W5-W3    W1 and W3 with the Python OpenTelemetry SDK by hand (systems with headers)
W6  memory      the broker at rest and with --idle subscriptions
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from typing import Any

from .adapters import Adapter
from .measure import Plan, memory, publishing, throughput
from .systems import SYSTEMS, load_adapter

WORKLOADS = ("W0", "W1", "W2", "W3", "W3L", "W4", "W5-W1", "W5-W3", "W6")
RUNS = {"W0": publishing, "W6": memory}
"""Workloads with a course of their own."""
QUIET_CORES = 0.10
"""Others on the machine may use this much; a run beside more is made again."""
SPARE_RUNS = 10


def impossible(system: str, workload: str) -> str | None:
    """Why this measurement cannot be made here, or None."""
    adapter = load_adapter(system)
    if missing := adapter.missing():
        return f"{system} is not installed: {', '.join(missing)}"
    if workload.startswith("W5-") and not adapter.headers:
        return f"{system} carries no headers, so there is nothing to trace by hand"
    if workload == "W6" and type(adapter).idle is Adapter.idle:
        return f"{system} has no broker that keeps subscriptions"
    return None


def measure(plan: Plan, runs: int, quiet: float = QUIET_CORES) -> dict[str, Any]:
    """The median of several runs, each made while the machine was quiet."""
    results: list[dict[str, Any]] = []
    spare = SPARE_RUNS
    while len(results) < runs:
        result = RUNS.get(plan.workload, throughput)(plan)
        if result.get("foreign_cores", 0.0) > quiet and spare:
            spare -= 1
            time.sleep(2)
            continue
        results.append(result)
    return _merge(plan, results)


def _merge(plan: Plan, results: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {
        "system": plan.system,
        "workload": plan.workload,
        "events": plan.events,
        "size": plan.size,
        "runs": len(results),
    }
    for key, sample in results[0].items():
        values = [result[key] for result in results]
        if key in ("events_per_s", "kib_per_subscription", "broker_rss_mib", "broker_rss_rest_mib"):
            merged[key] = _spread(values)
        elif key == "latency_us" and sample:
            merged[key] = {quantile: _spread([value[quantile] for value in values if value]) for quantile in sample}
        elif key == "cpu_us_per_event":
            merged[key] = {role: statistics.median(value[role] for value in values) for role in sample}
        elif key in ("lost", "disorder", "wrong"):
            merged[key] = sum(values)
        elif sample is not None:
            merged[key] = values
    return merged


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", required=True, choices=SYSTEMS)
    parser.add_argument("--workload", required=True, choices=WORKLOADS)
    parser.add_argument("--events", type=int, help="events of the measured phase")
    parser.add_argument("--size", type=int, default=256, help="bytes of a payload")
    parser.add_argument("--rate", type=float, default=1000.0, help="events per second of W2 and W3L")
    parser.add_argument("--idle", type=int, default=1000, help="subscriptions of W6")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quiet", type=float, default=QUIET_CORES, help="cores that others may use meanwhile")
    options = parser.parse_args()
    if reason := impossible(options.system, options.workload):
        print(reason, file=sys.stderr)
        return 1
    plan = replace(
        Plan.default(options.system, options.workload), size=options.size, rate=options.rate, idle=options.idle
    )
    if options.events:
        plan = replace(plan, events=options.events)
    print(json.dumps(measure(plan, options.runs, options.quiet)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
