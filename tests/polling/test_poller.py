"""What is asked when, in virtual time, with a client that answers as it is told."""

import logging
from collections.abc import Callable, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from exporter.config.api_key import KeySource
from exporter.config.settings import AccountSettings, DateRange, Settings
from exporter.model import (
    FIGURE_QUERIES,
    Account,
    Credits,
    Endpoint,
    Failure,
    MonthFigures,
    Query,
    Reason,
)
from exporter.polling.poller import Poller
from exporter.ratelimit.decision import LimitScope, WaitReason
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from exporter.state.store import Store
from tests.support.fakes import FakeClock, FakeFetcher
from tests.support.simulator import most_in_60s

KEY = "key-of-the-tests"
Answer = Callable[[Query, Secret], Failure | None]


class FakeClient(FakeFetcher):
    """Answers every query at once, or fails as `answer` says, and remembers what it was asked."""

    def __init__(self, clock: FakeClock, answer: Answer = lambda *_: None, latency: float = 0.3) -> None:
        self.answer = answer
        self.latency = latency
        self.asked: list[tuple[float, str, Query]] = []
        self.is_cut_off = False
        self._clock = clock

    def ask(self, query: Query, key: Secret, deadline: float) -> None:
        assert deadline > self._clock.monotonic()
        self.asked.append((self._clock.monotonic(), key.reveal(), query))
        self._clock.advance(self.latency)
        if failure := self.answer(query, key):
            raise failure

    def cut_off(self) -> None:
        self.is_cut_off = True

    def times(self, query: Query) -> list[float]:
        return [when for when, _, asked in self.asked if asked is query]


