"""Two machines on one state directory: one keeps the limit, the other sends nothing and tells why."""

import errno
import fcntl
import logging
import shutil
from pathlib import Path

import pytest

from exporter.ratelimit import limiter as limiter_module
from exporter.ratelimit.decision import Wait, WaitReason
from exporter.ratelimit.limiter import RateLimiter, boot_id
from exporter.ratelimit.lock_file import LockFile
from exporter.state.directory import StateDirectory
from tests.ratelimit.test_limiter import INTERVAL, LATE, TIMEOUT, request
from tests.support.fakes import FakeClock


class Machine:
    """A process on a machine, with a clock of its own."""

    def __init__(self, path: Path, boot: str, uptime: float) -> None:
        self.clock = FakeClock(monotonic=uptime)
        self.directory = StateDirectory(path)
        self.limiter = RateLimiter(5, self.clock, LockFile(self.directory, boot))

    def request(self) -> float:
        """Send a request. Return how long it had to wait."""
        return request(self.limiter, self.clock)

    @property
    def is_refused(self) -> bool:
        wait = self.limiter.try_acquire(TIMEOUT)
        return wait == Wait(5, WaitReason.ANOTHER_MACHINE) and not self.directory.writable


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [str(vars(line)["reason"]) for line in caplog.records if line.levelno == logging.ERROR]


def test_the_second_machine_sends_nothing_until_the_first_has_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Machine(tmp_path, "one", 1e3), Machine(tmp_path, "other", 1e6)
    first.request()
    for _ in range(3):
        assert second.is_refused
        assert first.request() == pytest.approx(INTERVAL)
    (line,) = complaints(caplog)
    assert line.startswith(f"{tmp_path}: this state directory is in use by another machine: ")
    del first
    assert second.request() == pytest.approx(INTERVAL + LATE)
    assert second.request() == pytest.approx(INTERVAL)
    assert second.directory.writable


def test_a_removed_directory_belongs_to_the_machine_that_makes_it_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first, second = Machine(state, "one", 1e3), Machine(state, "other", 1e6)
    first.request()
    shutil.rmtree(state)
    assert second.request() == pytest.approx(INTERVAL + LATE)
    assert first.is_refused
    assert second.request() == pytest.approx(INTERVAL)
    del second
    assert first.request() == pytest.approx(INTERVAL + LATE)


def test_if_locks_do_not_reach_the_other_machine_the_first_one_gives_way(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    first, second = Machine(tmp_path, "one", 1e3), Machine(tmp_path, "other", 1e6)
    first.request()
    assert second.request() == pytest.approx(INTERVAL + LATE)
    for _ in range(3):
        assert first.is_refused
        assert second.request() == pytest.approx(INTERVAL)
    assert complaints(caplog) == [f"{tmp_path}: this state directory is in use by another machine"]


def test_a_file_system_without_locks_is_no_directory_to_share(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    machine = Machine(tmp_path, "one", 1e3)
    assert machine.request() == pytest.approx(INTERVAL + LATE)
    assert machine.request() == pytest.approx(INTERVAL)
    assert not machine.directory.writable
    assert complaints(caplog) == ["No locks available"]


@pytest.mark.parametrize(
    ("offsets", "added"),
    [
        (None, ""),
        ("monotonic           0         0\nboottime            0         0\n", ""),
        ("monotonic        1000         5\nboottime            0         0\n", "+1000.5"),
    ],
)
def test_a_time_namespace_with_another_clock_counts_as_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offsets: str | None, added: str
) -> None:
    boot, file = tmp_path / "boot_id", tmp_path / "timens_offsets"
    boot.write_text("this-boot\n")
    if offsets:
        file.write_text(offsets)
    monkeypatch.setattr(limiter_module, "_BOOT_ID", boot)
    monkeypatch.setattr(limiter_module, "_TIME_NAMESPACE_OFFSETS", file)
    assert boot_id() == f"this-boot{added}"
