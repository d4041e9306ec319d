"""The last good figures stay, whatever is sent in place of new ones: each reply of the table, in virtual time."""

import logging
import tracemalloc
from collections.abc import Iterator

import pytest

from exporter.api.client import Client
from exporter.api.transport import Transport
from exporter.config.api_key import KeySource
from exporter.config.settings import AccountSettings, Settings
from exporter.log import Formatter
from exporter.model import Account, Query, Reason
from exporter.polling.poller import Poller
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.state.store import Store
from tests.stress.hostile import BAD, LONGEST_LINE, UNUSUAL
from tests.stress.scripted import Provider, good_credits, good_months
from tests.support.fakes import FakeClock

LARGE = [
    name
    for name, bad in BAD.items()
    if len(bad.wire.first) > 100_000 or (bad.wire.again and not bad.wire.pause)
]
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    running = Provider()
    yield running
    running.end()


class Bench:
    """An exporter of one account, without a process, that has got good figures."""

    def __init__(self, provider: Provider, name: str, query: Query, timeout: float) -> None:
        self._query = query
        self._clock = FakeClock()
        self._store = Store()
        key = KeySource(Secret(provider.key(name)))
        settings = Settings(
            accounts=(AccountSettings(name, key),),
            base_url=provider.url,
            timeout=timeout,
            current_month=False,
            credits=query is Query.CREDITS,
        )
        client = Client(Transport(provider.url, self._clock), self._clock, settings.statistics)
        limiters = RateLimiters(5, self._clock, past_is_empty=True)
        self._poller = Poller(settings, client, limiters, self._store, self._clock)
        self.poll()
        assert self.figures == (good_credits(1) if query is Query.CREDITS else good_months(1))

    @property
    def account(self) -> Account:
        return self._store.snapshot[0]

    @property
    def figures(self) -> object:
        return self.account.figures.credits if self._query is Query.CREDITS else self.account.figures.months

    @property
    def fetched(self) -> float:
        return self.account.figures.fetched[self._query]

    def poll(self) -> Account:
        """Let time pass until the query was asked once more."""
        endpoint = self._query.endpoint

        def asked() -> int:
            return self.account.request_stats[endpoint].count if endpoint in self.account.request_stats else 0

        before = asked()
        while asked() == before:
            self._clock.advance(self._poller.step())
        return self.account


def timeout_of(name: str) -> float:
    return 0.3 if BAD[name].reason is Reason.TIMEOUT else 30


@pytest.mark.parametrize("name", BAD)
@pytest.mark.usefixtures("nothing_left")
def test_a_hostile_reply_changes_no_figure_and_its_reason_is_logged(
    provider: Provider, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = BAD[name]
    bench = Bench(provider, name, bad.query, timeout_of(name))
    before = bench.figures, bench.fetched
    caplog.set_level(logging.DEBUG, "exporter")
    caplog.clear()
    account = bench.poll()
    assert (bench.figures, bench.fetched) == before
    poll = account.polls[bad.query]
    assert (poll.succeeded, poll.reason) == (False, bad.reason)
    assert account.request_stats[bad.query.endpoint].failures == {bad.reason: 1}
    ours = [record for record in caplog.records if record.name.startswith("exporter.")]
    (record,) = [record for record in ours if record.levelno > logging.DEBUG]
    assert record.levelno == logging.WARNING
    line = Formatter("logfmt").format(record)
    assert line.isprintable()
    assert len(line) < LONGEST_LINE
    assert bad.detail in line.replace('\\"', '"')
    account = bench.poll()
    assert account.polls[bad.query].succeeded
    assert bench.figures == (good_credits(3) if bad.query is Query.CREDITS else good_months(3))


@pytest.mark.parametrize("name", UNUSUAL)
@pytest.mark.usefixtures("nothing_left")
def test_an_unusual_reply_is_accepted(provider: Provider, name: str) -> None:
    bench = Bench(provider, name, UNUSUAL[name].query, 30)
    assert bench.poll().polls[UNUSUAL[name].query].succeeded
    assert bench.figures == UNUSUAL[name].figures


@pytest.mark.parametrize("name", LARGE)
def test_a_large_reply_takes_little_memory(provider: Provider, name: str) -> None:
    bench = Bench(provider, name, BAD[name].query, 30)
    tracemalloc.start()
    try:
        bench.poll()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * MEGABYTE