class Bench:
    """A poller with everything it needs, in virtual time."""

    def __init__(
        self,
        clock: FakeClock,
        settings: Settings,
        answer: Answer = lambda *_: None,
        state: Path | None = None,
        past_is_empty: bool = True,
    ) -> None:
        self.clock = clock
        self.client = FakeClient(clock, answer)
        self.store = Store(StateDirectory(state) if state else None)
        self.limiters = RateLimiters(
            settings.requests_per_minute, clock, past_is_empty=past_is_empty, scope=settings.limit_scope
        )
        self.poller = Poller(settings, self.client, self.limiters, self.store, clock)
        self.begin = clock.monotonic()

    def run(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            wait = self.poller.step()
            self.clock.advance(min(wait, max(0.0, end - self.clock.monotonic())))

    def account(self, name: str | None = None) -> Account:
        return next(account for account in self.store.snapshot if account.name == name)


def single(key: KeySource | None = None, **settings: Any) -> Settings:
    account = AccountSettings(None, key or KeySource(Secret(KEY)))
    return Settings(accounts=(account,), **settings)


def several(names: Sequence[str], **settings: Any) -> Settings:
    accounts = tuple(AccountSettings(name, KeySource(Secret(f"key-{name}"))) for name in names)
    return Settings(accounts=accounts, **settings)


def gaps(times: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


def test_a_round_asks_each_query_once_at_the_limiters_interval(clock: FakeClock) -> None:
    bench = Bench(clock, single())
    bench.run(899)
    assert [query for _, _, query in bench.client.asked] == [
        Query.STATISTICS,
        Query.CURRENT_MONTH,
        Query.CREDITS,
    ]
    assert [when - bench.begin for when, _, _ in bench.client.asked] == pytest.approx([0, 12.5, 25.0])


def test_each_query_comes_again_after_the_interval(clock: FakeClock) -> None:
    bench = Bench(clock, single(poll_interval=900))
    bench.run(4 * 900)
    for query in FIGURE_QUERIES:
        assert gaps(bench.client.times(query)) == pytest.approx([900] * 3)


def test_the_figures_are_published_one_by_one(clock: FakeClock) -> None:
    bench = Bench(clock, single())
    bench.run(1)
    assert bench.account().figures.months == {"2026-10": MonthFigures(10.0, 100)}
    assert bench.account().has_figures
    bench.run(30)
    assert list(bench.account().figures.months) == ["2026-10", "2026-11"]
    assert bench.account().figures.credits == Credits(99.0, "EUR", {"sms": 7}, 0)


@pytest.mark.parametrize(
    ("off", "asked"),
    [
        ({"current_month": False}, [Query.STATISTICS, Query.CREDITS]),
        ({"credits": False}, [Query.STATISTICS, Query.CURRENT_MONTH]),
        ({"credits": False, "current_month": False}, [Query.STATISTICS]),
    ],
)
def test_what_is_turned_off_is_not_asked(clock: FakeClock, off: dict[str, Any], asked: list[Query]) -> None:
    bench = Bench(clock, single(**off))
    bench.run(300)
    assert [query for _, _, query in bench.client.asked] == asked


def test_the_months_of_all_accounts_come_before_any_balance(clock: FakeClock) -> None:
    bench = Bench(clock, several(["a", "b"], poll_interval=3600))
    bench.run(100)
    assert [(key, query) for _, key, query in bench.client.asked] == [
        (f"key-{name}", query) for query in FIGURE_QUERIES for name in "ab"
    ]


def test_a_hundred_accounts_are_all_asked_within_the_limit(clock: FakeClock) -> None:
    bench = Bench(clock, several([f"account-{number}" for number in range(100)], poll_interval=3900))
    bench.run(4 * 3900)
    arrivals = [when for when, _, _ in bench.client.asked]
    assert most_in_60s(arrivals) == 5
    assert all(account.has_figures for account in bench.store.snapshot)
    counts = [
        sum(key == f"key-account-{number}" for _, key, _ in bench.client.asked) for number in range(100)
    ]
    assert max(counts) - min(counts) <= 3


def test_at_full_load_95_percent_of_the_limit_is_used(clock: FakeClock) -> None:
    bench = Bench(clock, several([f"account-{number}" for number in range(10)], poll_interval=366))
    bench.run(7200)
    assert len(bench.client.asked) / 120 >= 0.95 * 5


def test_a_failure_leaves_the_figures_and_says_why(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(clock, single(poll_interval=60))
    bench.run(59)
    before = bench.account().figures
    bench.client.answer = lambda query, key: Failure(Reason.SERVER_ERROR, "HTTP 502")
    bench.run(60)
    account = bench.account()
    assert account.figures == before
    for poll in account.polls.values():
        assert (poll.succeeded, poll.reason, poll.detail) == (False, Reason.SERVER_ERROR, "HTTP 502")
    assert account.request_stats[Endpoint.STATISTICS].failures[Reason.SERVER_ERROR] >= 2
    failed = [record for record in caplog.records if record.message == "poll failed"]
    assert failed[0].levelno == logging.WARNING
    assert vars(failed[0])["detail"] == "HTTP 502"
    assert vars(failed[0])["next_try_in"] == "1m"


def test_a_failing_endpoint_backs_off_alone_and_heals(clock: FakeClock) -> None:
    bench = Bench(clock, single(poll_interval=60))
    bench.client.answer = lambda query, key: (
        Failure(Reason.TIMEOUT, "late") if query is Query.CREDITS else None
    )
    bench.run(3600)
    assert gaps(bench.client.times(Query.CREDITS))[:5] == pytest.approx([60, 120, 240, 480, 600], abs=30)
    assert len(bench.client.times(Query.STATISTICS)) >= 58
    bench.client.answer = lambda *_: None
    bench.run(700)
    assert bench.account().polls[Query.CREDITS].reason is None
    assert gaps(bench.client.times(Query.CREDITS))[-1] == pytest.approx(60, abs=13)


def test_a_rejected_key_is_tried_once_an_hour(clock: FakeClock) -> None:
    bench = Bench(clock, single(), answer=lambda *_: Failure(Reason.KEY_REJECTED, "code 10"))
    bench.run(3 * 3600 + 100)
    assert len(bench.client.times(Query.STATISTICS)) == 4


def test_another_key_in_the_file_is_tried_at_once(clock: FakeClock, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("the-old-key\n")
    bench = Bench(clock, single(KeySource(file)))
    bench.client.answer = lambda query, key: (
        Failure(Reason.KEY_REJECTED, "code 10") if key.reveal() == "the-old-key" else None
    )
    bench.run(300)
    refused = len(bench.client.asked)
    file.write_text("the-new-key\n")
    bench.run(60)
    assert {key for _, key, _ in bench.client.asked[refused:]} == {"the-new-key"}
    assert all(poll.succeeded for poll in bench.account().polls.values())


def test_a_key_file_that_is_gone_keeps_the_key_read_last(
    clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "key"
    file.write_text("the-only-key")
    bench = Bench(clock, single(KeySource(file), poll_interval=60))
    file.unlink()
    bench.run(300)
    assert {key for _, key, _ in bench.client.asked} == {"the-only-key"}
    assert len([record for record in caplog.records if "key file" in record.message]) == 1


@pytest.mark.parametrize(("retry_after", "least"), [(None, 61), (300, 300), (10, 61)])
def test_over_the_limit_the_whole_account_waits(
    clock: FakeClock, retry_after: float | None, least: float
) -> None:
    answers = iter([Failure(Reason.RATE_LIMITED, "HTTP 429", retry_after)])
    bench = Bench(clock, single(), answer=lambda *_: next(answers, None))
    bench.run(600)
    first, second = (when for when, _, _ in bench.client.asked[:2])
    assert second - first == pytest.approx(least, abs=1)


def test_over_the_limit_other_accounts_go_on(clock: FakeClock) -> None:
    bench = Bench(clock, several(["a", "b"], poll_interval=120))
    bench.client.answer = lambda query, key: (
        Failure(Reason.RATE_LIMITED, "HTTP 429", 3600) if key.reveal() == "key-a" else None
    )
    bench.run(3000)
    assert sum(key == "key-a" for _, key, _ in bench.client.asked) == 1
    assert bench.account("b").has_figures


def test_stopping_cuts_the_exchange_off_and_takes_nothing_of_it(clock: FakeClock) -> None:
    bench = Bench(clock, single())

    def stop_meanwhile(query: Query, key: Secret) -> Failure | None:
        bench.poller.stop()
        return None

    bench.client.answer = stop_meanwhile
    bench.poller.run()
    assert bench.client.is_cut_off
    assert not bench.account().has_figures
    assert bench.account().request_stats == {}


def test_a_restart_serves_the_kept_figures_before_it_asks(clock: FakeClock, tmp_path: Path) -> None:
    Bench(clock, single(), state=tmp_path).run(60)
    restarted = Bench(clock, single(), state=tmp_path)
    assert restarted.client.asked == []
    assert list(restarted.account().figures.months) == ["2026-10", "2026-11"]
    assert restarted.account().polls[Query.STATISTICS].succeeded is None


def test_after_a_restart_the_oldest_figures_are_asked_for_first(clock: FakeClock, tmp_path: Path) -> None:
    settings = several(["a", "b", "c"], poll_interval=3600, current_month=False, credits=False)
    Bench(clock, settings, state=tmp_path).run(15)
    restarted = Bench(clock, settings, state=tmp_path)
    restarted.run(40)
    assert [key for _, key, _ in restarted.client.asked] == ["key-c", "key-a", "key-b"]


def test_a_step_of_the_wall_clock_neither_misses_nor_doubles_a_poll(clock: FakeClock) -> None:
    bench = Bench(clock, single(poll_interval=900))
    for step in (3600, -7200, 3600):
        bench.run(900)
        clock.step(step)
    bench.run(900)
    assert len(bench.client.times(Query.STATISTICS)) == 4


def test_reconfigured_accounts_that_stay_keep_figures_and_schedule(clock: FakeClock) -> None:
    bench = Bench(clock, several(["stays", "goes"], poll_interval=900))
    bench.run(100)
    asked = len(bench.client.asked)
    before = bench.account("stays")
    client = FakeClient(clock)
    bench.poller.reconfigure(several(["stays", "comes"], poll_interval=900, requests_per_minute=2), client)
    bench.run(1)
    assert [account.name for account in bench.store.snapshot] == ["stays", "comes"]
    assert bench.account("stays").figures == before.figures
    assert bench.account("stays").polls == before.polls
    assert bench.limiters.requests_per_minute == 2
    bench.run(100)
    assert len(bench.client.asked) == asked
    assert {key for _, key, _ in client.asked} == {"key-comes"}


def test_nobody_waits_for_the_others_if_each_key_has_a_limiter(clock: FakeClock) -> None:
    names = [f"account-{number}" for number in range(30)]
    bench = Bench(clock, several(names, limit_scope="account"))
    bench.run(3 * 13)
    assert len(bench.client.asked) == 90
    for name in names:
        times = [when for when, key, _ in bench.client.asked if key == f"key-{name}"]
        assert min(gaps(times)) >= 12.2 + 0.3 - 1e-6
        assert [query for _, key, query in bench.client.asked if key == f"key-{name}"] == list(FIGURE_QUERIES)


def test_unknown_pasts_of_keys_are_waited_out_together(clock: FakeClock) -> None:
    names = [f"account-{number}" for number in range(30)]
    bench = Bench(clock, several(names, limit_scope="account"), past_is_empty=False)
    bench.run(14.2 + 30 * 0.3)
    assert len(bench.client.asked) == 30


def test_accounts_with_one_key_share_its_limiter(clock: FakeClock) -> None:
    key = KeySource(Secret(KEY))
    accounts = tuple(AccountSettings(name, key) for name in ("a", "b"))
    bench = Bench(clock, Settings(accounts, limit_scope="account"))
    bench.run(100)
    assert len(bench.client.asked) == 6
    assert gaps([when for when, _, _ in bench.client.asked]) == pytest.approx([12.5] * 5)


@pytest.mark.parametrize("reason", [Reason.KEY_REJECTED, Reason.SERVER_ERROR, Reason.RATE_LIMITED])
@pytest.mark.parametrize("scope", ["all", "account"])
def test_a_failing_account_costs_the_others_nothing(
    clock: FakeClock, scope: LimitScope, reason: Reason
) -> None:
    names = [f"account-{number}" for number in range(10)]

    def polls(failing: str) -> int:
        bench = Bench(
            FakeClock(),
            several(names, poll_interval=10 * 37, limit_scope=scope),
            answer=lambda _, key: Failure(reason, "why") if key.reveal() == failing else None,
        )
        bench.run(3 * 3600)
        return sum(key == "key-account-0" for _, key, _ in bench.client.asked)

    assert polls(failing="key-account-9") >= polls(failing="none") - 1


@pytest.mark.parametrize(("scope", "interval", "most"), [("all", 1100, 1260), ("account", 60, 130)])
def test_many_accounts_that_hang_take_little_from_the_others(
    clock: FakeClock, scope: LimitScope, interval: int, most: float
) -> None:
    """The interval is the least that there is time for; a hang of 30 s and a fiftieth of all time come on top."""
    names = [f"account-{number}" for number in range(30)]
    bench = Bench(clock, several(names, poll_interval=interval, limit_scope=scope))
    hanging = {f"key-{name}" for name in names[:10]}

    def hang(_: Query, key: Secret) -> Failure | None:
        if key.reveal() not in hanging:
            return None
        clock.advance(30)
        return Failure(Reason.TIMEOUT, "no reply in time")

    bench.client.answer = hang
    bench.run(12 * 3600)
    settled = bench.begin + 3 * 3600
    for name in names[10:]:
        times = [
            when for when, key, query in bench.client.asked if key == f"key-{name}" and query is Query.CREDITS
        ]
        assert max(gaps([when for when in times if when > settled])) < most
    assert {key for when, key, _ in bench.client.asked if when > settled} > hanging, "they are not forgotten"


def test_what_heals_is_no_longer_held_back_where_there_is_no_time_left_over(clock: FakeClock) -> None:
    names = [f"account-{number}" for number in range(40)]
    bench = Bench(clock, several(names, poll_interval=1000))
    ill = {f"key-{name}" for name in names[:10]}
    bench.client.answer = lambda _, key: Failure(Reason.TIMEOUT, "no reply") if key.reveal() in ill else None
    bench.run(6 * 3600)
    ill.clear()
    bench.run(600 + 40 * 12.5 + 250)
    assert not [
        account.name for account in bench.store.snapshot for poll in account.polls.values() if poll.reason
    ]


def test_another_key_is_no_longer_one_that_fails(clock: FakeClock, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("the-wrong-key")
    bench = Bench(
        clock,
        single(KeySource(file)),
        answer=lambda _, key: (
            Failure(Reason.KEY_REJECTED, "code 10") if key.reveal() == "the-wrong-key" else None
        ),
    )
    bench.run(100)
    file.write_text("the-right-key")
    bench.run(6)
    assert {poll.failures_in_a_row for poll in bench.account().polls.values()} == {0}


def test_a_rotated_key_has_a_limiter_of_its_own(clock: FakeClock, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("the-one-key")
    bench = Bench(clock, single(KeySource(file), limit_scope="account"))
    bench.run(1)
    file.write_text("the-other-key")
    bench.run(12)
    assert [key for _, key, _ in bench.client.asked] == ["the-one-key", "the-other-key"]
    assert bench.limiters.for_key(Secret("the-one-key")) is not bench.limiters.for_key(
        Secret("the-other-key")
    )


@pytest.mark.parametrize(("before", "after"), [("all", "account"), ("account", "all")])
def test_another_scope_from_a_reload_holds_from_the_next_request_on(
    clock: FakeClock, before: LimitScope, after: LimitScope
) -> None:
    names = [f"account-{number}" for number in range(10)]
    bench = Bench(clock, several(names, limit_scope=before))
    bench.run(2)
    asked = len(bench.client.asked)
    assert asked == (7 if before == "account" else 1)
    bench.poller.reconfigure(several(names, limit_scope=after), bench.client)
    bench.run(14.2)
    assert len(bench.client.asked) == asked
    bench.run(2)
    assert len(bench.client.asked) - asked == (7 if after == "account" else 1)


def test_a_shorter_interval_counts_from_now_a_longer_one_from_the_next_poll(clock: FakeClock) -> None:
    bench = Bench(clock, single(poll_interval=3600))
    bench.run(100)
    bench.poller.reconfigure(single(poll_interval=300), bench.client)
    bench.run(400)
    assert len(bench.client.times(Query.STATISTICS)) == 2


def test_other_statistics_are_asked_for_at_once(clock: FakeClock) -> None:
    bench = Bench(clock, single())
    bench.run(100)
    bench.poller.reconfigure(single(statistics=DateRange(date(2024, 1, 1), date(2024, 12, 31))), bench.client)
    bench.run(20)
    assert len(bench.client.times(Query.STATISTICS)) == 2


def test_at_debug_level_the_log_tells_each_poll_and_each_wait_with_its_reason(
    clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bench = Bench(clock, single(current_month=False, poll_interval=300))
    bench.run(350)
    lines = [(line.message, vars(line).get("reason"), vars(line).get("query")) for line in caplog.records]
    assert lines[:6] == [
        ("polling", None, Query.STATISTICS),
        ("poll succeeded", None, Query.STATISTICS),
        ("waiting for the rate limit", WaitReason.INTERVAL, Query.CREDITS),
        ("polling", None, Query.CREDITS),
        ("poll succeeded", None, Query.CREDITS),
        ("nothing is due", None, None),
    ]
    assert ("polling", None, Query.STATISTICS) in lines[6:]
    assert KEY not in caplog.text


@pytest.mark.parametrize("by", ["a reload", "a restart"])
def test_after_the_range_changes_no_month_of_the_other_range_is_shown(
    clock: FakeClock, tmp_path: Path, by: str
) -> None:
    bench = Bench(clock, single(), state=tmp_path)
    bench.run(100)
    known = bench.account().figures
    assert known.history
    other = single(statistics=DateRange(date(2024, 1, 1), date(2024, 12, 31)))
    if by == "a reload":
        bench.poller.reconfigure(other, bench.client)
    else:
        bench = Bench(clock, other, state=tmp_path)
    figures = bench.account().figures
    assert not figures.history
    assert not bench.account().has_figures
    assert (figures.current_month, figures.credits) == (known.current_month, known.credits)


def test_after_a_restart_with_the_same_range_its_months_are_shown(clock: FakeClock, tmp_path: Path) -> None:
    settings = single(statistics=DateRange(date(2024, 1, 1), date(2024, 12, 31)))
    bench = Bench(clock, settings, state=tmp_path)
    bench.run(100)
    assert bench.account().figures.history
    assert Bench(clock, settings, state=tmp_path).account().figures == bench.account().figures


def test_other_statistics_do_not_end_the_wait_that_a_429_asked_for(clock: FakeClock) -> None:
    bench = Bench(clock, single(), lambda *_: Failure(Reason.RATE_LIMITED, "HTTP 429", 300))
    bench.run(100)
    bench.poller.reconfigure(single(statistics="last_month"), bench.client)
    bench.run(190)
    assert len(bench.client.asked) == 1
    bench.run(30)
    assert len(bench.client.asked) > 1


def test_another_api_starts_from_nothing(clock: FakeClock) -> None:
    bench = Bench(clock, single())
    bench.run(100)
    bench.client.answer = lambda *_: Failure(Reason.UNREACHABLE, "connection refused")
    bench.poller.reconfigure(single(base_url="http://other.example"), bench.client)
    bench.run(1)
    assert bench.account().figures.fetched == {}


def test_what_is_turned_off_by_a_reload_is_gone(clock: FakeClock) -> None:
    bench = Bench(clock, single())
    bench.run(100)
    bench.poller.reconfigure(single(credits=False, current_month=False), bench.client)
    bench.run(1)
    assert bench.account().figures.credits is None
    assert list(bench.account().figures.months) == ["2026-10"]
    assert list(bench.account().polls) == [Query.STATISTICS]


def test_a_refusal_of_an_account_that_goes_is_forgotten(clock: FakeClock) -> None:
    bench = Bench(clock, several(["a", "b"]), answer=lambda *_: Failure(Reason.KEY_REJECTED, "code 10"))
    bench.run(100)
    bench.poller.reconfigure(several(["b"]), bench.client)
    bench.run(100)
    assert [account.name for account in bench.store.snapshot] == ["b"]


def test_the_snapshot_a_scrape_holds_never_changes(clock: FakeClock) -> None:
    bench = Bench(clock, single())
    held = bench.store.snapshot
    bench.run(100)
    assert held[0].figures.fetched == {}
    assert bench.store.snapshot is not held


def reload_during_the_first_request(bench: Bench, *settings: Settings) -> list[FakeClient]:
    """Reload while the first request is under way, once for each of the settings; return the new clients."""
    clients = [FakeClient(bench.clock) for _ in settings]

    def reload(_: Query, __: Secret) -> None:
        bench.client.answer = lambda *_: None
        for each, client in zip(settings, clients, strict=True):
            bench.poller.reconfigure(each, client)

    bench.client.answer = reload
    bench.poller.step()
    return clients


def test_a_reload_takes_effect_while_a_request_is_under_way_and_the_last_one_wins(clock: FakeClock) -> None:
    bench = Bench(clock, several(["stays"]))
    shown: list[str | None] = []

    def look(_: Query, __: Secret) -> None:
        for number in range(200):
            bench.poller.reconfigure(several(["stays", f"new-{number}"]), bench.client)
        shown.extend(account.name for account in bench.store.snapshot)

    bench.client.answer = look
    bench.poller.step()
    assert shown == ["stays", "new-199"]
    assert bench.account("stays").has_figures, "the answer is still of use"


@pytest.mark.parametrize(
    "settings",
    [
        single(base_url="http://other.example"),
        single(KeySource(Secret("another-key"))),
        single(statistics="last_month"),
        several(["named"]),
    ],
    ids=["another API", "another key", "another range", "another account"],
)
def test_an_answer_that_no_longer_fits_the_configuration_is_dropped(
    clock: FakeClock, settings: Settings
) -> None:
    bench = Bench(clock, single())
    reload_during_the_first_request(bench, settings)
    [account] = bench.store.snapshot
    assert account.figures.fetched == {}
    bench.run(1)
    assert bench.store.snapshot[0].figures.fetched == {}, "the interval to the next request is kept"


def test_stopping_cuts_off_the_request_under_way_although_a_reload_came_between(clock: FakeClock) -> None:
    bench = Bench(clock, single())

    def reload_and_stop(_: Query, __: Secret) -> None:
        bench.poller.reconfigure(single(), FakeClient(clock))
        bench.poller.stop()

    bench.client.answer = reload_and_stop
    bench.poller.run()
    assert bench.client.is_cut_off
