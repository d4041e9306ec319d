"""Months begin at midnight in Paris, and polls come when they are due, whatever the clock and the calendar do."""

import json
import time
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.config.settings import DateRange
from exporter.model import FIGURE_QUERIES, Endpoint, Reason
from exporter.months import PARIS, month_end, month_start, months_between
from exporter.simulator.history import SimulatedAccount
from tests.stress.numbered import KEY
from tests.stress.world import Shown, World, months
from tests.support.fakes import FakeClock
from tests.support.running import TOOLS, Started, eventually
from tests.support.simulator import MisbehavingSimulator, most_in_60s, served

HOUR = 3600.0
DAY = 24 * HOUR
INTERVAL = 900.0
ROUND = INTERVAL + 60
"""After so long all has been asked anew."""
MONTH_START = "smspartner_month_start_timestamp_seconds"


def assert_no_poll_missed_or_doubled(world: World, was_off: bool = False) -> None:
    """With a clock that `was_off` by more than a day, months may have been tried for again and again."""
    (account,) = world.service._store.snapshot
    failures = account.request_stats[Endpoint.STATISTICS].failures
    assert failures.keys() <= ({Reason.INVALID_REPLY} if was_off else set())
    for query in FIGURE_QUERIES:
        polls = world.polls(query)
        assert polls[0] <= world.begin + 30
        assert polls[-1] >= world.clock.monotonic() - INTERVAL - 1
        gaps = [after - before for before, after in pairwise(polls)]
        if failures and query.endpoint is Endpoint.STATISTICS:
            assert all(59 < gap < INTERVAL + 30 for gap in gaps)
        else:
            tolerance = 13 if failures else 1e-3  # a poll waits for one that is tried again
            assert all(gap == pytest.approx(INTERVAL, abs=tolerance) for gap in gaps)
            assert len(polls) == pytest.approx((world.clock.monotonic() - polls[0]) / INTERVAL, abs=1)
    assert most_in_60s(request.monotonic for request in world.simulator.requests) <= 5
    assert {request.status for request in world.simulator.requests} == {200}


def assert_figures_are_right(world: World, shown: Shown, stale: float = 0.0) -> None:
    """A month that is over is what the API counts. The running one is what it counted not long ago.

    Two rounds ago where it ended between the polls of one; and if the clock is behind, no day after that is asked for.
    `stale` says how long there may have been no new figures.
    """
    now = world.right_time()
    for month, figures in months(shown).items():
        is_over = now - ROUND > month_end(month)
        most = world.truth(month, now)
        known = min(now, world.clock.time()) if abs(now - world.clock.time()) <= DAY else now
        least = most if is_over else world.truth(month, known - 2 * ROUND - stale)
        assert least.sent <= figures.sent <= most.sent, month
        assert least.cost <= figures.cost <= most.cost, month


@pytest.mark.parametrize("running_month", [True, False])
@pytest.mark.parametrize("start", [(23, 20), (23, 14, 55)], ids=["", "between the polls of a round"])
@pytest.mark.parametrize(
    ("ends", "begins"),
    [
        ((2026, 11, 30), "2026-12"),
        ((2026, 6, 30), "2026-07"),
        ((2025, 12, 31), "2026-01"),
        ((2024, 2, 29), "2024-03"),
        ((2026, 2, 28), "2026-03"),
    ],
)
def test_a_month_begins_at_midnight_in_paris_while_running(
    clock: FakeClock,
    ends: tuple[int, int, int],
    begins: str,
    start: tuple[int, ...],
    running_month: bool,
) -> None:
    """Before, at and after midnight in Paris and in UTC, with an API that counts the running month or does not."""
    world = World(clock, *ends, *start, running_month=running_month)
    ended, midnight = world.right_month(), month_start(begins)
    world.pass_by(60)
    began = None
    for shown in world.run(3.5 * HOUR):
        assert_figures_are_right(world, shown)
        now, known = world.right_time(), months(shown)
        oldest, newest = min(known), max(known)
        assert list(known) == months_between(oldest, newest)
        assert 12 <= len(known) <= 14
        if newest == begins and not began:
            began = now
        assert newest == (begins if began else ended)
        if now > midnight + ROUND:
            assert known[ended] == world.truth(ended, midnight)
    assert began
    assert midnight < began < midnight + ROUND
    assert world.shown()[MONTH_START][begins] == midnight
    assert_no_poll_missed_or_doubled(world)


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_polls_keep_their_interval_across_both_clock_changes(
    clock: FakeClock, day: tuple[int, int, int], hours: int
) -> None:
    world = World(clock, *day[:2], day[2] - 1, 12)
    for shown in world.run(3 * DAY, every=HOUR):
        assert_figures_are_right(world, shown)
    assert_no_poll_missed_or_doubled(world)
    until = [(when, parameters["to"]) for when, parameters in world.line.asked if "to" in parameters]
    on_the_day = [when for when, last in until if last == date(*day).strftime("%d-%m-%Y")]
    assert len(on_the_day) == hours * HOUR / INTERVAL
    assert world.shown()[MONTH_START][world.right_month()] == datetime(*day[:2], 1, tzinfo=PARIS).timestamp()


def test_a_leap_february_is_asked_for_to_its_29th(clock: FakeClock) -> None:
    february = DateRange(date(2024, 2, 1), date(2024, 2, 29))
    world = World(clock, 2026, 11, 23, statistics=february, current_month=False, credits=False)
    world.pass_by(60)
    ((_, parameters),) = world.line.asked
    assert (parameters["from"], parameters["to"]) == ("01-02-2024", "29-02-2024")
    assert months(world.shown()) == {"2024-02": world.truth("2024-02", month_start("2024-03"))}
    assert world.shown()[MONTH_START] == {"2024-02": datetime(2024, 2, 1, tzinfo=PARIS).timestamp()}


