"""Past months: which, how fast, asked once, kept, and as text that Prometheus takes."""

import io
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter import cli
from exporter.api.client import Client
from exporter.api.envelope import RawReply
from exporter.backfill import command as backfill_command
from exporter.backfill.fetcher import Backfill, BackfillError, choose_months, latest_complete_month
from exporter.backfill.openmetrics import MonthSamples
from exporter.backfill.progress import Bar
from exporter.config.api_key import KeySource
from exporter.config.settings import AccountSettings, Settings
from exporter.durations import format_duration
from exporter.metrics import families as metrics
from exporter.model import Account, Figures, MonthFigures, Status
from exporter.months import PARIS, first_and_last_day, month_end, month_start, months_between
from exporter.ratelimit.limiter import LimitScope, Permission
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.simulator.api import Options
from exporter.simulator.history import SimulatedAccount
from exporter.simulator.simulator import Simulator, most_in_60s, serve
from exporter.state.directory import StateDirectory
from tests.support.fakes import START, FakeClock
from tests.support.running import TOOLS, Running, Started, eventually, query

KEY = "S3CR+T/key"
PACE, LATE = 12.2, 2.0


def at(*moment: int) -> float:
    return datetime(*moment, tzinfo=PARIS).timestamp()  # type: ignore[arg-type, misc]


def settings(*names: str | None, base_url: str = "http://simulated/v1", key: str = KEY) -> Settings:
    accounts = tuple(AccountSettings(name, KeySource(Secret(key + (name or "")))) for name in names or [None])
    return Settings(accounts, base_url)


class SimulatedTransport:
    """The simulated API without a network, at the time of a fake clock."""

    def __init__(self, clock: FakeClock, options: Options | None = None) -> None:
        self.clock = clock
        self.simulator = Simulator(options=options or Options(), now=clock.time, monotonic=clock.monotonic)
        self.asked: list[tuple[str, str]] = []
        self.latency: Callable[[], float] = lambda: 0.3
        self.on_request: Callable[[], object] = lambda: None

    def get(self, path: str, parameters: Mapping[str, str], deadline: float) -> RawReply:
        self.asked.append((parameters["apiKey"], parameters["from"][3:]))
        self.clock.advance(self.latency())
        self.on_request()
        reply = self.simulator.answer("GET", f"/v1{path}?{urlencode(parameters)}")
        self.clock.advance(self.latency())
        return RawReply(reply.status, reply.body)

    def cut_off(self) -> None:
        pass


@pytest.fixture
def transport(clock: FakeClock) -> SimulatedTransport:
    return SimulatedTransport(clock)


Start = Callable[..., Backfill]


@pytest.fixture
def start(clock: FakeClock, transport: SimulatedTransport, tmp_path: Path) -> Start:
    def start(months: list[str], asked: Settings | None = None, bar: Bar | None = None) -> Backfill:
        asked = asked or settings()
        directory = StateDirectory(tmp_path / "state")
        limiters = RateLimiters(asked.requests_per_minute, clock, directory, scope=asked.limit_scope)
        client = Client(transport, clock, asked.statistics)
        return Backfill(asked, months, client, limiters, directory, clock, bar)

    return start


def of_simulator(months: list[str], now: float, key: str = KEY) -> dict[str, MonthFigures]:
    """Figures of the simulated account, from its days."""
    account = SimulatedAccount(key, 1, 0)
    usages = {month: account.usage(*first_and_last_day(month), now) for month in months}
    return {month: MonthFigures(usage.cost / 1000, usage.sent) for month, usage in usages.items()}


# --- which months


def test_months_from_the_first_to_the_last() -> None:
    assert months_between("2023-11", "2024-02") == ["2023-11", "2023-12", "2024-01", "2024-02"]
    assert months_between("2024-02", "2024-02") == ["2024-02"]


