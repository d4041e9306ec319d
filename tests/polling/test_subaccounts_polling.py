"""Accounts whose sub-accounts find themselves, in virtual time."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporter.config.api_key import KeySource
from exporter.config.settings import AccountSettings, Settings, SubaccountSettings
from exporter.model import Account, Credits, Endpoint, Failure, Query, Reason, Subaccount, SubaccountPage
from exporter.polling.poller import Poller
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from exporter.state.store import Store
from tests.support.fakes import FakeClock, FakeFetcher
from tests.support.simulator import most_in_60s

HOUR = 3600.0
MAIN_KEY = "key-of-the-agency"


def subaccounts(count: int) -> dict[int, str]:
    """Return the keys of so many sub-accounts, by id."""
    return {number: f"key-of-client-{number}" for number in range(1, count + 1)}


class Agency(FakeFetcher):
    """An account with sub-accounts. `fault` spoils pages of its list."""

    def __init__(self, clock: FakeClock, count: int) -> None:
        self.keys = subaccounts(count)
        self.balance = 10.0
        self.asked: list[tuple[float, str, Query]] = []
        self.pages: list[int] = []
        self.fault: dict[int, SubaccountPage | Failure] = {}
        self.on_page: dict[int, Callable[[], None]] = {}
        self.failing: set[Query] = set()
        self._clock = clock

    def ask(self, query: Query, key: Secret, deadline: float) -> None:
        self.asked.append((self._clock.monotonic(), key.reveal(), query))
        self._clock.advance(0.3)
        if query in self.failing:
            raise Failure(Reason.SERVER_ERROR, "HTTP 500")

    def fetch_subaccounts(self, page: int, key: Secret, deadline: float) -> SubaccountPage:
        self.ask(Query.SUBACCOUNTS, key, deadline)
        self.pages.append(page)
        self.on_page.get(page, lambda: None)()
        if isinstance(fault := self.fault.get(page), Failure):
            raise fault
        return fault or self.page(page)

    def page(self, page: int) -> SubaccountPage:
        listed = list(self.keys.items())[20 * (page - 1) : 20 * page]
        credit = Credits(self.balance, "EUR", {}, None)
        return SubaccountPage(len(self.keys), tuple(Subaccount(n, Secret(key), credit) for n, key in listed))


class Bench:
    """A poller of one agency, in virtual time."""

    def __init__(
        self,
        clock: FakeClock,
        client: Agency,
        state: Path | None = None,
        subaccounts: SubaccountSettings | None = SubaccountSettings(),  # noqa: B008
        **settings: Any,
    ) -> None:
        self.clock, self.client = clock, client
        self.settings = self.configured(subaccounts, **settings)
        self.store = Store(StateDirectory(state) if state else None)
        self.limiters = RateLimiters(5, clock, past_is_empty=True, scope=self.settings.limit_scope)
        self.poller = Poller(self.settings, client, self.limiters, self.store, clock)

    @staticmethod
    def configured(subaccounts: SubaccountSettings | None, **settings: Any) -> Settings:
        agency = AccountSettings("agency", KeySource(Secret(MAIN_KEY)), subaccounts=subaccounts)
        return Settings(accounts=(agency,), **settings)

    def run(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            wait = self.poller.step()
            self.clock.advance(min(wait, max(0.0, end - self.clock.monotonic())))

    @property
    def names(self) -> list[str | None]:
        return [account.name for account in self.store.snapshot]

    def account(self, name: str) -> Account:
        return self.store.account(name)


@pytest.mark.parametrize("count", [0, 1, 45, 400])
def test_every_sub_account_is_polled_within_the_limit(clock: FakeClock, count: int) -> None:
    client = Agency(clock, count)
    bench = Bench(clock, client)
    bench.run(3 * HOUR + bench.poller.poll_interval)
    bench.run(2 * bench.poller.poll_interval)
    assert bench.names == ["agency", *(f"agency/{number}" for number in range(1, count + 1))]
    assert most_in_60s([when for when, _, _ in client.asked]) <= 5
    for account in bench.store.snapshot:
        assert list(account.figures.months) == ["2026-10", "2026-11"]
        assert account.figures.credits
    for key in client.keys.values():
        assert {query for _, asked, query in client.asked if asked == key} == {
            Query.STATISTICS,
            Query.CURRENT_MONTH,
        }


@pytest.mark.parametrize(("count", "interval"), [(0, 900), (1, 900), (30, 900), (45, 1200), (400, 10560)])
def test_the_poll_interval_stretches_to_what_the_limit_leaves_room_for(
    clock: FakeClock, caplog: pytest.LogCaptureFixture, count: int, interval: int
) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(clock, Agency(clock, count))
    bench.run(HOUR)
    assert bench.poller.poll_interval == pytest.approx(interval, abs=60)
    stretched = [record for record in caplog.records if "poll interval stretched" in record.message]
    assert len(stretched) == (interval > 900)
    start = clock.monotonic()
    bench.run(2 * bench.poller.poll_interval)
    polls = [key for when, key, query in bench.client.asked if when >= start and query is Query.STATISTICS]
    for key in bench.client.keys.values():
        assert polls.count(key) in {1, 2, 3}


def test_with_a_limit_for_each_key_the_interval_stays_as_configured(clock: FakeClock) -> None:
    bench = Bench(clock, Agency(clock, 45), limit_scope="account")
    bench.run(HOUR)
    assert bench.poller.poll_interval == 900


def test_the_list_is_read_at_start_once_an_hour_and_at_a_reload(clock: FakeClock) -> None:
    bench = Bench(clock, Agency(clock, 45))
    bench.run(2.5 * HOUR)
    assert bench.client.pages == [1, 2, 3] * 3
    bench.poller.reconfigure(bench.settings, bench.client)
    bench.run(60)
    assert bench.client.pages == [1, 2, 3] * 4


def test_sub_accounts_have_their_parent_and_the_balance_of_the_list(clock: FakeClock) -> None:
    bench = Bench(clock, Agency(clock, 2))
    bench.run(100)
    bench.client.balance = 7.5
    assert [account.parent for account in bench.store.snapshot] == [None, "agency", "agency"]
    assert bench.account("agency/1").figures.credits == Credits(10.0, "EUR", {}, None)
    bench.run(HOUR)
    assert bench.account("agency/1").figures.credits == Credits(7.5, "EUR", {}, None)
    assert bench.account("agency").figures.credits == Credits(99.0, "EUR", {"sms": 7}, 0)


def test_the_age_of_the_list_is_known(clock: FakeClock) -> None:
    bench = Bench(clock, Agency(clock, 45))
    bench.run(20)
    assert Query.SUBACCOUNTS not in bench.account("agency").figures.fetched, "one page of three"
    bench.run(HOUR)
    assert bench.account("agency").figures.fetched[Query.SUBACCOUNTS] > clock.time() - HOUR


def test_names_and_budgets_come_from_the_configuration(clock: FakeClock) -> None:
    bench = Bench(clock, Agency(clock, 3), subaccounts=SubaccountSettings({2: "shop-lyon"}, {2: 200.0}))
    bench.run(100)
    assert bench.names == ["agency", "agency/1", "agency/shop-lyon", "agency/3"]
    assert [account.monthly_budget for account in bench.store.snapshot] == [None, None, 200.0, None]
    bench.poller.reconfigure(bench.configured(SubaccountSettings(budgets=50.0)), bench.client)
    assert [account.monthly_budget for account in bench.store.snapshot] == [None, 50.0, 50.0, 50.0]
    assert bench.names == ["agency", "agency/1", "agency/2", "agency/3"]


def test_a_new_sub_account_appears_and_one_that_is_gone_takes_its_series_along(clock: FakeClock) -> None:
    bench = Bench(clock, Agency(clock, 3))
    bench.run(200)
    del bench.client.keys[2]
    bench.client.keys[9] = "key-of-client-9"
    before = bench.account("agency/1").figures
    bench.run(HOUR + 200)
    assert bench.names == ["agency", "agency/1", "agency/3", "agency/9"]
    assert bench.account("agency/9").has_figures
    assert bench.account("agency/1").figures.history == before.history
    bench.client.keys.clear()
    bench.run(HOUR)
    assert bench.names == ["agency"], "a complete list that is empty counts, too"


def test_a_sub_account_goes_on_with_a_changed_key(clock: FakeClock) -> None:
    bench = Bench(clock, Agency(clock, 1))
    bench.run(HOUR - 60)
    bench.client.keys[1] = "key-of-client-1-rotated"
    bench.run(HOUR)
    assert bench.client.asked[-1][1] in {"key-of-client-1-rotated", MAIN_KEY}
    late = {key for when, key, _ in bench.client.asked if when > bench.clock.monotonic() - HOUR / 2}
    assert late == {"key-of-client-1-rotated", MAIN_KEY}
    assert bench.account("agency/1").request_stats[Endpoint.STATISTICS].count > 5


TWO = tuple(Subaccount(n, Secret(f"key-of-client-{n}"), Credits(1.0, "EUR", {}, None)) for n in (1, 2))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({1: Failure(Reason.UNREACHABLE, "connection refused")}, Reason.UNREACHABLE),
        ({2: Failure(Reason.TIMEOUT, "late")}, Reason.TIMEOUT),
        ({2: Failure(Reason.KEY_REJECTED, "code 10")}, Reason.KEY_REJECTED),
        ({3: SubaccountPage(45, ())}, Reason.INVALID_REPLY),
        ({2: SubaccountPage(44, ())}, Reason.INVALID_REPLY),
        ({1: SubaccountPage(45, (*TWO, *TWO))}, Reason.INVALID_REPLY),
        ({1: SubaccountPage(1, TWO)}, Reason.INVALID_REPLY),
        ({1: SubaccountPage(0, (), permitted=False)}, Reason.ACCESS_DENIED),
    ],
    ids=[
        "unreachable",
        "the second page is missing",
        "the key is rejected on the way",
        "cut short",
        "another total",
        "repeated",
        "more than the total",
        "no longer permitted",
    ],
)
def test_a_list_that_fails_or_contradicts_itself_changes_nothing(
    clock: FakeClock, fault: dict[int, SubaccountPage | Failure], reason: Reason
) -> None:
    bench = Bench(clock, Agency(clock, 45))
    bench.run(HOUR - 60)
    names, before = bench.names, bench.account("agency/45").figures
    bench.client.fault = fault
    bench.client.keys = subaccounts(45)
    bench.run(5 * 60)
    poll = bench.account("agency").polls[Query.SUBACCOUNTS]
    assert (poll.succeeded, poll.reason) == (False, reason)
    assert bench.account("agency").request_stats[Endpoint.SUBACCOUNTS].failures[reason] >= 1
    assert bench.names == names
    after = bench.account("agency/45").figures
    assert (after.months, after.credits) == (before.months, before.credits)
    bench.client.fault = {}
    bench.run(1.2 * HOUR)
    poll = bench.account("agency").polls[Query.SUBACCOUNTS]
    assert poll.succeeded
    assert bench.names == names


def test_an_account_without_the_feature_is_no_failure(clock: FakeClock) -> None:
    client = Agency(clock, 0)
    client.fault = {1: SubaccountPage(0, (), permitted=False)}
    bench = Bench(clock, client)
    bench.run(2 * HOUR)
    assert bench.account("agency").polls[Query.SUBACCOUNTS].succeeded
    assert bench.names == ["agency"]
    assert client.pages == [1, 1]


def test_without_the_key_in_the_configuration_no_list_is_read(clock: FakeClock) -> None:
    bench = Bench(clock, Agency(clock, 3), subaccounts=None)
    bench.run(2 * HOUR)
    assert bench.client.pages == []
    assert bench.names == ["agency"]


def test_a_reload_that_turns_it_off_takes_the_sub_accounts_along(clock: FakeClock) -> None:
    bench = Bench(clock, Agency(clock, 3))
    bench.run(200)
    bench.poller.reconfigure(bench.configured(None), bench.client)
    assert bench.names == ["agency"]
    assert Query.SUBACCOUNTS not in bench.account("agency").polls


def test_a_reload_with_another_main_key_keeps_the_sub_accounts_until_their_list_is_read_with_it(
    clock: FakeClock,
) -> None:
    bench = Bench(clock, Agency(clock, 3))
    bench.run(200)
    before = bench.account("agency/2").figures
    other = AccountSettings("agency", KeySource(Secret("another-main-key")), subaccounts=SubaccountSettings())
    bench.client.fault = {1: Failure(Reason.TIMEOUT, "late")}
    bench.poller.reconfigure(Settings(accounts=(other,)), bench.client)
    bench.run(30)
    assert bench.names == ["agency", "agency/1", "agency/2", "agency/3"]
    assert bench.account("agency/2").figures.months == before.months
    bench.client.fault = {}
    bench.client.keys = {2: "key-of-client-2", 7: "key-of-client-7"}
    bench.run(120)
    assert bench.names == ["agency", "agency/2", "agency/7"]
    assert bench.account("agency/2").figures.months == before.months


def test_saved_sub_accounts_stay_if_the_main_key_changes_before_their_list_is_read(
    clock: FakeClock, tmp_path: Path
) -> None:
    Bench(clock, Agency(clock, 3), tmp_path).run(200)
    client = Agency(clock, 3)
    client.fault = {1: Failure(Reason.UNREACHABLE, "connection refused")}
    restarted = Bench(clock, client, tmp_path)
    other = AccountSettings("agency", KeySource(Secret("another-main-key")), subaccounts=SubaccountSettings())
    restarted.poller.reconfigure(Settings(accounts=(other,)), client)
    assert restarted.names == ["agency", "agency/1", "agency/2", "agency/3"]


@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_reload_while_a_page_is_under_way_lets_the_list_begin_anew(clock: FakeClock, page: int) -> None:
    client = Agency(clock, 45)
    bench = Bench(clock, client)

    def reload() -> None:
        client.on_page = {}
        bench.poller.reconfigure(bench.configured(SubaccountSettings(), timeout=29), client)

    client.on_page = {page: reload}
    bench.run(200)
    assert client.pages == [*range(1, page + 1), 1, 2, 3] if page > 1 else [1, 2, 3]
    assert len(bench.names) == 1 + 45
    assert bench.account("agency").request_stats[Endpoint.SUBACCOUNTS].failures == {}


def test_a_list_goes_on_when_another_query_of_its_account_fails(clock: FakeClock) -> None:
    client = Agency(clock, 400)
    client.failing = {Query.STATISTICS, Query.CURRENT_MONTH, Query.CREDITS}
    bench = Bench(clock, client)
    bench.run(600)
    assert client.pages == [*range(1, 21)]


def test_a_reply_without_a_list_does_not_remove_sub_accounts(clock: FakeClock) -> None:
    bench = Bench(clock, Agency(clock, 3))
    bench.run(200)
    bench.client.fault = {1: SubaccountPage(None, ())}
    bench.run(1.1 * HOUR)
    assert bench.names == ["agency", "agency/1", "agency/2", "agency/3"]
    poll = bench.account("agency").polls[Query.SUBACCOUNTS]
    assert (poll.reason, poll.detail) == (
        Reason.INVALID_REPLY,
        "total and data: are missing, but there were sub-accounts before",
    )


def test_a_reply_without_a_list_is_an_empty_list_if_none_was_known(clock: FakeClock) -> None:
    client = Agency(clock, 0)
    client.fault = {1: SubaccountPage(None, ())}
    bench = Bench(clock, client)
    bench.run(200)
    assert bench.account("agency").polls[Query.SUBACCOUNTS].succeeded


def test_saved_figures_are_shown_after_a_restart_before_the_list_is_read(
    clock: FakeClock, tmp_path: Path
) -> None:
    Bench(clock, Agency(clock, 3), tmp_path, SubaccountSettings({2: "shop-lyon"}, 20.0)).run(200)
    client = Agency(clock, 3)
    client.fault = {1: Failure(Reason.UNREACHABLE, "connection refused")}
    restarted = Bench(clock, client, tmp_path, SubaccountSettings({2: "shop-lyon"}, 20.0))
    assert restarted.names == ["agency", "agency/1", "agency/shop-lyon", "agency/3"]
    restarted.run(300)
    for account in restarted.store.snapshot[1:]:
        assert account.has_figures
        assert account.figures.credits == Credits(10.0, "EUR", {}, None)
        assert (account.parent, account.monthly_budget) == ("agency", 20.0)
    assert {key for _, key, _ in client.asked} == {MAIN_KEY}
    client.fault = {}
    restarted.run(HOUR)
    assert {key for _, key, _ in client.asked} == {MAIN_KEY, *client.keys.values()}


def test_no_key_of_a_sub_account_is_written_to_disk(clock: FakeClock, tmp_path: Path) -> None:
    bench = Bench(clock, Agency(clock, 45), tmp_path)
    bench.run(HOUR)
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"key-of" not in written
    assert len(list(tmp_path.iterdir())) == 1 + 45


def test_the_first_pages_of_a_retry_neither_end_a_failure_nor_shorten_its_backoff(clock: FakeClock) -> None:
    client = Agency(clock, 45)
    client.fault = {3: Failure(Reason.TIMEOUT, "late")}
    bench = Bench(clock, client)
    ups: set[bool | None] = set()
    for _ in range(600):
        bench.run(2)
        ups.add(bench.account("agency").polls[Query.SUBACCOUNTS].succeeded)
    assert ups == {None, False}
    assert bench.account("agency").polls[Query.SUBACCOUNTS].failures_in_a_row == client.pages.count(3)
    assert client.pages.count(3) in {4, 5}, "after 1, 2, 4 and 8 minutes"
