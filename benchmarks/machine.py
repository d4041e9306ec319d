"""The machine: its name, its processors, and what the kernel knows of a process."""

import contextlib
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.support.running import ROOT

PEERS = ROOT / ".tools" / "peers"
_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, GENERATOR_CORE = _CORES[0], _CORES[-1]
_VERSIONS = {
    "prometheus-node-exporter": "--version",
    "prometheus-blackbox-exporter": "--version",
    "nginx": "-v",
    "wrk": "-v",
}


def program(name: str) -> Path | None:
    """Return where a program is: below .tools/peers, or on the PATH."""
    path = os.pathsep.join(str(PEERS / "usr" / each) for each in ("bin", "sbin"))
    found = shutil.which(name, path=path) or shutil.which(name)
    return Path(found) if found else None


def environment() -> dict[str, str]:
    """Return what the programs below .tools/peers need to find their libraries."""
    return {"LD_LIBRARY_PATH": str(PEERS / "usr/lib" / f"{platform.machine()}-linux-gnu")}


def pinned(core: int, *command: str | Path) -> list[str]:
    """Return a command that runs on one processor."""
    return ["taskset", "--cpu-list", str(core), *(str(word) for word in command)]


def describe() -> list[str]:
    """Say on what was measured, and with what: date, machine, versions."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = int(_lines("/proc/meminfo")[0].split()[1]) >> 20
    packages = ("prometheus_client", "uvicorn", "httptools", "requests", "msgspec")
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"{model}, {len(_CORES)} processors, {memory} GB, Linux {platform.release()}",
        f"Python {platform.python_version()}, "
        + ", ".join(f"{package} {version(package)}" for package in packages),
        ", ".join(f"{name} {_version(name, flag)}" for name, flag in _VERSIONS.items()),
    ]


def _version(name: str, flag: str) -> str:
    found = program(name)
    if not found:
        return "MISSING"
    shown = subprocess.run([found, flag], env=environment(), capture_output=True, text=True, check=False)
    words = (shown.stdout + shown.stderr).replace("/", " ").split()
    return next((word for word in words if word[0].isdigit()), "?")


def cpu_seconds(pid: int) -> float:
    """Return what a process and its children have used, all threads together, to the nanosecond."""
    own = 0.0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            own += int(_lines(thread / "schedstat")[0].split()[0]) / 1e9
    return own + sum(cpu_seconds(child) for child in _children(pid))


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process and its children in MB (of a million bytes)."""
    own = int(_status(pid, "VmRSS")) * 1024 / 1e6
    return own + sum(resident_mb(child) for child in _children(pid))


def threads(pid: int) -> int:
    """Return how many threads a process and its children have."""
    return int(_status(pid, "Threads")) + sum(threads(child) for child in _children(pid))


def _children(pid: int) -> list[int]:
    return [int(child) for child in "".join(_lines(f"/proc/{pid}/task/{pid}/children")).split()]


def _status(pid: int, name: str) -> str:
    return next(line.split()[1] for line in _lines(f"/proc/{pid}/status") if line.startswith(f"{name}:"))


def _lines(path: str | Path) -> list[str]:
    return Path(path).read_text().splitlines()
