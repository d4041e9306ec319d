"""What simulated accounts send, pay and have left: plausible, the same each time, and of Paris's days."""

from datetime import date, datetime
from itertools import pairwise

import pytest

from exporter.simulator.history import (
    PARIS,
    START,
    TOP_UP,
    TOP_UP_BELOW,
    SimulatedAccount,
    days,
    midnight,
    months,
)

KEY = "S3CR+T/key"
NOVEMBER = datetime(2021, 11, 20, 15, tzinfo=PARIS).timestamp()


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp()


def test_figures_follow_from_the_key_alone() -> None:
    def figures(key: str) -> int:
        return SimulatedAccount(key).usage(date(2021, 1, 1), date(2021, 12, 31), NOVEMBER).sent

    assert figures("a") == figures("a") != figures("b")


@pytest.mark.parametrize("key", ["demo", "a", "b"])
def test_every_month_of_many_years_is_plausible(key: str) -> None:
    account, now = SimulatedAccount(key), at("2029-01-01T00:00:00")
    for first, last in months(START, date(2028, 12, 31)):
        used = account.usage(first, last, now)
        assert 5_000 <= used.sent <= 12_000
        assert 40 <= used.cost / used.sent <= 50
    week = [account.usage(day, day, now).sent for day in days(date(2024, 6, 3), date(2024, 6, 9))]
    assert min(week[:5]) > week[5] > week[6] > 0


def test_summer_time_days_have_23_and_25_hours() -> None:
    def length(day: date, following: date) -> float:
        return midnight(following) - midnight(day)

    assert length(date(2021, 3, 28), date(2021, 3, 29)) == 23 * 3600
    assert length(date(2021, 10, 31), date(2021, 11, 1)) == 25 * 3600


@pytest.mark.parametrize("day", ["2021-11-19", "2021-03-28", "2021-10-31"])
def test_the_running_day_grows_until_midnight_in_france(day: str) -> None:
    account, today = SimulatedAccount(KEY), date.fromisoformat(day)
    begin = midnight(today)
    sent = [account.usage(today, today, begin + second) for second in range(0, 26 * 3600, 600)]
    assert sent == sorted(sent)
    assert sent[0].sent == 0
    assert sent[-1] == account.usage(today, today, begin + 90_000) > sent[60] > sent[0]


def test_the_balance_falls_by_the_cost_and_is_topped_up() -> None:
    account, moments = SimulatedAccount(KEY), [NOVEMBER + hour * 3600 for hour in range(0, 1440, 12)]
    balances = [account.balance(moment) for moment in moments]
    costs = [account.usage(START, date.max, moment).cost for moment in moments]
    steps = [
        later - sooner + cost - cost_before
        for (sooner, later), (cost_before, cost) in zip(pairwise(balances), pairwise(costs), strict=True)
    ]
    assert set(steps) == {0, TOP_UP}
    assert all(TOP_UP_BELOW <= balance < TOP_UP_BELOW + TOP_UP for balance in balances)
