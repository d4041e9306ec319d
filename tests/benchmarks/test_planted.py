"""The figures that benchmarks begin with are those that an exporter shows."""

from pathlib import Path

import pytest

from benchmarks.planted import plant
from exporter.clock import SystemClock
from exporter.config.loader import load
from exporter.polling.accounts import PolledAccounts
from exporter.state.directory import StateDirectory
from exporter.state.store import Store

NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize("accounts", [1, 3])
def test_every_planted_account_begins_with_its_months_and_its_balance(tmp_path: Path, accounts: int) -> None:
    planted = plant(tmp_path / "planted", accounts, NOWHERE)
    settings = load(planted.config, {})
    store = Store(StateDirectory(planted.state))
    store.use_api(settings.base_url)
    PolledAccounts(store, SystemClock()).apply(settings, 12.2, {})
    assert len(store.snapshot) == accounts
    for account in store.snapshot:
        assert len(account.figures.months) >= 12
        assert account.figures.credits
