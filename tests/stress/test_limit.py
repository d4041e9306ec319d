"""The limit, under attack: real exporters, real time, and a provider that counts what arrives.

In virtual time, tests/ratelimit/test_limiter.py and test_limit_in_virtual_time.py attack it for longer.
"""

import socket
import struct
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.stress.arrivals import LIMIT, Verdict, judge, judge_each_key, least_gap
from tests.stress.limit_attacks import LONG, SHORT, Field, Scenario
from tests.stress.provider import Provider, Relay
from tests.support.running import Started, eventually

INTERVAL = 12.2


def attack(scenario: Scenario, started: Started, state: Path, seconds: float) -> Verdict:
    provider, took = scenario.run(started, state, seconds)
    verdict = (judge_each_key if scenario.limit_of_a_key else judge)(scenario.name, provider.arrivals, took)
    print(verdict)
    assert verdict.most <= LIMIT
    assert verdict.requests >= scenario.least_a_minute * seconds / 60
    assert verdict.share >= scenario.least_of_the_limit
    of_the_network = sum(provider.delays) / len(provider.delays)
    assert verdict.share * LIMIT >= scenario.least_of_the_permitted * 60 / (INTERVAL + of_the_network)
    if scenario.least_between_two_of_a_key:
        assert least_gap(provider.arrivals) >= scenario.least_between_two_of_a_key
    return verdict


@pytest.mark.fire
@pytest.mark.parametrize("scenario", LONG, ids=lambda scenario: scenario.name)
def test_for_ten_minutes(scenario: Scenario, started: Started, state: Path) -> None:
    attack(scenario, started, state, 600).keep(LONG.index(scenario))


@pytest.mark.long
@pytest.mark.journey
@pytest.mark.parametrize("scenario", SHORT, ids=lambda scenario: scenario.name)
def test_for_a_minute_and_a_half(scenario: Scenario, started: Started, state: Path) -> None:
    attack(scenario, started, state, 85)


@pytest.mark.journey
def test_an_exporter_without_a_limiter_is_noticed(started: Started, state: Path) -> None:
    """The same field and the same judge, and an exporter that may ask once in 0.2 s."""
    provider = Provider(1, (0, 0.1))
    field = Field(started, provider, state, 30, provider.base_url)
    unpaced = (
        "import exporter.ratelimit.decision as decision; decision.MINUTE_WITH_MARGIN = 1; "
        "import exporter.__main__ as m; m.main()"
    )
    field.exporter(program=(sys.executable, "-c", unpaced))
    eventually(lambda: len(provider.arrivals) > 2 * LIMIT, within=60)
    assert judge("", provider.arrivals, 1).most > LIMIT
    provider.end()


@pytest.mark.parametrize("relayed", [False, True], ids=["directly", "through a relay"])
def test_a_request_arrives_although_its_sender_is_gone(relayed: bool) -> None:
    """Which is what makes a kill an attack: a reset overtakes nothing that was sent before it."""
    provider = Provider(1, (0.1, 0.2))
    relay = Relay(provider.address, 2, (0.1, 0.2))
    url = urlsplit(relay.base_url if relayed else provider.base_url)
    with socket.create_connection((url.hostname, url.port)) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sender.sendall(b"GET /v1/me?apiKey=dead HTTP/1.1\r\nHost: x\r\n\r\n")
    assert not provider.arrivals
    eventually(lambda: [arrival.key for arrival in provider.arrivals] == ["dead"])
    relay.end()
    provider.end()