def test_a_month_is_sampled_at_its_last_second_in_paris() -> None:
    for month, following in zip(
        months_between("2000-01", "2040-11"), months_between("2000-02", "2040-12"), strict=True
    ):
        first, last = first_and_last_day(month)
        end = datetime.fromtimestamp(month_end(month), PARIS)
        assert (first.day, end.date()) == (1, last)
        assert f"{end:%Y-%m %H:%M:%S}" == f"{month} 23:59:59"
        assert month_end(month) + 1 == month_start(following)


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
            "--to: the latest month to be had is 2026-10; a month can be had 3 h after its end",
        ),
        (
            "2026-11",
            None,
            "--from: the latest month to be had is 2026-10; a month can be had 3 h after its end",
        ),
        (
            "2027-01",
            "2026-01",
            "--from: the latest month to be had is 2026-10; a month can be had 3 h after its end",
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


# --- asking


@pytest.mark.parametrize("granularity", ["day", "month"])
def test_it_fetches_whole_months(
    start: Start, transport: SimulatedTransport, clock: FakeClock, granularity: str
) -> None:
    transport.simulator.options = Options(custom_granularity=granularity)  # type: ignore[arg-type]
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
    assert clock.monotonic() - before == pytest.approx(36 * PACE + LATE)
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
    exporter = RateLimiters(5, clock, StateDirectory(tmp_path / "state"), scope=scope).of(Secret(KEY))
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


# --- going on where it was


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
    spoil(tmp_path / "state" / "backfill.json")
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
    assert len(files) == 3
    assert not any(b"S3CR" in file.read_bytes() for file in files)


# --- when it fails


def test_a_failed_month_is_tried_again_later_and_later(
    start: Start, transport: SimulatedTransport, caplog: pytest.LogCaptureFixture
) -> None:
    transport.simulator.order(misbehave="server_error", for_requests=3)
    backfill = start(["2024-01", "2024-02"])
    backfill.run()
    assert [month for _, month in transport.asked] == ["01-2024"] * 4 + ["02-2024"]
    arrivals = [request.monotonic for request in transport.simulator.requests]
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert gaps == pytest.approx([60, 120, 240, PACE], abs=1)
    assert backfill.figures()[None] == of_simulator(["2024-01", "2024-02"], START)
    warnings = [record for record in caplog.records if record.message == "month not fetched"]
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


# --- the text


FIGURES = {
    "2024-02": MonthFigures(cost=49.174, sent=1210),
    "2024-03": MonthFigures(cost=0.0, sent=0),
}


def series_of(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], tuple[float, float]]:
    return {
        (sample.name, frozenset(sample.labels.items())): (sample.value, float(sample.timestamp))
        for family in text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


def test_the_text_to_the_letter() -> None:
    text = MonthSamples({"job": "sms", "instance": "host"}, {None: FIGURES}).render().decode()
    assert [line for line in text.splitlines() if not line.startswith("# HELP")] == [
        "# TYPE sms_cost_monthly gauge",
        'sms_cost_monthly{instance="host",job="sms",month="2024-02"} 49.174 1709247599',
        'sms_cost_monthly{instance="host",job="sms",month="2024-03"} 0.0 1711922399',
        "# TYPE sms_sent_monthly gauge",
        'sms_sent_monthly{instance="host",job="sms",month="2024-02"} 1210.0 1709247599',
        'sms_sent_monthly{instance="host",job="sms",month="2024-03"} 0.0 1711922399',
        "# TYPE smspartner_month_start_timestamp_seconds gauge",
        'smspartner_month_start_timestamp_seconds{instance="host",job="sms",month="2024-02"} 1.706742e+09 1709247599',
        'smspartner_month_start_timestamp_seconds{instance="host",job="sms",month="2024-03"} 1.7092476e+09 1711922399',
        "# EOF",
    ]
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize("name", ['say "no"', "back\\slash", "été 北京", "\\n", "}{,="])
def test_label_values_are_escaped(name: str) -> None:
    target = {"job": f"job {name}", "instance": f"instance {name}"}
    for _, labels in series_of(MonthSamples(target, {name: FIGURES}).render()):
        values = dict(labels)
        assert values.pop("month") in FIGURES
        assert values == {**target, "account": name}


@pytest.mark.parametrize("name", [None, "marketing"])
def test_series_are_those_of_a_live_scrape(name: str | None) -> None:
    account = Account(name, None, Figures(history=FIGURES), {}, {})
    status = Status(900, 5, 0, True, True, 0, 0)
    live = {
        (sample.name, frozenset({**sample.labels, "job": "j", "instance": "i"}.items())): sample.value
        for family in metrics.collect((account,), status)
        for sample in family.samples
        if "month" in sample.labels
    }
    past = series_of(MonthSamples({"job": "j", "instance": "i"}, {name: FIGURES}).render())
    assert {series: value for series, (value, _) in past.items()} == live
    assert {when for _, when in past.values()} == {month_end(month) for month in FIGURES}


# --- the command, over HTTP, in the time of a fake clock


class Command:
    """Runs the command in this process against a simulated API that it can reach over HTTP."""

    def __init__(self, simulator: Simulator, base_url: str, directory: Path, clock: FakeClock) -> None:
        self.simulator = simulator
        self.base_url = base_url
        self.directory = directory
        self.clock = clock

    def run(self, *words: str, name: str | None = None) -> int:
        flags = backfill_command.parse(words, self.clock.time())
        asked = settings(name, base_url=self.base_url)
        state = StateDirectory(self.directory / "state")
        limiters = RateLimiters(asked.requests_per_minute, self.clock, state)
        return backfill_command.run(flags, asked, limiters, state, self.clock)


@pytest.fixture
def clock_of_now() -> FakeClock:
    return FakeClock(wall=time.time())


@pytest.fixture
def command(clock_of_now: FakeClock, tmp_path: Path) -> Iterator[Command]:
    simulator = Simulator(now=clock_of_now.time, monotonic=clock_of_now.monotonic)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGINT)}
    with serve(simulator) as server:
        yield Command(simulator, server.base_url, tmp_path, clock_of_now)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_it_writes_to_standard_output(command: Command, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert command.run("--from=2024-01", "--to=2024-02", "--job=sms") == 0
    series = series_of(capfdbinary.readouterr().out)
    months = of_simulator(["2024-01", "2024-02"], START)
    costs = {
        dict(labels)["month"]: value
        for (name, labels), (value, _) in series.items()
        if name == "sms_cost_monthly"
    }
    assert costs == {month: figures.cost for month, figures in months.items()}
    assert all(dict(labels)["job"] == "sms" for _, labels in series)


def test_it_says_up_front_how_long_it_takes(command: Command, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    output = command.directory / "out"
    command.run("--from=2024-01", "--to=2024-02", f"--output={output}")
    caplog.clear()
    command.run("--from=2023-11", "--to=2026-10", f"--output={output}")
    begins = vars(caplog.records[0])
    assert begins["message"] == "backfill begins"
    assert (begins["months"], begins["kept"], begins["requests"], begins["takes"]) == (36, 2, 34, "6m55s")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_whatever_is_in_flight(command: Command, number: int) -> None:
    output = command.directory / "out.om"
    output.write_text("before")
    assert command.run("--from=2024-01", "--to=2024-01", f"--output={command.directory / 'other.om'}") == 0
    command.simulator.order(misbehave="hang")
    signalled: list[float] = []

    def signal_when_asked() -> None:
        eventually(lambda: len(command.simulator.requests) == 2)
        signalled.append(time.monotonic())
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=signal_when_asked)
    thread.start()
    with pytest.raises(BackfillError) as stopped:
        command.run("--from=2024-01", "--to=2024-03", f"--output={output}")
    assert time.monotonic() - signalled[0] < 2
    thread.join()
    assert str(stopped.value) == (
        "stopped; 1 of 3 months are fetched and kept for this key: run the same command again to go on"
    )
    assert output.read_text() == "before"
    assert sorted(path.name for path in command.directory.iterdir()) == ["other.om", "out.om", "state"]
    command.simulator.order(misbehave="ok")
    before = command.clock.monotonic()
    assert command.run("--from=2024-01", "--to=2024-03", f"--output={output}") == 0
    assert command.clock.monotonic() - before == pytest.approx(2 * PACE + LATE), "the pace was not released"
    assert len(series_of(output.read_bytes())) == 9
    assert [request.status for request in command.simulator.requests] == [200, None, 200, 200]


def test_output_that_cannot_be_written_loses_nothing(command: Command) -> None:
    words = ["--from=2024-01", "--to=2024-02"]
    output = command.directory / "directory" / "out"
    output.parent.mkdir()

    def wait_while_somebody_removes_it(event: threading.Event, seconds: float) -> None:
        command.clock.advance(seconds)
        shutil.rmtree(output.parent, ignore_errors=True)

    command.clock.wait = wait_while_somebody_removes_it  # type: ignore[method-assign]
    with pytest.raises(BackfillError) as failed:
        command.run(*words, f"--output={output}")
    assert str(failed.value).startswith(
        f"{output}: no such file or directory; 2 of 2 months are fetched and kept"
    )
    asked = len(command.simulator.requests)
    assert command.run(*words, f"--output={command.directory / 'out'}") == 0
    assert len(command.simulator.requests) == asked == 2


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("", "the following arguments are required: --from"),
        ("--from=S3CRET", "argument --from: expected a month such as 2024-01"),
        ("--from=2024-1", "argument --from: expected a month such as 2024-01"),
        ("--from=2024-13", "argument --from: expected a month such as 2024-01"),
        ("--from=٢٠٢٤-01", "argument --from: expected a month such as 2024-01"),
        (
            "--from=2027-01",
            "--from: the latest month to be had is 2026-10; a month can be had 3 h after its end",
        ),
        ("--from=2024-01 S3CRET", "unexpected argument"),
        ("--from=2024-01 --api-key=S3CRET", "unknown flag --api-key"),
        ("--from=2024-01 --web.listen-address=:1", "unknown flag --web.listen-address"),
        ("--from=2024-01 --log.level=S3CRET", "argument --log.level: expected debug, info, warning, error"),
        ("--from=2024-01 --job=", "argument --job: expected printable text"),
        (
            "--from=2024-01 --output=/",
            "argument --output: is not a regular file; leave it out for standard output",
        ),
        ("--from=2024-01 --output=/S3/x", "argument --output: its directory is missing or cannot be written"),
    ],
)
def test_wrong_usage_is_one_line(words: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        backfill_command.parse(words.split(), START)
    assert ended.value.code == 2
    expected = f"smspartner-exporter: {problem}; see smspartner-exporter backfill --help\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    "words", ["--demo run --log.level=debug", "run --demo --log.level=debug", "--demo --log.level=debug"]
)
def test_flags_of_run_go_before_and_after_it(words: str) -> None:
    flags = cli.parser().parse(words.split())
    assert (flags.command, flags.demo, flags.log_level) == ("run", True, "debug")


