"""Measures everything, prints it, and writes it into ``benchmarks/RESULTS.md``. Takes about ten minutes."""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks import days, limit, machine, memory, scrapes, starts
from benchmarks.contestants import Field
from benchmarks.report import Measured, Weight, write
from tests.support.running import Started

ROUNDS, SECONDS = 5, 2


def main() -> int:
    """Measure; exit 1 where something could not be."""
    started = Started()
    try:
        with tempfile.TemporaryDirectory() as directory:
            measured = _measure(Field(started, Path(directory)))
    finally:
        started.end()
    text = write(measured)
    Path(__file__).with_name("RESULTS.md").write_text(text)
    print(text)
    for name in measured.missing:
        print(f"NOT MEASURED, because it is missing: {name}", file=sys.stderr)
    return 1 if measured.missing else 0


def _measure(field: Field) -> Measured:
    _say("a thousand polls")
    long = memory.measure(field)
    _say("starts")
    first_scrape = starts.measure(field)
    _say("scrapes")
    contestants = field.all()
    at_start = {one: machine.resident_mb(one.pid) for one in contestants}
    loads = scrapes.measure(contestants, ROUNDS, SECONDS)
    weights = [
        Weight(one, at_start[one], machine.resident_mb(one.pid), machine.threads(one.pid))
        for one in contestants
    ]
    for one in contestants:
        one.running.end()
    _say("some minutes as in production")
    production = days.measure(field)
    _say("the limit")
    return Measured(
        loads, weights, first_scrape, starts.installed_mb(), long, production, limit.report(), field.missing
    )


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
