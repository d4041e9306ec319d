"""From exec to the first successful scrape, and the size of what is installed."""

import re
import statistics
import time
from importlib.metadata import PackageNotFoundError, distribution

from benchmarks import machine
from benchmarks.contestants import EXPORTER, PYTHON_PEER, Field, Start
from tests.support.running import ROOT

STARTS = 20
_COLD_STARTS = 5
COLD = f"{EXPORTER}, without compiled bytecode"
_NO_BYTECODE = {"PYTHONPYCACHEPREFIX": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}


def measure(field: Field) -> dict[str, float]:
    """Start each contestant many times, in turn; return the median seconds to the first successful scrape."""
    starts: dict[str, Start] = {
        EXPORTER: lambda: field.exporter(1),
        f"{EXPORTER}, 100 accounts": lambda: field.exporter(100),
        COLD: lambda: field.exporter(1, _NO_BYTECODE),
        PYTHON_PEER: lambda: field.python_peer(1),
        **field.go_peers(),
    }
    taken: dict[str, list[float]] = {name: [] for name in starts}
    for each in range(STARTS):
        for name, start in starts.items():
            if name == COLD and each >= _COLD_STARTS:
                continue
            begin = time.perf_counter()
            contestant = start()
            taken[name].append(time.perf_counter() - begin)
            contestant.running.end()
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def installed_mb() -> dict[str, float]:
    """Return what lies on the disk: the locked packages and the exporter, with bytecode, and the peers' programs."""
    locked = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    size = sum(_package_bytes(name) for name in locked)
    own = sum(path.stat().st_size for path in (ROOT / "exporter").rglob("*") if path.is_file())
    sizes = {EXPORTER: (size + own) / 1e6}
    for name in ("prometheus-node-exporter", "prometheus-blackbox-exporter"):
        if found := machine.program(name):
            sizes[name.removeprefix("prometheus-").replace("-", "_")] = found.stat().st_size / 1e6
    return sizes


def _package_bytes(name: str) -> int:
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:  # for another system
        return 0
    paths = (file.locate() for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file())  # type: ignore[attr-defined]
