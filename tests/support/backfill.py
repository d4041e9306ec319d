"""What the tests of the backfill share: the simulated API without a network, and what it should give."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.api.envelope import RawReply
from exporter.backfill import command as backfill_command
from exporter.config.api_key import KeySource
from exporter.config.settings import AccountSettings, Settings
from exporter.model import MonthFigures
from exporter.months import first_and_last_day
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.simulator.history import SimulatedAccount
from exporter.state.directory import StateDirectory
from tests.support.fakes import FakeClock
from tests.support.simulator import MisbehavingSimulator, served

KEY = "S3CR+T/key"
INTERVAL, LATE = 12.2, 2.0
Series = tuple[str, frozenset[tuple[str, str]]]


def settings(*names: str | None, base_url: str = "http://simulated/v1", key: str = KEY) -> Settings:
    accounts = tuple(AccountSettings(name, KeySource(Secret(key + (name or "")))) for name in names or [None])
    return Settings(accounts, base_url)


class SimulatedTransport:
    """The simulated API without a network, at the time of a fake clock."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.simulator = MisbehavingSimulator(now=clock.time, monotonic=clock.monotonic)
        self.asked: list[tuple[str, str]] = []
        self.latency: Callable[[], float] = lambda: 0.3
        self.on_request: Callable[[], object] = lambda: None

    def get(self, path: str, parameters: Mapping[str, str], deadline: float) -> RawReply:
        self.asked.append((parameters["apiKey"], parameters.get("from", "")[3:]))
        self.clock.advance(self.latency())
        self.on_request()
        reply = self.simulator.answer("GET", f"/v1{path}?{urlencode(parameters)}")
        self.clock.advance(self.latency())
        return RawReply(reply.status, reply.body)

    def cut_off(self) -> None:
        pass


def of_simulator(months: list[str], now: float, key: str = KEY) -> dict[str, MonthFigures]:
    """Figures of the simulated account, from its days."""
    account = SimulatedAccount(key)
    usages = {month: account.usage(*first_and_last_day(month), now) for month in months}
    return {month: MonthFigures(usage.cost / 1000, usage.sent) for month, usage in usages.items()}


def series_of(text: bytes) -> dict[Series, tuple[float, float]]:
    """Return value and timestamp of each series in an OpenMetrics text."""
    return {
        (sample.name, frozenset(sample.labels.items())): (sample.value, float(sample.timestamp))
        for family in text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


class Command:
    """Runs the command in this process against a simulated API that it can reach over HTTP."""

    def __init__(
        self, simulator: MisbehavingSimulator, base_url: str, directory: Path, clock: FakeClock
    ) -> None:
        self.simulator = simulator
        self.base_url = base_url
        self.directory = directory
        self.clock = clock

    def run(self, *words: str, name: str | None = None) -> int:
        flags = backfill_command.parse(words, self.clock.time())
        asked = settings(name, base_url=self.base_url)
        state = StateDirectory(self.directory / "state")
        limiters = RateLimiters(asked.requests_per_minute, self.clock, state)
        return backfill_command.run(flags, asked, limiters, state, self.clock)


@contextmanager
def command_over_http(directory: Path) -> Iterator[Command]:
    """Serve the simulated API over HTTP, in the time of a fake clock that begins now."""
    clock = FakeClock(wall=time.time())
    simulator = MisbehavingSimulator(now=clock.time, monotonic=clock.monotonic)
    with served(simulator) as server:
        yield Command(simulator, server.base_url, directory, clock)
