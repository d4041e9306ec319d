"""Past months: which may be asked for, how they are asked for within the limit, and how they are kept."""

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from exporter.api.client import Client
from exporter.backfill.fetcher import Backfill, BackfillError, Progress, choose_months, latest_complete_month
from exporter.config.settings import Settings
from exporter.durations import format_duration
from exporter.months import PARIS, month_end, months_between
from exporter.ratelimit.decision import LimitScope, Permission
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from tests.support.backfill import INTERVAL, KEY, LATE, SimulatedTransport, of_simulator, settings
from tests.support.fakes import START, FakeClock
from tests.support.simulator import most_in_60s


def at(*moment: int) -> float:
    return datetime(*moment, tzinfo=PARIS).timestamp()  # type: ignore[arg-type, misc]


@pytest.fixture
def transport(clock: FakeClock) -> SimulatedTransport:
    return SimulatedTransport(clock)


Start = Callable[..., Backfill]


@pytest.fixture
def start(clock: FakeClock, transport: SimulatedTransport, tmp_path: Path) -> Start:
    def start(months: list[str], asked: Settings | None = None, show: Progress | None = None) -> Backfill:
        asked = asked or settings()
        directory = StateDirectory(tmp_path / "state")
        limiters = RateLimiters(asked.requests_per_minute, clock, directory, scope=asked.limit_scope)
        client = Client(transport, clock, asked.statistics)
        return Backfill(asked, months, client, limiters, directory, clock, show)

    return start


@pytest.mark.parametrize(
    ("now", "latest"),
    [
        (at(2026, 11, 23, 12), "2026-10"),
        (at(2026, 12, 1, 2, 59, 59), "2026-10"),
        (at(2026, 12, 1, 3), "2026-11"),
        (at(2027, 1, 1, 3), "2026-12"),
        (at(2027, 2, 1, 3), "2027-01"),
        (at(2024, 3, 31, 12), "2024-02"),
    ],
)
def test_a_month_is_complete_3_hours_after_its_end(now: float, latest: str) -> None:
    assert latest_complete_month(now) == latest
    assert now - month_end(latest) > 3 * 3600
    assert choose_months("2023-11", None, now)[-1] == latest


@pytest.mark.parametrize(
    ("first", "last", "problem"),
    [
        (
            "2026-09",
            "2026-11",
            "--to: the latest complete month is 2026-10; a month is complete 3 h after its end",
        ),
        (
            "2026-11",
            None,
            "--from: the latest complete month is 2026-10; a month is complete 3 h after its end",
        ),
        (
            "2027-01",
            "2026-01",
            "--from: the latest complete month is 2026-10; a month is complete 3 h after its end",
        ),
        ("2026-02", "2026-01", "--from: must not be after --to"),
        ("1999-12", "2026-01", "--from: the earliest month is 2000-01"),
        ("0001-01", "1999-12", "--from: the earliest month is 2000-01"),
    ],
)
def test_other_months_are_refused(first: str, last: str | None, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^--") as refused:
        choose_months(first, last, START)
    assert str(refused.value) == problem


@pytest.mark.parametrize("whole_months", [False, True], ids=["by day", "by month"])
def test_it_fetches_whole_months(
    start: Start, transport: SimulatedTransport, clock: FakeClock, whole_months: bool
) -> None:
    transport.simulator.whole_months = whole_months
    months = months_between("2023-11", "2024-03")
    backfill = start(months)
    backfill.run()
    assert backfill.figures() == {None: of_simulator(months, clock.time())}
    assert all(figures.sent for figures in backfill.figures()[None].values())
    assert backfill.missing == []


def test_36_months_take_as_long_as_it_says(
    start: Start, transport: SimulatedTransport, clock: FakeClock
) -> None:
    transport.latency = lambda: 0.0
    backfill = start(months_between("2023-11", "2026-10"))
    assert format_duration(backfill.seconds_left) == "7m20s"
    before = clock.monotonic()
    backfill.run()
    assert clock.monotonic() - before == pytest.approx(36 * INTERVAL + LATE)
    assert {request.status for request in transport.simulator.requests} == {200}


def test_each_account_is_asked_with_its_own_key(start: Start, transport: SimulatedTransport) -> None:
    backfill = start(["2024-01", "2024-02"], settings("marketing", "alerts"))
    backfill.run()
    assert transport.asked == [
        (KEY + name, month) for name in ("marketing", "alerts") for month in ("01-2024", "02-2024")
    ]
    figures = backfill.figures()
    assert figures["marketing"].keys() == figures["alerts"].keys() == {"2024-01", "2024-02"}
    assert figures["marketing"] != figures["alerts"]


@pytest.mark.parametrize("scope", ["all", "account"])
def test_a_running_exporter_and_a_backfill_keep_to_the_limit_together(
    start: Start, transport: SimulatedTransport, clock: FakeClock, tmp_path: Path, scope: LimitScope
) -> None:
    rng = random.Random(5)
    transport.latency = lambda: rng.uniform(0, 2)
    exporter = RateLimiters(5, clock, StateDirectory(tmp_path / "state"), scope=scope).for_key(Secret(KEY))
    polls: list[float] = []

    def poll() -> None:
        if isinstance(exporter.try_acquire(30), Permission):
            clock.advance(rng.uniform(0, 2))
            transport.simulator.answer("GET", f"/v1/me?apiKey={KEY}")
            polls.append(clock.monotonic())
            clock.advance(rng.uniform(0, 2))
            exporter.release(answered=True)

    transport.on_request = poll
    wait = clock.wait

    def wait_while_the_exporter_polls(event: threading.Event, seconds: float) -> None:
        wait(event, seconds * rng.random())
        poll()

    clock.wait = wait_while_the_exporter_polls  # type: ignore[method-assign]
    start(months_between("2023-11", "2026-10"), replace(settings(), limit_scope=scope)).run()
    arrivals = [request.monotonic for request in transport.simulator.requests]
    assert len(arrivals) == 36 + len(polls)
    assert len(polls) > 5
    assert most_in_60s(arrivals) == 5
    assert {request.status for request in transport.simulator.requests} == {200}


def test_a_stopped_backfill_goes_on_with_what_is_missing(start: Start, transport: SimulatedTransport) -> None:
    months = months_between("2023-11", "2024-04")
    backfill = start(months)

    def stop_at_the_third() -> None:
        if len(transport.asked) == 3:
            backfill.stop()

    transport.on_request = stop_at_the_third
    with pytest.raises(BackfillError, match="stopped"):
        backfill.run()
    assert len(backfill.missing) == 3
    transport.on_request = lambda: None
    again = start(months)
    assert len(again.missing) == 3
    again.run()
    assert [month for _, month in transport.asked] == [f"{month[5:]}-{month[:4]}" for month in months]
    assert again.figures()[None] == of_simulator(months, START)


def test_a_month_the_api_does_not_know_is_asked_once_and_gets_no_figure(
    start: Start, transport: SimulatedTransport
) -> None:
    backfill = start(["2017-11", "2017-12", "2018-01"])
    backfill.run()
    assert list(backfill.figures()[None]) == ["2018-01"]
    assert start(["2017-11", "2017-12", "2018-01"]).missing == []


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b'"sent":', b'"sent":1'))


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