TO_1970 = -datetime(2026, 11, 23, tzinfo=PARIS).timestamp()


@pytest.mark.parametrize("running_month", [True, False])
@pytest.mark.parametrize("step", [HOUR, -HOUR, 31 * DAY, -31 * DAY, 3652 * DAY, -3652 * DAY, TO_1970])
def test_a_clock_stepped_and_corrected_leaves_the_figures_right(
    clock: FakeClock, step: float, running_month: bool
) -> None:
    world = World(clock, 2026, 11, 23, 22, 30, running_month=running_month)
    world.pass_by(HOUR)
    before = months(world.shown())
    clock.step(step)
    for shown in world.run(2 * HOUR):
        if abs(step) > DAY:
            assert months(shown) == before
        assert_figures_are_right(world, shown, stale=2 * HOUR if abs(step) > DAY else 0)
    clock.step(-step)
    world.pass_by(ROUND)
    assert months(world.shown()).keys() == before.keys()
    assert_figures_are_right(world, world.shown())
    assert_sane_timestamps(world)
    assert_no_poll_missed_or_doubled(world, was_off=abs(step) > DAY)


@pytest.mark.parametrize("step", [TO_1970, -31 * DAY, 31 * DAY])
def test_a_clock_corrected_after_the_start_leaves_the_figures_right(
    clock: FakeClock, step: float, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(clock, 2026, 11, 23, 12)
    clock.step(step)
    for shown in world.run(2 * INTERVAL):
        assert not months(shown)
    assert "this machine's clock is " in vars(caplog.records[0])["detail"]
    clock.step(-step)
    world.pass_by(ROUND)
    assert list(months(world.shown())) == months_between("2025-12", "2026-11")
    assert_figures_are_right(world, world.shown())
    assert_sane_timestamps(world)
    assert_no_poll_missed_or_doubled(world, was_off=True)


def assert_sane_timestamps(world: World) -> None:
    now, shown = world.clock.time(), world.shown()
    last, following = (
        shown[f"smspartner_{name}_timestamp_seconds"] for name in ("last_success", "next_poll")
    )
    assert last.keys() == following.keys() == {"statistics", "credits"}
    assert all(now - ROUND <= when <= now for when in last.values())
    assert all(now - 60 <= when <= now + INTERVAL for when in following.values())


@given(steps=st.lists(st.tuples(st.floats(0, 2 * HOUR), st.floats(-60 * DAY, 60 * DAY)), max_size=6))
@example(steps=[(0, -0.86 * DAY), (13, 1.89 * DAY)])
def test_polling_continues_however_the_clock_is_stepped(steps: list[tuple[float, float]]) -> None:
    world = World(FakeClock(), 2026, 11, 23, 12)
    for after, step in steps:
        world.pass_by(after)
        world.clock.step(step)
    world.pass_by(HOUR)
    # The latest may be of a time when the clock was up to a day behind: then the day that ran was not asked for.
    assert_figures_are_right(world, world.shown(), stale=world.clock.monotonic() - world.begin + DAY)
    assert_no_poll_missed_or_doubled(world, was_off=True)


# --- a real process


@pytest.mark.journey
def test_a_real_process_shows_the_new_year_from_midnight_in_paris(
    started: Started, tmp_path: Path, state: Path
) -> None:
    """Its wall clock, and that alone, is shifted by libfaketime, as the simulated API's is."""
    midnight = month_start("2027-01")
    shift = midnight - 16 - time.time()
    simulator = MisbehavingSimulator(now=lambda: time.time() + shift)
    with served(simulator) as server:
        config = tmp_path / "config.yaml"
        settings = {"base_url": server.base_url, "api_key": KEY, "credits": False, "poll_interval": "25s"}
        config.write_text(json.dumps(settings))
        exporter = started.exporter(
            f"--config.file={config}",
            f"--state.dir={state}",
            LD_PRELOAD=str(TOOLS.parent / "lib" / "libfaketime.so.1"),
            FAKETIME=f"{shift:+.6f}",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
            TZ="America/New_York",
        )
        built = "smspartner_config_last_reload_success_timestamp_seconds"
        assert exporter.series(built)[built] == pytest.approx(time.time() + shift, abs=15)
        december = 'sms_sent_monthly{month="2026-12"}'
        january = 'sms_sent_monthly{month="2027-01"}'
        begin = 'smspartner_month_start_timestamp_seconds{month="2027-01"}'
        eventually(lambda: december in exporter.series("sms_"))

        def shows_january() -> bool:
            shown = exporter.series("sms_sent_monthly")
            assert december in shown
            return january in shown

        eventually(shows_january, within=60)
        assert time.time() + shift >= midnight
        assert exporter.series(begin) == {begin: midnight}
        eventually(lambda: len(simulator.requests) >= 4, within=60)
        eventually(lambda: exporter.series(december)[december] == year_end(midnight))
        assert [request.status for request in simulator.requests] == [200] * len(simulator.requests)
        gaps = [after.monotonic - before.monotonic for before, after in pairwise(simulator.requests)]
        assert min(gaps) >= 12.2


def year_end(midnight: float) -> int:
    return SimulatedAccount(KEY).usage(date(2026, 12, 1), date(2026, 12, 31), midnight).sent