def test_backfill_goes_first(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--demo", "backfill"])
    assert ended.value.code == 2
    assert "backfill goes before all flags" in capsys.readouterr().err


# --- the bar


def test_the_bar_counts_and_tells_the_time_left(start: Start) -> None:
    terminal = io.StringIO()
    start(["2024-01", "2024-02"], bar=Bar(terminal)).run()
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert "[...............] 0/2 months, about 25s left" not in drawn
    assert f"[{'.' * 30}] 0/2 months, about 25s left" in drawn
    assert f"[{'#' * 15}{'.' * 15}] 1/2 months, about 13s left" in drawn
    assert f"[{'#' * 15}{'.' * 15}] 1/2 months, about 1s left" in drawn


def test_log_lines_go_above_the_bar() -> None:
    terminal = io.StringIO()
    bar = Bar(terminal)
    bar.draw(1, 2, "about 13s left")
    bar.write("a line\n")
    bar.clear()
    line = f"[{'#' * 15}{'.' * 15}] 1/2 months, about 13s left"
    assert terminal.getvalue() == f"\r\x1b[K{line}\r\x1b[Ka line\n{line}\r\x1b[K"


# --- with real processes


@pytest.mark.long
@pytest.mark.journey
def test_interrupted_and_resumed_it_asks_for_each_month_once(started: Started, tmp_path: Path) -> None:
    simulator = started.simulator("--api-key", KEY)
    key_file, config, output = tmp_path / "key", tmp_path / "config.yaml", tmp_path / "out.om"
    key_file.write_text(KEY)
    config.write_text(f"{{base_url: '{simulator.url}', api_key_file: '{key_file}'}}")
    months = months_between("2000-01", latest_complete_month(time.time()))[-3:]

    def backfill() -> Running:
        return started.command(
            *(sys.executable, "-m", "exporter", "backfill", "--log.level=debug", f"--from={months[0]}"),
            *(f"--config.file={config}", f"--state.dir={tmp_path / 'state'}", f"--output={output}"),
        )

    first = backfill()
    first.line(r'msg="backfill begins".* requests=3 takes=37s')
    first.line(rf'msg="month fetched" month={months[0]}', within=40)
    before = time.monotonic()
    assert first.end(signal.SIGINT) == 1
    assert time.monotonic() - before < 2
    assert first.lines[-1] == (
        "smspartner-exporter: stopped; 1 of 3 months are fetched and kept for this key: "
        "run the same command again to go on"
    )
    assert not output.exists()

    again = backfill()
    again.line(r'msg="backfill begins".* kept=1 requests=2 takes=25s')
    again.process.wait(60)
    assert again.end() == 0
    samples = series_of(output.read_bytes())
    assert {dict(labels)["month"] for _, labels in samples} == set(months)
    state = requests.get(f"{simulator.url.removesuffix('/v1')}/simulator", timeout=10).json()
    assert [request["status"] for request in state["requests"]] == [200, 200, 200]
    arrivals = [request["monotonic"] for request in state["requests"]]
    assert min(later - earlier for earlier, later in pairwise(arrivals)) >= PACE
    written = [*first.lines, *again.lines, *(file.read_text() for file in (tmp_path / "state").iterdir())]
    assert not any("S3CR" in text for text in written)


@pytest.mark.journey
def test_a_demo_on_a_terminal() -> None:
    month = latest_complete_month(time.time())
    terminal, stderr = pty.openpty()
    command = (sys.executable, "-m", "exporter", "backfill", "--demo", f"--from={month}")
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, check=True, timeout=60)
    os.close(stderr)
    shown = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert f"\r\x1b[K[{'.' * 30}] 0/1 months, about 0s left" in shown
    assert "month fetched" not in shown
    assert {dict(labels)["month"] for _, labels in series_of(ended.stdout)} == {month}


