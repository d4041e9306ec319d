"""What accounts weigh: resident memory, series and bytes of a real exporter that serves the figures of so many."""

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.load import Scraper
from benchmarks.machine import resident_mb
from benchmarks.planted import plant
from benchmarks.table import number, table
from tests.support.running import Started

_SCRAPES = 7
_NOWHERE = "http://127.0.0.1:9/v1"


def report(sizes: Iterable[int]) -> str:
    """Start an exporter for each size and scrape it. Return the table."""
    rows = []
    for accounts in sizes:
        started = Started()
        try:
            with tempfile.TemporaryDirectory() as directory:
                rows.append([f"{accounts:,}", *_measure(started, Path(directory) / "planted", accounts)])
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
    planted = plant(directory, accounts, _NOWHERE)
    began = time.perf_counter()
    exporter = started.exporter(*planted.flags)
    scraper = Scraper(f"{exporter.url}/metrics")
    scraped = scraper.scrape()
    first = time.perf_counter() - began
    took = []
    for _ in range(_SCRAPES):
        time.sleep(1.1)  # then the page is rendered anew
        began = time.perf_counter()
        scraper.scrape()
        took.append(time.perf_counter() - began)
    return [
        f"{len(scraped.series):,}",
        f"{len(scraped.content):,}",
        f"{len(scraped.sent):,}",
        number(resident_mb(exporter.process.pid)),
        number(first),
        number(1000 * sorted(took)[_SCRAPES // 2]),
    ]
