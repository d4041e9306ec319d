"""A configuration and a state directory as an exporter leaves them that has asked for every account."""

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec

from exporter.api.client import Client
from exporter.api.transport import Transport
from exporter.clock import SystemClock
from exporter.config.settings import Interval
from exporter.model import FIGURE_QUERIES, Account, Figures, Poll
from exporter.polling.queries import ask
from exporter.secret import Secret
from exporter.simulator.simulator import Simulator, serve
from exporter.state.directory import StateDirectory
from exporter.state.store import Store

_BUDGET = 500
_STATISTICS: Interval = "last_twelve_months"


@dataclass(frozen=True)
class Planted:
    """What to start an exporter with."""

    config: Path
    state: Path

    @property
    def flags(self) -> tuple[str, ...]:
        """The exporter's flags."""
        return f"--config.file={self.config}", f"--state.dir={self.state}"


def plant(directory: Path, accounts: int, base_url: str, **settings: object) -> Planted:
    """Write configuration and figures for so many accounts; a single one has no name.

    The figures are those of a simulated API without a limit, fetched and kept by the exporter's own code.
    """
    planted = Planted(directory / "config.json", directory / "state")
    directory.mkdir(parents=True)
    names = (f"account {number}" if accounts > 1 else None for number in range(1, accounts + 1))
    keys = {name: f"test-key-{number}" for number, name in enumerate(names)}
    store = Store(StateDirectory(planted.state))
    store.use_api(base_url)
    clock = SystemClock()
    polls = {query: Poll(due=clock.monotonic()) for query in FIGURE_QUERIES}
    empty = Figures().asked_with(str(_STATISTICS))
    store.replace(tuple(Account(name, _BUDGET, empty, polls, {}) for name in keys))
    with serve(Simulator(requests_per_minute=None).answer) as server:
        client = Client(Transport(server.base_url, clock), clock, _STATISTICS)
        for account in store.snapshot:
            key = Secret(keys[account.name])
            figures = account.figures
            for query in FIGURE_QUERIES:
                figures = ask(client, query, key, clock.monotonic() + 30, clock)(figures)
            store.publish(msgspec.structs.replace(account, figures=figures), key=key)
            store.save()
    settings = {"base_url": base_url, "poll_interval": "15m" if accounts == 1 else "1d", **settings}
    if accounts > 1:
        settings["accounts"] = [
            {"name": name, "api_key": key, "monthly_budget": _BUDGET} for name, key in keys.items()
        ]
    else:
        settings |= {"api_key": keys[None], "monthly_budget": _BUDGET}
    planted.config.write_text(json.dumps(settings))
    return planted
