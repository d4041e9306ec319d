"""Days of polling in seconds: the real poller, rate limiters and store in virtual time, before a simulated API."""

import random
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from urllib.parse import urlencode

from exporter.api.client import Client
from exporter.api.envelope import RawReply
from exporter.config.api_key import KeySource
from exporter.config.loader import shortest_interval
from exporter.config.settings import AccountSettings, Settings
from exporter.model import Credits, Failure, MonthFigures, Query, Reason, SubaccountPage
from exporter.polling.poller import Poller
from exporter.ratelimit.decision import LimitScope
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.simulator.simulator import Simulator
from exporter.state.directory import StateDirectory
from exporter.state.store import Store
from tests.support.fakes import FakeClock
from tests.support.simulator import most_in_60s

_LATENCY_MEDIAN, _LATENCY_SIGMA = 0.25, 0.6
"""Seconds of an exchange: 0.3 on average, more than 1 once in a hundred."""


class Api:
    """A simulated API that answers after a while in virtual time, and notes when which key asked.

    The bodies are those of the simulator, made once: it takes longer to make one than to take it.
    `failures` says for which keys something else happens.
    """

    def __init__(self, clock: FakeClock, failures: Mapping[str, Reason], seed: int = 1) -> None:
        self.arrivals: dict[str, list[float]] = defaultdict(list)
        self._clock = clock
        self._failures = failures
        self._dice = random.Random(seed)  # noqa: S311 - it is to be the same each time
        self._simulator = Simulator(requests_per_minute=None, now=clock.time)
        self._bodies: dict[tuple[str, str | None], bytes] = {}

    def get(self, path: str, parameters: Mapping[str, str], deadline: float) -> RawReply:
        """Answer as the transport does."""
        key = parameters["apiKey"]
        latency = self._dice.lognormvariate(0, _LATENCY_SIGMA) * _LATENCY_MEDIAN
        self.arrivals[key].append(self._clock.monotonic() + latency / 2)
        match self._failures.get(key):
            case Reason.TIMEOUT:
                self._clock.advance(deadline - self._clock.monotonic())
                raise Failure(Reason.TIMEOUT, "no reply in time")
            case Reason.KEY_REJECTED:
                reply = RawReply(200, b'{"success": false, "code": 10, "message": "Incorrect API Key"}')
            case Reason.SERVER_ERROR:
                reply = RawReply(500, b"")
            case _:
                reply = RawReply(200, self._body(path, parameters))
        self._clock.advance(latency)
        return reply

    def cut_off(self) -> None:
        """Do nothing: there is only one thread."""

    def _body(self, path: str, parameters: Mapping[str, str]) -> bytes:
        kind = path, parameters.get("interval")
        if kind not in self._bodies:
            query = urlencode({**parameters, "apiKey": "any"})
            self._bodies[kind] = self._simulator.answer("GET", f"/v1{path}?{query}").body
        return self._bodies[kind]


@dataclass(frozen=True)
class Outcome:
    """What a run showed. Seconds are virtual, but for `took`."""

    settings: Settings
    failing: int
    hours: float
    most_in_60s: int
    """Requests: of all together, or of the key that had most, as the scope says."""
    used: float
    """Part of the limit: of all together, or of the key that had most."""
    round_took: float
    """From the start until every healthy account had all of its figures; infinite where that never was."""
    oldest: float
    """The most that lay between one answer and the next to the same question of a healthy account,
    the first quarter left out: until they have failed twice, those that fail are asked as any other."""
    polls: tuple[int, int]
    """Answers to the healthy account that had least of them, and to the one that had most."""
    answers: float
    """Answers to a healthy account, on average."""
    took: float


class _Watched:
    """A client, and when it answered which question of which key with figures."""

    def __init__(self, client: Client, clock: FakeClock) -> None:
        self.answered: dict[tuple[str, Query], list[float]] = defaultdict(list)
        self._client = client
        self._clock = clock

    def fetch_history(self, key: Secret, deadline: float) -> dict[str, MonthFigures]:
        history = self._client.fetch_history(key, deadline)
        self._note(key, Query.STATISTICS)
        return history

    def fetch_current_month(self, key: Secret, deadline: float) -> tuple[str, MonthFigures | None]:
        month = self._client.fetch_current_month(key, deadline)
        self._note(key, Query.CURRENT_MONTH)
        return month

    def fetch_credits(self, key: Secret, deadline: float) -> Credits:
        left = self._client.fetch_credits(key, deadline)
        self._note(key, Query.CREDITS)
        return left

    def fetch_subaccounts(self, page: int, key: Secret, deadline: float) -> SubaccountPage:
        return self._client.fetch_subaccounts(page, key, deadline)

    def _note(self, key: Secret, query: Query) -> None:
        self.answered[key.reveal(), query].append(self._clock.monotonic())

    def cut_off(self) -> None:
        """Do nothing: there is only one thread."""


def settings_for(accounts: int, scope: LimitScope) -> Settings:
    """Configure so many accounts, asked as often as the configuration lets."""
    every = tuple(
        AccountSettings(f"account {number}", KeySource(Secret(f"key-{number}")))
        for number in range(1, accounts + 1)
    )
    settings = Settings(every, limit_scope=scope)
    return replace(settings, poll_interval=shortest_interval(settings))


def play(
    directory: Path, settings: Settings, hours: float, failing: int = 0, reason: Reason = Reason.TIMEOUT
) -> Outcome:
    """Poll for so many hours. The first accounts fail, as many as that are."""
    began = time.perf_counter()
    clock = FakeClock()
    keys = [account.key.read().reveal() for account in settings.accounts]
    api = Api(clock, dict.fromkeys(keys[:failing], reason))
    client = _Watched(Client(api, clock, settings.statistics), clock)
    state = StateDirectory(directory)
    limiters = RateLimiters(settings.requests_per_minute, clock, state, scope=settings.limit_scope)
    poller = Poller(settings, client, limiters, Store(state), clock)
    start = clock.monotonic()
    settled = start + hours * 3600 / 4
    end = start + hours * 3600
    while clock.monotonic() < end:
        clock.advance(max(0.0, poller.step()))
    took = time.perf_counter() - began
    healthy = [[start, *client.answered[key, query]] for key in keys[failing:] for query in settings.queries]
    at_one_limiter: Collection[list[float]] = api.arrivals.values()
    if settings.limit_scope == "all":
        at_one_limiter = [sorted(chain.from_iterable(at_one_limiter))]
    return Outcome(
        settings,
        failing,
        hours,
        most_in_60s=max(most_in_60s(arrivals) for arrivals in at_one_limiter),
        used=max(map(len, at_one_limiter)) / (hours * 60 * settings.requests_per_minute),
        round_took=max(times[1] for times in healthy) - start,
        oldest=max(
            after - before
            for times in healthy
            for before, after in pairwise([*times[1:], end])
            if after > settled
        ),
        polls=(min(map(len, healthy)) - 1, max(map(len, healthy)) - 1),
        answers=sum(map(len, healthy)) / (len(keys) - failing) - len(settings.queries),
        took=took,
    )
