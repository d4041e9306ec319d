"""What accounts weigh: resident memory, series and bytes of a real exporter that serves the figures of so many."""

import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import requests

from benchmarks.table import number, table
from benchmarks.virtual import fill, settings_for
from tests.running import Running, Started, eventually

_SCRAPES = 7
_NOWHERE = "http://127.0.0.1:9/v1"
_AS_PROMETHEUS = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}


def report(sizes: Iterable[int]) -> str:
    """Start an exporter for each size and scrape it. Return the table."""
    rows = []
    for accounts in sizes:
        started = Started()
        try:
            with tempfile.TemporaryDirectory() as directory:
                rows.append([f"{accounts:,}", *_measure(started, Path(directory), accounts)])
        finally:
            started.end()
    head = [
        "accounts",
        "series",
        "bytes of a scrape",
        "bytes sent (gzip)",
        "resident MB",
        "start to first scrape, s",
    ]
    return table([*head, "one scrape rendered anew, ms"], rows)


def _measure(started: Started, directory: Path, accounts: int) -> list[str]:
    settings = settings_for(accounts, "all")
    config = directory / "config.json"
    keys = [{"name": one.name, "api_key": one.key.read().reveal()} for one in settings.accounts]
    interval = f"{int(settings.poll_interval)}s"
    config.write_text(json.dumps({"base_url": _NOWHERE, "poll_interval": interval, "accounts": keys}))
    fill(directory / "state", settings, _NOWHERE)
    began = time.perf_counter()
    exporter = started.exporter(f"--config.file={config}", f"--state.dir={directory / 'state'}")
    page = eventually(exporter.get)
    first = time.perf_counter() - began
    took = []
    for _ in range(_SCRAPES):
        time.sleep(1.1)  # then the page is rendered anew
        began = time.perf_counter()
        requests.get(f"{exporter.url}/metrics", headers=_AS_PROMETHEUS, timeout=60).raise_for_status()
        took.append(time.perf_counter() - began)
    sent = requests.get(f"{exporter.url}/metrics", headers=_AS_PROMETHEUS, timeout=60, stream=True)
    series = sum(not line.startswith("#") for line in page.text.splitlines())
    return [
        f"{series:,}",
        f"{len(page.content):,}",
        f"{len(sent.raw.read(decode_content=False)):,}",
        number(_resident_mb(exporter)),
        number(first),
        number(1000 * sorted(took)[_SCRAPES // 2]),
    ]


def _resident_mb(running: Running) -> float:
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024 / 1e6
