"""Stand-ins that are handed in where the product takes time or a network."""

import threading
from datetime import datetime

from exporter.months import PARIS

START = datetime(2026, 11, 23, 12, tzinfo=PARIS).timestamp()


class FakeClock:
    """A clock that moves when it is told to, or waited on."""

    def __init__(self, wall: float = START, monotonic: float = 1000.0) -> None:
        self.wall = wall
        self.uptime = monotonic

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.uptime

    def wait(self, event: threading.Event, seconds: float) -> None:
        if not event.is_set():
            self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.uptime += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock, as an administrator or NTP does. Time does not pass."""
        self.wall += seconds

    def set_paris(self, *moment: int) -> None:
        """Set the wall clock to a moment in Paris: year, month, day, hour …."""
        self.wall = datetime(*moment, tzinfo=PARIS).timestamp()  # type: ignore[arg-type, misc]
