"""Stand-ins that are handed in where the product takes time or a network."""

import threading
from datetime import datetime

from exporter.model import Credits, MonthFigures, Query, SubaccountPage
from exporter.months import PARIS
from exporter.secret import Secret

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


class FakeFetcher:
    """A client whose answers are always the same, once `ask` lets a request pass."""

    def ask(self, query: Query, key: Secret, deadline: float) -> None:
        """Take note of a request, or raise Failure."""
        raise NotImplementedError

    def fetch_history(self, key: Secret, deadline: float) -> dict[str, MonthFigures]:
        self.ask(Query.STATISTICS, key, deadline)
        return {"2026-10": MonthFigures(10.0, 100)}

    def fetch_current_month(self, key: Secret, deadline: float) -> tuple[str, MonthFigures | None]:
        self.ask(Query.CURRENT_MONTH, key, deadline)
        return "2026-11", MonthFigures(5.0, 50)

    def fetch_credits(self, key: Secret, deadline: float) -> Credits:
        self.ask(Query.CREDITS, key, deadline)
        return Credits(99.0, "EUR", {"sms": 7}, 0)

    def fetch_subaccounts(self, page: int, key: Secret, deadline: float) -> SubaccountPage:
        raise AssertionError("nobody has sub-accounts here")

    def cut_off(self) -> None:
        raise AssertionError("nothing here ends a request")
