"""How many scrapes a second, and how long one takes: all servers in turn, round by round, and the medians of it."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.contestants import BLACKBOX, EXPORTER, HANGING, NODE, PYTHON_PEER, Contestant
from benchmarks.load import Load, Scraped, Scraper, generate
from benchmarks.table import number, table
from exporter.durations import plural

CONNECTIONS = (1, 32)
_AIMS = {NODE: (3.0, 3.0), BLACKBOX: (2.0, 2.5), PYTHON_PEER: (5.0, 10.0)}


@dataclass(frozen=True)
class Results:
    """What the contestants serve, and the loads of each, by round, for each number of connections."""

    pages: dict[Contestant, Scraped]
    loads: dict[tuple[Contestant, int], list[Load]]

    def median(self, contestant: Contestant, connections: int, of: str = "rate") -> float:
        """Return a contestant's median over the rounds."""
        return float(statistics.median(getattr(load, of) for load in self.loads[contestant, connections]))

    def ratio(self, ours: Contestant, peer: Contestant, connections: int) -> float:
        """Return how many times a peer's rate ours is: the median of the rounds' ratios."""
        pairs = zip(self.loads[ours, connections], self.loads[peer, connections], strict=True)
        return statistics.median(one.rate / other.rate if other.rate else math.inf for one, other in pairs)


def measure(contestants: Sequence[Contestant], rounds: int, seconds: int) -> Results:
    """Let each contestant answer for so many seconds in each round; each round begins with another one."""
    pages = {contestant: Scraper(contestant.url).scrape() for contestant in contestants}
    loads: dict[tuple[Contestant, int], list[Load]] = {
        (contestant, connections): [] for contestant in contestants for connections in CONNECTIONS
    }
    for contestant in contestants:
        generate(contestant.url, CONNECTIONS[-1], 1)
    for each in range(rounds):
        first = each % len(contestants)
        for contestant in (*contestants[first:], *contestants[:first]):
            for connections in CONNECTIONS:
                loads[contestant, connections].append(generate(contestant.url, connections, seconds))
    return Results(pages, loads)


def report(results: Results) -> str:
    """Return a table for each number of connections."""
    contestants = list(results.pages)
    tables = []
    for connections in CONNECTIONS:
        rows = []
        for one in contestants:
            ours = [
                each
                for each in contestants
                if each.name == EXPORTER and one.accounts in {None, each.accounts}
            ]
            rows.append(
                [
                    one.name,
                    one.accounts or "its own metrics",
                    f"{len(results.pages[one].series):,}",
                    f"{len(results.pages[one].sent):,}",
                    *(number(results.median(one, connections, of)) for of in ("rate", "p50", "p99")),
                    " / ".join(number(results.ratio(each, one, connections)) for each in ours),
                ]
            )
        head = [
            "server",
            "accounts",
            "series",
            "bytes sent",
            "scrapes/s",
            "p50 ms",
            "p99 ms",
            "exporter is … times as fast",
        ]
        tables.append(f"{plural(connections, 'connection')}:\n\n{table(head, rows)}")
    return "\n".join(tables)


def aims(results: Results) -> list[tuple[str, str, bool]]:
    """Return what was aimed at, what was measured, and whether it is met."""
    contestants = list(results.pages)
    ours = [one for one in contestants if one.name == EXPORTER]
    found = []
    for peer, wanted in _AIMS.items():
        for connections, least in zip(CONNECTIONS, wanted, strict=True):
            ratios = [
                results.ratio(one, other, connections)
                for one in ours
                for other in contestants
                if other.name == peer and other.accounts in {None, one.accounts}
            ]
            what = f"{least:g} times {peer}, {plural(connections, 'connection')}"
            shown = " and ".join(number(ratio) for ratio in ratios)
            found.append((what, shown or "NOT MEASURED", bool(ratios) and min(ratios) >= least))
    (hanging,) = [one for one in contestants if one.name == HANGING]
    (healthy,) = [one for one in ours if one.accounts == hanging.accounts]
    slowed = [results.ratio(hanging, healthy, connections) for connections in CONNECTIONS]
    found.append(
        (
            "the same speed while every poll hangs (within 10 %)",
            " and ".join(f"{each:.0%}" for each in slowed),
            min(slowed) > 0.9,
        )
    )
    return found