@pytest.mark.journey
def test_prometheus_shows_three_years(started: Started, command: Command) -> None:
    months = months_between("2000-01", latest_complete_month(time.time()))[-36:]
    account, output, data = 'the-"best"-\\-été', command.directory / "months.om", command.directory / "data"
    assert command.run(f"--from={months[0]}", f"--output={output}", name=account) == 0
    create = (TOOLS / "promtool", "tsdb", "create-blocks-from", "openmetrics", output, data)
    subprocess.run(create, check=True, timeout=120, stdout=subprocess.DEVNULL)

    prometheus = started.prometheus(command.directory, "{}", "--storage.tsdb.retention.time=10y")
    bars = query(prometheus, "max by (month) (last_over_time(sms_cost_monthly[4y]))")
    expected = of_simulator(months, time.time(), KEY + account)
    assert {bar.labels["month"]: bar.value for bar in bars} == {
        month: figures.cost for month, figures in expected.items()
    }
    (series,) = query(prometheus, "count by (account, instance, job) (last_over_time(sms_sent_monthly[4y]))")
    assert series.labels == {"account": account, "instance": "localhost:10035", "job": "smspartner"}
    for month in months:
        at_its_end = query(prometheus, f"sms_sent_monthly @ {month_end(month)}")
        assert [sample.labels["month"] for sample in at_its_end] == [month]
        assert query(prometheus, f"sms_sent_monthly @ {month_end(month) + 600}") == []
