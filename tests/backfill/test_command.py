"""The command `backfill`: its flags, its output, its signals, its progress bar."""

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.backfill import command as backfill_command
from exporter.backfill.command import find_state_dir
from exporter.backfill.fetcher import BackfillError, latest_complete_month
from exporter.months import months_between
from tests.support.backfill import INTERVAL, LATE, Command, command_over_http, of_simulator, series_of
from tests.support.fakes import START
from tests.support.running import eventually


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGINT)}
    with command_over_http(tmp_path) as command:
        yield command
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("words", [[], ["--output=-"]], ids=["by default", "-"])
def test_it_writes_to_standard_output(
    command: Command, capfdbinary: pytest.CaptureFixture[bytes], words: list[str]
) -> None:
    assert command.run("--from=2024-01", "--to=2024-02", "--job=sms", *words) == 0
    assert not Path("-").exists()
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
        "stopped; 1 of 3 months are fetched and kept for this key: run the same command again to continue"
    )
    assert output.read_text() == "before"
    assert sorted(path.name for path in command.directory.iterdir()) == ["other.om", "out.om", "state"]
    command.simulator.order(misbehave="ok")
    before = command.clock.monotonic()
    assert command.run("--from=2024-01", "--to=2024-03", f"--output={output}") == 0
    assert command.clock.monotonic() - before == pytest.approx(2 * INTERVAL + LATE), (
        "the limiter was not released"
    )
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


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Where a user's exporter and where a service keep their state. Neither exists yet."""
    service = tmp_path / "service"
    monkeypatch.setattr(backfill_command, "SERVICE_STATE_DIRECTORY", service)
    return tmp_path / "user" / "smspartner-exporter", service


@pytest.mark.parametrize("which", [0, 1])
def test_without_a_flag_the_only_state_directory_there_is_is_the_exporters(
    places: tuple[Path, Path], which: int
) -> None:
    places[which].mkdir(parents=True)
    environment = {"XDG_STATE_HOME": str(places[0].parent)}
    assert find_state_dir(None, environment) == places[which]
    assert find_state_dir(Path("/elsewhere"), environment) == Path("/elsewhere")
    assert find_state_dir(None, {**environment, "STATE_DIRECTORY": "/given"}) == Path("/given")


@pytest.mark.parametrize(("exist", "problem"), [(0, "neither of these exists"), (2, "both of these exist")])
def test_it_does_not_guess_which_state_directory_is_the_exporters(
    places: tuple[Path, Path], exist: int, problem: str
) -> None:
    for place in places[:exist]:
        place.mkdir(parents=True)
    with pytest.raises(BackfillError) as refused:
        find_state_dir(None, {"XDG_STATE_HOME": str(places[0].parent)})
    assert str(refused.value) == (
        f"which state directory is the exporter's? {problem}: {places[0]}, {places[1]}; "
        "name it with --state.dir, or if no exporter runs, name any directory"
    )


def test_root_leaves_nothing_in_the_state_directory_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_another = os.stat_result((0o040700, 1, 1, 1, 10035, 10035, 0, 0, 0, 0))
    stat = Path.stat
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        Path, "stat", lambda path, **how: of_another if path == tmp_path else stat(path, **how)
    )
    with pytest.raises(
        BackfillError, match=f"^{tmp_path}: belongs to user 10035, .*run the command as that user$"
    ):
        find_state_dir(tmp_path, {})
    monkeypatch.setattr(os, "geteuid", lambda: 10035)
    assert find_state_dir(tmp_path, {}) == tmp_path


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
            "--from: the latest complete month is 2026-10; a month is complete 3 h after its end",
        ),
        ("--from=2024-01 S3CRET", "unexpected argument"),
        ("--from=2024-01 --api-key=S3CRET", "unknown flag --api-key"),
        ("--from=2024-01 --web.listen-address=:1", "unknown flag --web.listen-address"),
        ("--from=2024-01 --log.level=S3CRET", "argument --log.level: expected debug, info, warning, error"),
        ("--from=", "argument --from: expected one argument"),
        ("--from=2024-01 --from=2024-02", "argument --from: given twice"),
        ("--from=2024-01 --job=\x07", "argument --job: expected printable text"),
        (
            "--from=2024-01 --output=/",
            "argument --output: is not a regular file; for standard output, give -",
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


@pytest.mark.journey
def test_on_a_terminal_a_bar_shows_the_progress_and_log_lines_go_above_it() -> None:
    months = months_between("2000-01", latest_complete_month(time.time()))[-2:]
    terminal, stderr = pty.openpty()
    fcntl.ioctl(stderr, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = (sys.executable, "-m", "exporter", "backfill", "--demo", f"--from={months[0]}")
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, check=True, timeout=60)
    os.close(stderr)
    shown = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert re.search(r"\r  0% \|\s+\| 0/2 months", shown)
    assert re.search(r"\r 50% \|█+[^█|]+\| 1/2 months, about 12s left\r", shown)
    lines = [line.removesuffix("\r").rpartition("\r")[2] for line in shown.split("\n")]
    assert [re.findall('msg="(.*?)"|$', line) for line in lines] == [
        ["backfill begins", ""],
        ["backfill complete", ""],
        [""],
    ]
    assert all(line.startswith("time=") for line in lines if line)
    assert {dict(labels)["month"] for _, labels in series_of(ended.stdout)} == set(months)