@pytest.mark.parametrize("spoil", [damage, truncate])
def test_damaged_progress_is_not_used(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    start(["2024-01"]).run()
    (file,) = (tmp_path / "state").glob("backfill-*.json")
    spoil(file)
    assert len(start(["2024-01"]).missing) == 1
    assert "kept figures cannot be used" in caplog.text


@pytest.mark.parametrize(
    "other", [settings(key="another"), settings(base_url="http://another/v1"), settings("a")]
)
def test_progress_of_another_key_api_or_account_is_not_used(start: Start, other: Settings) -> None:
    start(["2024-01"]).run()
    assert len(start(["2024-01"], other).missing) == 1


def test_what_was_asked_by_a_clock_that_was_wrong_is_asked_again(start: Start, clock: FakeClock) -> None:
    clock.set_paris(2027, 6, 1, 12)
    start(["2026-10", "2026-12"]).run()
    clock.set_paris(2027, 1, 15, 12)
    assert len(start(["2026-10", "2026-12"]).missing) == 2  # asked in a future
    clock.set_paris(2026, 12, 15, 12)
    start(["2026-12"]).run()  # a month that only seems complete
    clock.set_paris(2027, 1, 15, 12)
    assert len(start(["2026-12"]).missing) == 1


def test_the_key_is_in_no_file(start: Start, tmp_path: Path) -> None:
    start(["2024-01"], settings("a", "b")).run()
    files = [file for file in (tmp_path / "state").iterdir() if file.is_file()]
    assert len(files) == 4
    assert not any(b"S3CR" in file.read_bytes() for file in files)


def test_a_failed_month_is_tried_again_later_and_later(
    start: Start, transport: SimulatedTransport, caplog: pytest.LogCaptureFixture
) -> None:
    transport.simulator.order(misbehave="server_error", for_requests=3)
    backfill = start(["2024-01", "2024-02"])
    backfill.run()
    assert [month for _, month in transport.asked] == ["01-2024"] * 4 + ["02-2024"]
    arrivals = [request.monotonic for request in transport.simulator.requests]
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert gaps == pytest.approx([60, 120, 240, INTERVAL], abs=1)
    assert backfill.figures()[None] == of_simulator(["2024-01", "2024-02"], START)
    warnings = [record for record in caplog.records if record.message == "not fetched"]
    assert [vars(record)["next_try_in"] for record in warnings] == ["1m", "2m", "4m"]


@pytest.mark.parametrize(
    ("mode", "reason"), [("key_rejected", "key_rejected: code 10"), ("ip_refused", "access_denied: code 96")]
)
def test_a_refusal_ends_it_at_once(
    start: Start, transport: SimulatedTransport, mode: str, reason: str
) -> None:
    asked = settings("marketing")
    start(["2024-01"], asked).run()
    transport.simulator.order(misbehave=mode)
    backfill = start(["2024-01", "2024-02", "2024-03"], asked)
    with pytest.raises(BackfillError, match=f"2024-02 of marketing: {reason}"):
        backfill.run()
    assert len(transport.asked) == 2
    assert len(start(["2024-01", "2024-02", "2024-03"], asked).missing) == 2


def test_without_a_directory_to_share_nothing_is_asked(
    start: Start, transport: SimulatedTransport, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("not a directory")
    with pytest.raises(BackfillError, match="cannot be written"):
        start(["2024-01"]).run()
    assert transport.asked == []


def test_each_second_it_says_how_many_months_are_fetched_and_how_long_the_rest_takes(
    start: Start, transport: SimulatedTransport
) -> None:
    transport.latency = lambda: 0.0
    said: list[tuple[int, int, float]] = []
    start(["2024-01", "2024-02"], show=lambda *progress: said.append(progress)).run()
    first = [seconds for fetched, total, seconds in said if (fetched, total) == (0, 2)]
    assert first == pytest.approx([INTERVAL + LATE + INTERVAL - elapsed for elapsed in range(15)])
    second = [seconds for fetched, total, seconds in said if (fetched, total) == (1, 2)]
    assert second == pytest.approx([INTERVAL - elapsed for elapsed in range(13)])
