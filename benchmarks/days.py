"""CPU seconds a day, and requests to the API: some minutes of what production does, measured and extrapolated.

A scrape every 15 s and three requests every 15 minutes cost next to nothing, so all are measured at the same time.
"""

import http.client
import statistics
import time
from dataclasses import dataclass

from benchmarks import machine
from benchmarks.contestants import EXPORTER, Contestant, Field, requests_to
from benchmarks.load import Scraper
from benchmarks.table import number, table

SCRAPE_INTERVAL = 15
SCRAPES = 12
SCRAPES_A_DAY = 86400 // SCRAPE_INTERVAL
POLLS_A_DAY = 96 * 3
_GAP = 1.05  # longer than what is rendered is kept


class Scraped:
    """A server, the Prometheus servers that scrape it, and how that went."""

    def __init__(self, contestant: Contestant, prometheus_servers: int = 1) -> None:
        self.contestant = contestant
        self.scrapers = [Scraper(contestant.url) for _ in range(prometheus_servers)]
        self.scrapes = self.failed = 0
        self._cpu_before = machine.cpu_seconds(contestant.pid)

    def scrape(self) -> None:
        """Let each Prometheus server scrape once."""
        for scraper in self.scrapers:
            self.scrapes += 1
            try:
                scraper.scrape()
            except (OSError, http.client.HTTPException):
                self.failed += 1

    @property
    def cpu(self) -> float:
        """CPU seconds since the beginning."""
        return machine.cpu_seconds(self.contestant.pid) - self._cpu_before


@dataclass(frozen=True)
class StandIn:
    """How a request to the API for each scrape went, for a number of Prometheus servers."""

    prometheus_servers: int
    scrapes: int
    failed: int
    refused: int
    """Requests that the API answered with 429."""


@dataclass(frozen=True)
class Days:
    """What some minutes told. All costs are CPU seconds."""

    a_day: dict[str, float]
    """Of each server, scraped every 15 s; of the exporter, its polls included."""
    scrape: float
    """15 s after the one before."""
    poll: float
    """12 s after the one before, in a process that nobody scrapes; the waiting included."""
    idle_a_day: float
    """Of a process that neither polls nor is scraped; it is part of the two above."""
    scrape_at_once: float
    """A second after the one before, the median of many."""
    stand_ins: list[StandIn]
    minutes: float


def measure(field: Field) -> Days:
    """Scrape everybody every 15 s for some minutes."""
    ours, unscraped, busy = (Scraped(field.exporter_by_itself()) for _ in range(3))
    others = [Scraped(start()) for start in (lambda: field.python_peer(1), *field.go_peers().values())]
    proxies = [(*field.proxy(), servers) for servers in (1, 2)]
    stand_ins = [Scraped(contestant, servers) for contestant, _, servers in proxies]
    at_once: list[float] = []
    begin = time.monotonic()
    for each in range(1, SCRAPES + 1):
        for one in (ours, *others, *stand_ins):
            one.scrape()
        while time.monotonic() < begin + each * SCRAPE_INTERVAL - _GAP:
            time.sleep(_GAP)
            before = busy.cpu
            busy.scrape()
            time.sleep(0.05)
            at_once.append(busy.cpu - before)
        time.sleep(max(0.0, begin + each * SCRAPE_INTERVAL - time.monotonic()))
        if each == SCRAPES // 2:  # the polls of the start are over, the next are far
            half, at_half = time.monotonic(), unscraped.cpu
    idle = (unscraped.cpu - at_half) / (time.monotonic() - half)
    of_ours, of_polls = ours.cpu, unscraped.cpu
    poll = of_polls / polls(unscraped.scrapers[0])
    scrape = (of_ours - of_polls) / ours.scrapes
    return Days(
        a_day={
            EXPORTER: scrape * SCRAPES_A_DAY + poll * POLLS_A_DAY,
            **{one.contestant.name: one.cpu / one.scrapes * SCRAPES_A_DAY for one in others},
        },
        scrape=scrape,
        poll=poll,
        idle_a_day=idle * 86400,
        scrape_at_once=statistics.median(at_once),
        stand_ins=[
            StandIn(
                servers,
                one.scrapes,
                one.failed,
                sum(each["status"] == 429 for each in requests_to(simulator)),
            )
            for one, (_, simulator, servers) in zip(stand_ins, proxies, strict=True)
        ],
        minutes=(time.monotonic() - begin) / 60,
    )


def polls(scraper: Scraper) -> float:
    """Return how many exchanges with the API an exporter has had."""
    series = scraper.scrape().series
    name = "smspartner_api_request_duration_seconds_count"
    return sum(value for each, value in series.items() if each.startswith(name))


def report(found: Days, poll_at_once: float) -> str:
    """Return what a scrape and a poll cost, and what that makes in a day."""
    rows = [
        ("as they are spaced in production", found.scrape, found.poll),
        ("again and again", found.scrape_at_once, poll_at_once),
    ]
    head = ("the exporter, one account", "ms of CPU a scrape", "ms a request to the API", "CPU s a day")
    lines = [
        (name, number(scrape * 1e3), number(poll * 1e3), number(scrape * SCRAPES_A_DAY + poll * POLLS_A_DAY))
        for name, scrape, poll in rows
    ]
    return (
        f"{table(head, lines)}\nMeasured over {found.minutes:.1f} minutes. A day has {SCRAPES_A_DAY:,} scrapes, one "
        f"every {SCRAPE_INTERVAL} s, and {POLLS_A_DAY} requests, three every 15 minutes. A process that waits for both "
        f"uses {number(found.idle_a_day)} s a day.\n"
    )


def report_requests(found: Days, requests_an_hour: float) -> str:
    """Return how often the API is asked, against a request for each scrape."""
    an_hour = 3600 // SCRAPE_INTERVAL
    rows = [
        ("exporter, all figures", "12", "12", f"{number(requests_an_hour)} in an hour, scraped throughout"),
        (
            "a request for each scrape (json_exporter's way), one figure",
            an_hour,
            2 * an_hour,
            "; ".join(
                f"{one.prometheus_servers} Prometheus: {one.failed} of {one.scrapes} scrapes failed"
                for one in found.stand_ins
            ),
        ),
        ("the same, all three figures", 3 * an_hour, f"{6 * an_hour:,}", ""),
    ]
    head = ("requests to the API an hour; 300 are allowed, 5 a minute", "1 Prometheus", "2", "measured")
    return (
        f"{table(head, rows)}\nOne Prometheus scrapes 4 times a minute, two 8 times. json_exporter is represented by a "
        "small exporter that asks the simulated API once for each scrape; the API answers 429 beyond 5 a minute.\n"
    )
