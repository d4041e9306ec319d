"""The past months of sub-accounts, which the main account's list names."""

from pathlib import Path

import pytest

from exporter.api.client import Client
from exporter.backfill.fetcher import Backfill
from exporter.config.api_key import KeySource
from exporter.config.settings import AccountSettings, Settings, SubaccountSettings
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from tests.support.backfill import KEY, SimulatedTransport
from tests.support.fakes import FakeClock
from tests.support.simulator import most_in_60s

MONTHS = ["2026-09", "2026-10"]


def backfill_in(directory: Path, clock: FakeClock, transport: SimulatedTransport) -> Backfill:
    agency = AccountSettings("agency", KeySource(Secret(KEY)), subaccounts=SubaccountSettings({2: "lyon"}))
    state = StateDirectory(directory)
    client = Client(transport, clock, "last_twelve_months")
    return Backfill(Settings((agency,)), MONTHS, client, RateLimiters(5, clock, state), state, clock)


@pytest.mark.parametrize("count", [0, 3, 45])
def test_the_months_of_every_sub_account_are_fetched_within_the_limit(
    tmp_path: Path, clock: FakeClock, count: int
) -> None:
    transport = SimulatedTransport(clock)
    transport.simulator.order(subaccounts=count)
    backfill = backfill_in(tmp_path, clock, transport)
    backfill.run()
    figures = backfill.figures()
    names = ["agency", *(f"agency/{'lyon' if number == 2 else number}" for number in range(1, count + 1))]
    assert list(figures) == names
    assert all(list(months) == MONTHS for months in figures.values())
    assert len({str(months) for months in figures.values()}) == count + 1
    assert most_in_60s(request.monotonic for request in transport.simulator.requests) <= 5


def test_what_was_fetched_of_a_sub_account_is_not_fetched_again(tmp_path: Path, clock: FakeClock) -> None:
    backfill_in(tmp_path, clock, SimulatedTransport(clock)).run()
    transport = SimulatedTransport(clock)
    again = backfill_in(tmp_path, clock, transport)
    again.run()
    assert [len(months) for months in again.figures().values()] == [2, 2, 2, 2]
    assert len(transport.simulator.requests) == 1, "the list alone"


def test_a_list_that_contradicts_itself_is_read_again_from_its_first_page(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    transport = SimulatedTransport(clock)
    transport.simulator.order(subaccounts=21)

    def shrink() -> None:
        if len(transport.simulator.requests) == 1:
            transport.simulator.order(subaccounts=20)

    transport.on_request = shrink
    backfill = backfill_in(tmp_path, clock, transport)
    backfill.run()
    assert len(backfill.figures()) == 21
    [warning] = [record for record in caplog.records if record.message == "not fetched"]
    assert vars(warning)["what"] == "sub-accounts"
    assert vars(warning)["detail"] == "total: page 1 said 21, page 2 says 20"
