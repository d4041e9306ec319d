"""The benchmark of the limit measures what it says, in a small size."""

import pytest

from benchmarks.limit import of_failures, of_sizes, run
from exporter.ratelimit.decision import LimitScope

HOURS: dict[LimitScope, float] = {"all": 1, "account": 0.5}


def test_a_steady_load_uses_95_percent_of_the_limit_and_starves_nobody() -> None:
    for one in of_sizes((1, 3), HOURS):
        assert one.most_in_60s == 5
        assert one.used >= 0.95
        assert one.polls[0] >= one.polls[1] - 1 > 0


def test_the_time_to_go_round_is_that_of_one_limiter_or_of_one_thread() -> None:
    assert run(20, "all", 1).round_took == pytest.approx(20 * 3 * 12.5, rel=0.02)
    assert run(20, "account", 0.5).round_took < 3 * 12.5 + 20


def test_accounts_that_fail_cost_the_others_next_to_nothing() -> None:
    without, *others = of_failures(20, {"all": 4}, failing=(1, 5))
    for _, one in others:
        assert one.most_in_60s == 5
        assert one.oldest < 1.1 * without[1].oldest
        assert one.polls[0] >= 0.9 * without[1].polls[0]
