"""Everything that was measured as one Markdown page, beginning with what was aimed at."""

from dataclasses import dataclass

from benchmarks import days, machine, memory, scrapes
from benchmarks.contestants import EXPORTER, PYTHON_PEER, Contestant
from benchmarks.days import Days
from benchmarks.memory import Long
from benchmarks.scrapes import Results
from benchmarks.starts import COLD
from benchmarks.table import number, table

_INTRODUCTION = """# How fast, how light

`make bench` wrote this: {machine}.

All servers answered on processor {server}, in turn, round by round; wrk asked from processor {generator}. What is
shown are medians of the rounds, ratios are medians of the rounds' ratios. Every scrape is Prometheus 3's: its Accept
header, gzip accepted, the connection kept where the server keeps it. nginx serves the exporter's own bytes from
a file, compressed beforehand. Debian's exporters serve metrics of their own, node_exporter those of one collector
beside them: fewer series than the exporter's. They render each scrape, as prometheus_client's server does; the
exporter renders at most once a second.
"""


@dataclass(frozen=True)
class Weight:
    """What a server weighs."""

    contestant: Contestant
    mb_at_start: float
    mb_after_scrapes: float
    threads: int


@dataclass(frozen=True)
class Measured:
    """Everything."""

    scrapes: Results
    weights: list[Weight]
    first_scrape: dict[str, float]
    """Seconds from exec, by name."""
    installed: dict[str, float]
    """MB, by name."""
    long: Long
    days: Days
    limit: str
    missing: list[str]


def write(measured: Measured) -> str:
    """Return the page."""
    introduction = _INTRODUCTION.format(
        machine="; ".join(machine.describe()), server=machine.SERVER_CORE, generator=machine.GENERATOR_CORE
    )
    missing = "".join(f"\n**NOT MEASURED, because it is missing: {name}.**\n" for name in measured.missing)
    weight = (
        _weights(measured),
        memory.report(measured.long),
        days.report(measured.days, measured.long.poll_at_once),
    )
    sections = {
        "What was aimed at": _aims(measured),
        "Scrapes": scrapes.report(measured.scrapes),
        "Weight": "\n".join(weight),
        "Frugal": days.report_requests(measured.days, measured.long.requests_an_hour),
        "The limit is used": measured.limit,
    }
    return introduction + missing + "".join(f"\n## {title}\n\n{text}" for title, text in sections.items())


def _aims(measured: Measured) -> str:
    (own,) = [
        weight
        for weight in measured.weights
        if (weight.contestant.name, weight.contestant.accounts) == (EXPORTER, 1)
    ]
    start, seconds = measured.first_scrape[EXPORTER], measured.days.a_day
    resident = max(own.mb_at_start, own.mb_after_scrapes, *(mb for _, mb in measured.long.steps))
    rows = [
        *scrapes.aims(measured.scrapes),
        ("less than 45 MB resident, one account", f"{number(resident)} MB at most", resident < 45),
        (
            f"no growth (less than 1 MB) in {memory.POLLS:,} polls and {memory.SCRAPES:,} scrapes",
            f"{number(measured.long.growth)} MB after the first {memory.POLLS // 10}",
            measured.long.growth < 1,
        ),
        ("first scrape within 0.5 s of exec", f"{number(start)} s", start < 0.5),
        (
            "less CPU than prometheus_client's server, as they are scraped in production",
            f"{number(seconds[EXPORTER] / seconds[PYTHON_PEER])} times",
            seconds[EXPORTER] < seconds[PYTHON_PEER],
        ),
    ]
    return table(
        ("aim", "measured", ""),
        [(aim, found, "met" if is_met else "**MISSED**") for aim, found, is_met in rows],
    )


def _weights(measured: Measured) -> str:
    def of(values: dict[str, float], one: Contestant) -> str:
        own = f"{one.name}, {one.accounts} accounts"
        found = values.get(own, values.get(one.name) if one.accounts in {None, 1} else None)
        return "" if found is None else number(found)

    rows: list[list[object]] = []
    for weight in measured.weights:
        one = weight.contestant
        rows.append(
            [
                one.name,
                one.accounts or "its own metrics",
                number(weight.mb_at_start),
                number(weight.mb_after_scrapes),
                weight.threads,
                of(measured.first_scrape, one),
                of(measured.days.a_day, one),
                of(measured.installed, one),
            ]
        )
    head = (
        "server",
        "accounts",
        "MB resident at the start",
        "after the scrapes above",
        "threads",
        "s from exec to first scrape",
        "CPU s a day",
        "MB on disk",
    )
    cold = number(measured.first_scrape[COLD])
    return (
        f"{table(head, rows)}\nWithout compiled bytecode, the first scrape comes after {cold} s. On disk: "
        "the locked packages with their bytecode and the exporter, without Python; of the others, the program.\n"
    )
