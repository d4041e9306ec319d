"""The whole exporter but for its process and its network, on a machine whose clock may be wrong."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from exporter.api.client import Client
from exporter.api.envelope import RawReply
from exporter.config.api_key import KeySource
from exporter.config.settings import AccountSettings, Settings
from exporter.model import MonthFigures, Query
from exporter.months import first_and_last_day, month_end, month_of, month_start, paris_date
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.service import Service
from exporter.simulator.history import SimulatedAccount
from exporter.state.store import Store
from tests.support.fakes import FakeClock
from tests.support.families import collect
from tests.support.simulator import MisbehavingSimulator

KEY = Secret("S3CR+T/key")
LATENCY = 0.3

Shown = dict[str, dict[str, float]]
"""The samples of each metric, by the value of their only label."""


class Line:
    """The way to a simulated API, in virtual time. It keeps what was asked, and when on the monotonic clock."""

    def __init__(
        self, simulator: MisbehavingSimulator, clock: FakeClock, right_time: Callable[[], float]
    ) -> None:
        self.right_time = right_time
        self.asked: list[tuple[float, Mapping[str, str]]] = []
        self._simulator = simulator
        self._clock = clock

    def get(self, path: str, parameters: Mapping[str, str], deadline: float) -> RawReply:
        self.asked.append((self._clock.monotonic(), parameters))
        self._clock.advance(LATENCY)
        reply = self._simulator.answer("GET", f"/v1{path}?{urlencode(parameters)}")
        return RawReply(reply.status, reply.body, date=self.right_time())

    def cut_off(self) -> None:
        raise AssertionError("nothing here ends an exchange")


class World:
    """An exporter and the API, whose clock is right from the moment the world begins, whatever the machine's does."""

    def __init__(self, clock: FakeClock, *moment: int, running_month: bool = True, **settings: Any) -> None:
        clock.set_paris(*moment)
        self.clock = clock
        self.begin = clock.monotonic()
        self._right_minus_monotonic = clock.time() - clock.monotonic()
        self.simulator = MisbehavingSimulator(
            running_month=running_month, now=self.right_time, monotonic=clock.monotonic
        )
        self.line = Line(self.simulator, clock, self.right_time)
        self.settings = Settings((AccountSettings(None, KeySource(KEY)),), **settings)
        world = self

        class OnTheLine(Service):
            def _client(self, settings: Settings) -> Client:
                return Client(world.line, clock, settings.statistics)

        limiters = RateLimiters(5, clock, past_is_empty=True)
        self._store = Store()
        self.service = OnTheLine(
            self.settings, lambda: self.settings, limiters, self._store, None, clock, "/metrics"
        )

    def right_time(self) -> float:
        """What time it really is, Unix seconds."""
        return self._right_minus_monotonic + self.clock.monotonic()

    def right_month(self) -> str:
        return month_of(paris_date(self.right_time()))

    def run(self, seconds: float, every: float = 60.0) -> Iterator[Shown]:
        """Let time pass, and show every so often what a scrape shows."""
        end = self.clock.monotonic() + seconds
        next_look = self.clock.monotonic()
        while (now := self.clock.monotonic()) < end:
            wait = self.service._poller.step()
            if now >= next_look:
                next_look = now + every
                yield self.shown()
            self.clock.advance(min(wait, max(0.0, end - self.clock.monotonic())))

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        for _ in self.run(seconds, every=seconds):
            pass

    def shown(self) -> Shown:
        """Return what a scrape shows now."""
        shown: Shown = {}
        for family in collect(self._store.snapshot, self.service.status(), self.clock.time()):
            samples = shown.setdefault(family.name, {})
            samples.update(
                {next(iter(sample.labels.values()), ""): sample.value for sample in family.samples}
            )
        return shown

    def truth(self, month: str, instant: float) -> MonthFigures:
        """Return what the API counts in a month at an instant."""
        return _truth(month, max(min(instant, month_end(month) + 1), month_start(month)))

    def polls(self, query: Query) -> list[float]:
        """Return when a query was asked, on the monotonic clock."""
        return [when for when, parameters in self.line.asked if query is _query(parameters, self.settings)]


def months(shown: Shown) -> dict[str, MonthFigures]:
    """Return the months that are shown."""
    sent, costs = shown["sms_sent_monthly"], shown["sms_cost_monthly"]
    assert sent.keys() == costs.keys() == shown["smspartner_month_start_timestamp_seconds"].keys()
    return {month: MonthFigures(costs[month], int(sent[month])) for month in sorted(sent)}


@functools.cache
def _truth(month: str, instant: float) -> MonthFigures:
    usage = SimulatedAccount(KEY.reveal()).usage(*first_and_last_day(month), instant)
    return MonthFigures(usage.cost / 1000, usage.sent)


def _query(parameters: Mapping[str, str], settings: Settings) -> Query:
    match parameters.get("interval"):
        case None:
            return Query.CREDITS
        case settings.statistics:
            return Query.STATISTICS
        case _:
            return Query.CURRENT_MONTH
