"""The limit, hour by hour in virtual time: a real poller and rate limiter, and requests under way for up to 2 s."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config.api_key import KeySource
from exporter.config.settings import AccountSettings, Settings
from exporter.model import Failure, Query, Reason
from exporter.polling.poller import Poller
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from exporter.state.store import Store
from tests.stress.arrivals import LIMIT, Arrival, judge, least_gap
from tests.support.fakes import FakeClock, FakeFetcher

HOUR = 3600.0


class StoppingClock(FakeClock):
    """Time as a process sees it that is stopped for 70 s now and then."""

    def __init__(self, dice: random.Random, share: float) -> None:
        super().__init__()
        self._dice = dice
        self._share = share

    def advance(self, seconds: float) -> None:
        super().advance(seconds + (70 if self._dice.random() < self._share else 0))


class FarClient(FakeFetcher):
    """Sends requests that arrive late, and after they were given up. What then happens, `behave` says."""

    def __init__(self, clock: FakeClock, dice: random.Random, behave: "Behaviour") -> None:
        self.arrivals: list[Arrival] = []
        self.clock = clock
        self.dice = dice
        self._behave = behave

    def ask(self, query: Query, key: Secret, deadline: float) -> None:
        self._behave(self, key.reveal(), deadline)

    def send(self, key: str, deadline: float) -> None:
        """Let a request leave, if it is not too late for that."""
        if self.clock.monotonic() >= deadline:
            raise Failure(Reason.TIMEOUT, "late")
        self.arrivals.append(Arrival(self.clock.monotonic() + self.dice.choice([0, 1, 2]), key))

    def wait(self, deadline: float, seconds: float = HOUR) -> None:
        """Wait for the answer, no longer than until the deadline."""
        self.clock.advance(max(0.0, min(seconds, deadline - self.clock.monotonic())))
        if self.clock.monotonic() >= deadline:
            raise Failure(Reason.TIMEOUT, "late")


Behaviour = Callable[[FarClient, str, float], None]


def answer(client: FarClient, key: str, deadline: float) -> None:
    client.send(key, deadline)
    client.wait(deadline, max(0.0, client.arrivals[-1].instant - client.clock.monotonic()))


def never_answer(client: FarClient, key: str, deadline: float) -> None:
    client.send(key, deadline)
    client.wait(deadline)


def leave_late(client: FarClient, key: str, deadline: float) -> None:
    client.clock.advance(max(0.0, deadline - client.clock.monotonic() - 0.001))
    never_answer(client, key, deadline)


def be_limited(client: FarClient, key: str, deadline: float) -> None:
    answer(client, key, deadline)
    raise Failure(Reason.RATE_LIMITED, "HTTP 429", client.dice.choice([None, 0, 1, 61]))


def anything(client: FarClient, key: str, deadline: float) -> None:
    client.dice.choice([answer, answer, answer, never_answer, leave_late, be_limited])(client, key, deadline)


def arrivals_in_an_hour(
    directory: Path, behave: Behaviour, seed: int, stopped: float, timeout: int, accounts: int = 100
) -> list[Arrival]:
    dice = random.Random(seed)
    clock = StoppingClock(dice, stopped)
    named = (AccountSettings(f"a{n}", KeySource(Secret(f"key-{n}"))) for n in range(accounts))
    polled = Settings(accounts=tuple(named), poll_interval=62 * 60, timeout=timeout)
    client = FarClient(clock, dice, behave)
    limiters = RateLimiters(5, clock, StateDirectory(directory), "this-boot")
    poller = Poller(polled, client, limiters, Store(), clock)
    end = clock.monotonic() + HOUR
    while clock.monotonic() < end:
        clock.advance(poller.step())
    return client.arrivals


@pytest.mark.parametrize("stopped", [0.0, 0.1], ids=["running", "stopped at times"])
@pytest.mark.parametrize("behave", [answer, never_answer, leave_late, be_limited, anything])
@settings(max_examples=6)
@given(seed=st.integers(0, 2**32), timeout=st.sampled_from([1, 5, 30]))
def test_no_sliding_minute_holds_more_than_five(
    tmp_path_factory: pytest.TempPathFactory, behave: Behaviour, stopped: float, seed: int, timeout: int
) -> None:
    directory = tmp_path_factory.mktemp("state")
    verdict = judge("", arrivals_in_an_hour(directory, behave, seed, stopped, timeout), HOUR)
    assert verdict.most <= LIMIT
    assert verdict.requests > 15


def test_a_429_keeps_the_account_away_for_as_long_as_it_must(tmp_path: Path) -> None:
    arrivals = arrivals_in_an_hour(tmp_path, be_limited, seed=1, stopped=0, timeout=30, accounts=3)
    assert len(arrivals) > 20
    assert least_gap(arrivals) >= 60
