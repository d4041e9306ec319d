"""Resident memory: after the start, after many polls and scrapes, and what of it each library costs."""

import subprocess
import sys
from dataclasses import dataclass

from benchmarks import machine
from benchmarks.contestants import Field, requests_to
from benchmarks.days import polls
from benchmarks.load import Scraper
from benchmarks.table import number, table
from tests.support.running import ROOT, eventually

POLLS = 1000
SCRAPES = 10_000
POLLS_AN_HOUR = 12
_IMPORTS = {
    "Python by itself": "sys",
    "asyncio, ssl, http and others of the standard library": "asyncio, ssl, logging, json, http.client, argparse",
    "prometheus_client": "prometheus_client",
    "requests, urllib3": "requests",
    "uvicorn, httptools": "uvicorn.protocols.http.httptools_impl",
    "msgspec, PyYAML": "msgspec, yaml",
    "the exporter's modules": "exporter.cli",
}
_TRIED: dict[str, dict[str, str]] = {
    "as it is": {},
    "one arena for all threads (MALLOC_ARENA_MAX=1)": {"MALLOC_ARENA_MAX": "1"},
    "no docstrings (PYTHONOPTIMIZE=2)": {"PYTHONOPTIMIZE": "2"},
}


@dataclass(frozen=True)
class Long:
    """What an exporter was like that polled and was scraped often."""

    steps: list[tuple[str, float]]
    """When, and MB."""
    poll_at_once: float
    """CPU seconds of a poll, one after the other."""
    requests_an_hour: float
    """As the API saw them."""
    tried: dict[str, float]
    """MB after the start, by what was tried to make it less."""

    @property
    def at_start(self) -> float:
        """MB after the first scrape."""
        return self.steps[0][1]

    @property
    def growth(self) -> float:
        """MB that all polls but the first hundred, and all scrapes, added."""
        return self.steps[-1][1] - self.steps[1][1]


def measure(field: Field) -> Long:
    """Run one account for days on a clock that skips what the poller waits, and scrape it all the time."""
    hours = POLLS / POLLS_AN_HOUR
    contestant, simulator = field.accelerated(hours)
    scraper = Scraper(contestant.url)
    steps = [("after the start", machine.resident_mb(contestant.pid))]
    before = machine.cpu_seconds(contestant.pid)
    for count in (POLLS // 10, POLLS):
        eventually(lambda count=count: polls(scraper) >= count, within=120)  # type: ignore[misc]
        steps.append((f"after {count:,} polls", machine.resident_mb(contestant.pid)))
    cpu = machine.cpu_seconds(contestant.pid) - before
    for _ in range(SCRAPES):
        scraper.scrape()
    steps.append((f"after {SCRAPES:,} scrapes more", machine.resident_mb(contestant.pid)))
    return Long(steps, cpu / POLLS, len(requests_to(simulator)) / hours, _try(field))


def _try(field: Field) -> dict[str, float]:
    found = {}
    for what, environment in _TRIED.items():
        for _ in range(2):  # the first start compiles
            contestant = field.exporter(
                1, {**environment, "PYTHONPYCACHEPREFIX": str(field.directory / "pyc")}
            )
            found[what] = machine.resident_mb(contestant.pid)
            contestant.running.end()
    return found


def report(long: Long) -> str:
    """Return the tables of memory over time, and of where it goes."""
    steps = [(when, number(mb)) for when, mb in long.steps]
    rows, before = [], 0.0
    for name, mb in _imports().items():
        rows.append((name, number(mb - before)))
        before = mb
    rows.append(("what it does then: threads, figures, server, first scrape", number(long.at_start - before)))
    head = ("where the memory after the start goes", "MB")
    tried = [(what, number(mb)) for what, mb in long.tried.items()]
    tables = (
        table(("exporter, one account", "MB"), steps),
        table(head, rows),
        table(("what was tried to make it less", "MB after the start"), tried),
    )
    return "\n".join(tables)


def _imports() -> dict[str, float]:
    """Return the resident memory after each import in one process, in their order."""
    show = "print(open('/proc/self/statm').read().split()[1])"
    script = "\n".join(f"import {modules}\n{show}" for modules in _IMPORTS.values())
    shown = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return {name: int(pages) * 4096 / 1e6 for name, pages in zip(_IMPORTS, shown.split(), strict=True)}
