"""The limit, under attack: real exporters, real time, and a provider that counts what arrives.

In virtual time, tests/test_pace.py and test_limit_in_virtual_time.py attack it for longer.
"""

import sys
from pathlib import Path

import pytest

from tests.fire.arrivals import LIMIT, Verdict, judge, judge_each_key, least_gap
from tests.fire.limit_attacks import LONG, SHORT, Field, Scenario
from tests.fire.provider import Provider
from tests.running import Started, eventually

PACE = 12.2


def attack(scenario: Scenario, started: Started, state: Path, seconds: float) -> Verdict:
    provider, took = scenario.run(started, state, seconds)
    verdict = (judge_each_key if scenario.limit_of_a_key else judge)(scenario.name, provider.arrivals, took)
    print(verdict)
    assert verdict.most <= LIMIT
    assert verdict.requests >= scenario.least_a_minute * seconds / 60
    assert verdict.share >= scenario.least_of_the_limit
    of_the_network = sum(provider.delays) / len(provider.delays)
    assert verdict.share * LIMIT >= scenario.least_of_the_pace * 60 / (PACE + of_the_network)
    if scenario.least_between_two_of_a_key:
        assert least_gap(provider.arrivals) >= scenario.least_between_two_of_a_key
    return verdict


@pytest.mark.fire
@pytest.mark.parametrize("scenario", LONG, ids=lambda scenario: scenario.name)
def test_for_ten_minutes(scenario: Scenario, started: Started, state: Path) -> None:
    attack(scenario, started, state, 600).keep(LONG.index(scenario))


@pytest.mark.journey
@pytest.mark.parametrize("scenario", SHORT, ids=lambda scenario: scenario.name)
def test_for_a_minute_and_a_half(scenario: Scenario, started: Started, state: Path) -> None:
    attack(scenario, started, state, 85)


@pytest.mark.journey
def test_an_exporter_without_a_pace_is_noticed(started: Started, state: Path) -> None:
    """The same field and the same judge, and an exporter that may ask once in 0.2 s."""
    provider = Provider(1, (0, 0.1))
    field = Field(started, provider, state, 30, provider.base_url)
    unpaced = (
        "import exporter.pace; exporter.pace._MINUTE_WITH_MARGIN = 1; import exporter.__main__ as m; m.main()"
    )
    field.exporter(program=(sys.executable, "-c", unpaced))
    eventually(lambda: len(provider.arrivals) > 2 * LIMIT)
    assert judge("", provider.arrivals, 1).most > LIMIT
    provider.end()
