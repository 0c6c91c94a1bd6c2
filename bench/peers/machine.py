"""What the processes of a run, and everybody else on the machine, took of CPU and memory."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import psutil

Process = subprocess.Popen[bytes]
_TICKS = os.sysconf("SC_CLK_TCK")


def tree(processes: Iterable[Process]) -> list[psutil.Process]:
    """These processes and all their descendants that still run."""
    found: list[psutil.Process] = []
    for process in processes:
        try:
            root = psutil.Process(process.pid)
            found += [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    return found


def cpu_seconds(processes: Iterable[Process]) -> float:
    total = 0.0
    for process in tree(processes):
        try:
            times = process.cpu_times()
            total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


def rss_mib(processes: Iterable[Process]) -> float:
    return float(sum(process.memory_info().rss for process in tree(processes))) / 2**20


def own_mib(processes: Iterable[Process]) -> float:
    """Memory without pages of files, which some map and others read."""
    told = [process.memory_info() for process in tree(processes)]
    return float(sum(info.rss - info.shared for info in told)) / 2**20


def peak_mib(process: Process) -> float:
    """The most memory that one process ever had."""
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    kib = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
    return int(kib) / 1024


def describe() -> str:
    """The machine in one line."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        os.uname().machine,
    )
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} × {model}, {memory:.0f} GiB, Linux {os.uname().release}"


class Noise:
    """CPU that others took between its making and `cores()`: a run beside it measures them as well."""

    def __init__(self, own: list[Process]) -> None:
        self.own = own
        self.start = os.times().elapsed
        self.others, self.steal = self._others(), _steal()

    def _others(self) -> dict[int, float]:
        own = {process.pid for process in tree(self.own)} | {os.getpid()}
        seconds: dict[int, float] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in own:
                continue
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            # utime, stime and those of reaped children: proc_pid_stat(5), counted from the state.
            seconds[int(entry.name)] = sum(int(ticks) for ticks in fields[11:15]) / _TICKS
        return seconds

    def cores(self) -> float:
        """Cores that processes not of this run, or the hypervisor, took meanwhile."""
        wall = os.times().elapsed - self.start
        taken = sum(max(0.0, after - self.others.get(pid, 0.0)) for pid, after in self._others().items())
        return max(taken, _steal() - self.steal) / wall


def _steal() -> float:
    with Path("/proc/stat").open() as stat:
        return int(stat.readline().split()[8]) / _TICKS
