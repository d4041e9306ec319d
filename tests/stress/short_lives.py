"""Lives of the exporter's state, each ended by SIGKILL at an instant that nobody chose.

A program of its own, because it forks: `python -m tests.stress.short_lives DIRECTORY LIVES` lets one process after the
other do what the exporter does with its state directory, and nothing else: wait for the rate limiter, reserve a
request, keep new figures, release. The files, the kills and the processes are real; time is virtual, so that a life
needs milliseconds. It prints what each life reported until it was killed, and judges nothing.
"""

import json
import logging
import os
import random
import signal
import sys
import time
from pathlib import Path

from exporter.model import Account, Figures, MonthFigures, Query
from exporter.ratelimit.decision import Wait
from exporter.ratelimit.limiter import RateLimiter, boot_id
from exporter.ratelimit.lock_file import LockFile
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from exporter.state.store import Store
from tests.support.fakes import FakeClock

KEY = Secret("S3CR+T/key")
MONTHS = [f"{year}-{month:02d}" for year in range(2020, 2027) for month in range(1, 13)]
TIMEOUT = 30.0
LATENCY = 0.3
MOST_REPORTS = 8
LONGEST_MOMENT = 0.004


class Reporter(logging.Handler):
    """Writes down, for the process that outlives this one, what happens and what is logged."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def report(self, what: str, number: float) -> None:
        os.write(self._descriptor, json.dumps([what, number]).encode() + b"\n")

    def emit(self, record: logging.LogRecord) -> None:
        self.report(record.getMessage(), 0)


def figures_numbered(number: int) -> Figures:
    """Figures of which every part tells their number."""
    history = {month: MonthFigures(float(number), number) for month in MONTHS}
    return Figures(history=history, fetched={Query.STATISTICS: float(number)})


def live(directory: Path, begin: float, reporter: Reporter) -> None:
    """Ask, keep, and ask again, until killed. `begin` is what the monotonic clock says."""
    clock = FakeClock(monotonic=begin)
    state = StateDirectory(directory)
    store = Store(state)
    store.replace((Account(None, None, Figures(), {}, {}),))
    limiter = RateLimiter(5, clock, LockFile(state, boot_id()))
    kept = store.load(None, KEY)
    number = int(kept.fetched.get(Query.STATISTICS, 0))
    reporter.report("whole" if kept in (Figures(), figures_numbered(number)) else "torn", number)
    while True:
        while isinstance(wait := limiter.try_acquire(TIMEOUT), Wait):
            clock.advance(wait.seconds)
        reporter.report("sent", clock.monotonic())
        clock.advance(LATENCY)
        number += 1
        store.publish(Account(None, None, figures_numbered(number), {}, {}), key=KEY)
        store.save()
        reporter.report("kept", number)
        limiter.release(answered=True)


def ended_life(directory: Path, begin: float, dice: random.Random) -> list[tuple[str, float]]:
    """Let a process live until it has reported so much, and a moment longer. Return all that it reported."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        reporter = Reporter(writing)
        logging.basicConfig(handlers=[reporter], level=logging.INFO, force=True)
        try:
            live(directory, begin, reporter)
        except BaseException as error:
            reporter.report(f"ended by itself: {error!r}", 0)
        os._exit(1)
    os.close(writing)
    with open(reading) as reports:
        lines = [reports.readline() for _ in range(dice.randrange(MOST_REPORTS))]
        time.sleep(dice.uniform(0, LONGEST_MOMENT))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        lines += reports
    return [(str(what), float(number)) for what, number in map(json.loads, filter(None, lines))]


def main(directory: Path, lives: int) -> None:
    """Let processes live one after the other, the next always at the earliest instant that it could."""
    instant, dice = 1000.0, random.Random(0)
    for _ in range(lives):
        events = ended_life(directory, instant, dice)
        print(json.dumps(events))
        instant = max([instant, *(number for what, number in events if what == "sent")])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
