"""The rate limiter: the promise that no sliding minute at the server ever holds more than the limit."""

import errno
import fcntl
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.ratelimit.decision import MAX_TIMEOUT, Permission, Wait, WaitReason
from exporter.ratelimit.limiter import RateLimiter, boot_id
from exporter.ratelimit.lock_file import FILE_NAME, LockFile
from exporter.state.directory import StateDirectory
from tests.support.fakes import FakeClock
from tests.support.obstacles import OBSTACLES, others_in, remove_obstacle
from tests.support.simulator import most_in_60s

INTERVAL = 12.2
LATE = 2.0
"""How long a request may still travel after it was given up, or its process killed."""
TIMEOUT = 30.0


def limiter_in(
    directory: Path, clock: FakeClock, boot: str = "this-boot", requests_per_minute: int = 5
) -> RateLimiter:
    return RateLimiter(requests_per_minute, clock, LockFile(StateDirectory(directory), boot))


def acquire(limiter: RateLimiter, clock: FakeClock) -> float:
    """Wait as long as the rate limiter says; return how long that was."""
    start = clock.monotonic()
    for _ in range(1000):
        match limiter.try_acquire(TIMEOUT):
            case Wait(seconds):
                assert seconds > 0
                clock.advance(seconds)
            case Permission():
                return clock.monotonic() - start
    raise AssertionError("never permitted")


def request(limiter: RateLimiter, clock: FakeClock, latency: float = 0.3) -> float:
    waited = acquire(limiter, clock)
    clock.advance(latency)
    limiter.release(answered=True)
    return waited


def test_the_first_request_of_an_unknown_past_waits(tmp_path: Path, clock: FakeClock) -> None:
    limiter = limiter_in(tmp_path, clock)
    assert limiter.seconds_left_of_unknown_past() == 0
    wait = limiter.try_acquire(TIMEOUT)
    assert isinstance(wait, Wait)
    assert wait.seconds == pytest.approx(INTERVAL + LATE)
    assert limiter.seconds_left_of_unknown_past() == pytest.approx(INTERVAL + LATE)
    assert request(limiter, clock) == pytest.approx(INTERVAL + LATE)
    assert limiter.seconds_left_of_unknown_past() == 0


def test_the_first_request_of_an_empty_past_waits_for_nothing(clock: FakeClock) -> None:
    assert request(RateLimiter(5, clock, past_is_empty=True), clock) == 0


def test_the_interval_begins_at_the_answer(tmp_path: Path, clock: FakeClock) -> None:
    limiter = limiter_in(tmp_path, clock)
    request(limiter, clock)
    assert request(limiter, clock, latency=25) == pytest.approx(INTERVAL)
    assert request(limiter, clock) == pytest.approx(INTERVAL)


def test_permission_names_the_deadline(clock: FakeClock) -> None:
    limiter = RateLimiter(5, clock, past_is_empty=True)
    assert limiter.try_acquire(TIMEOUT) == Permission(clock.monotonic() + TIMEOUT)


def test_another_process_waits_for_the_answer_not_for_the_deadline(tmp_path: Path, clock: FakeClock) -> None:
    one, other = limiter_in(tmp_path, clock), limiter_in(tmp_path, clock)
    acquire(one, clock)
    assert other.try_acquire(TIMEOUT) == Wait(1.0, WaitReason.ANOTHER_PROCESS)
    clock.advance(0.3)
    one.release(answered=True)
    assert acquire(other, clock) == pytest.approx(INTERVAL, abs=0.01)


def test_after_a_kill_in_flight_the_next_process_waits_for_the_deadline(
    tmp_path: Path, clock: FakeClock
) -> None:
    acquire(limiter_in(tmp_path, clock), clock)
    assert acquire(limiter_in(tmp_path, clock), clock) == pytest.approx(TIMEOUT + INTERVAL + LATE, abs=0.01)


def test_a_restart_goes_on_where_the_process_before_it_ended(tmp_path: Path, clock: FakeClock) -> None:
    request(limiter_in(tmp_path, clock), clock)
    clock.advance(5)
    assert acquire(limiter_in(tmp_path, clock), clock) == pytest.approx(INTERVAL - 5, abs=0.01)


def test_a_restart_after_a_quiet_time_waits_for_nothing(tmp_path: Path, clock: FakeClock) -> None:
    request(limiter_in(tmp_path, clock), clock)
    clock.advance(900)
    assert acquire(limiter_in(tmp_path, clock), clock) == 0


@pytest.mark.parametrize("step", [3600.0, -3600.0, 1e9])
def test_steps_of_the_wall_clock_change_nothing(tmp_path: Path, clock: FakeClock, step: float) -> None:
    limiter = limiter_in(tmp_path, clock)
    request(limiter, clock)
    clock.step(step)
    assert request(limiter, clock) == pytest.approx(INTERVAL)


def test_an_instant_of_another_boot_makes_the_past_unknown(tmp_path: Path, clock: FakeClock) -> None:
    request(limiter_in(tmp_path, clock, boot="before"), clock)
    rebooted = FakeClock(monotonic=5.0)
    assert acquire(limiter_in(tmp_path, rebooted, boot="after"), rebooted) == pytest.approx(INTERVAL + LATE)


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: b"",
        lambda line: line[: len(line) // 2],
        lambda line: line.replace(b"0", b"1", 1),
        lambda line: b"\0" * 64,
        lambda line: b"\xff" * 5000,
        lambda line: line[::-1],
    ],
)
def test_a_damaged_file_makes_the_past_unknown(tmp_path: Path, clock: FakeClock, damage: object) -> None:
    request(limiter_in(tmp_path, clock), clock)
    file = tmp_path / FILE_NAME
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    clock.advance(900)
    assert acquire(limiter_in(tmp_path, clock), clock) == pytest.approx(INTERVAL + LATE)


def test_every_single_damaged_byte_is_noticed(tmp_path: Path, clock: FakeClock) -> None:
    request(limiter_in(tmp_path, clock), clock)
    clock.advance(900)
    file = tmp_path / FILE_NAME
    intact = file.read_bytes()
    for index in range(len(intact) - 1):
        file.write_bytes(intact[:index] + bytes([intact[index] ^ 1]) + intact[index + 1 :])
        assert isinstance(limiter_in(tmp_path, clock).try_acquire(TIMEOUT), Wait), index


def test_an_instant_beyond_any_deadline_is_not_believed(tmp_path: Path, clock: FakeClock) -> None:
    ahead = FakeClock(monotonic=clock.monotonic() + 10 * MAX_TIMEOUT)
    request(limiter_in(tmp_path, ahead), ahead)
    assert acquire(limiter_in(tmp_path, clock), clock) == pytest.approx(INTERVAL + LATE)


def test_a_directory_removed_while_running_is_made_again_after_a_wait(
    tmp_path: Path, clock: FakeClock
) -> None:
    state = tmp_path / "state"
    limiter = limiter_in(state, clock)
    request(limiter, clock)
    clock.advance(900)
    shutil.rmtree(state)
    assert request(limiter, clock) == pytest.approx(INTERVAL + LATE)
    assert request(limiter_in(state, clock), clock) == pytest.approx(INTERVAL, abs=0.01)


def test_an_answer_does_not_bring_forward_what_another_process_reserved(
    tmp_path: Path, clock: FakeClock
) -> None:
    one, other = limiter_in(tmp_path, clock), limiter_in(tmp_path, clock)
    acquire(one, clock)
    (tmp_path / FILE_NAME).unlink()
    acquire(other, clock)
    one.release(answered=True)
    assert acquire(limiter_in(tmp_path, clock), clock) == pytest.approx(TIMEOUT + INTERVAL + LATE, abs=0.01)


def test_a_file_that_was_put_back_does_not_make_its_own_past_forgotten(
    tmp_path: Path, clock: FakeClock
) -> None:
    limiter = limiter_in(tmp_path, clock)
    request(limiter, clock)
    backup = (tmp_path / FILE_NAME).read_bytes()
    request(limiter, clock)
    (tmp_path / FILE_NAME).write_bytes(backup)
    assert acquire(limiter, clock) == pytest.approx(INTERVAL)


def test_without_a_usable_directory_the_first_request_waits(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "file").write_text("")
    directory = StateDirectory(tmp_path / "file" / "state")
    limiter = RateLimiter(5, clock, LockFile(directory, "this-boot"))
    assert request(limiter, clock) == pytest.approx(INTERVAL + LATE)
    assert not directory.writable
    assert request(limiter, clock) == pytest.approx(INTERVAL)


@pytest.mark.parametrize("what", OBSTACLES)
def test_what_is_in_the_way_of_the_file_is_left_alone_and_the_limit_kept_without_it(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    path = tmp_path / FILE_NAME
    OBSTACLES[what](path)
    before = others_in(path)
    directory = StateDirectory(tmp_path)
    limiter = RateLimiter(5, clock, LockFile(directory, "this-boot"))
    assert request(limiter, clock) == pytest.approx(INTERVAL + LATE)
    assert request(limiter, clock) == pytest.approx(INTERVAL)
    assert before.items() <= others_in(path).items()
    assert not directory.writable
    (line,) = caplog.records
    assert (vars(line)["file"], line.levelname) == (FILE_NAME, "ERROR")
    assert "in its place" in vars(line)["reason"] or "second name" in vars(line)["reason"]
    remove_obstacle(path)
    request(limiter, clock)
    assert directory.writable


def write_half(descriptor: int, line: bytes, offset: int) -> int:
    return len(line) // 2


def fail_to_close(descriptor: int, close: Callable[[int], None] = os.close) -> None:
    close(descriptor)
    raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


@pytest.mark.parametrize(("call", "broken"), [("pwrite", write_half), ("close", fail_to_close)])
def test_half_a_written_line_or_an_error_at_the_end_counts_as_a_failed_write(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, call: str, broken: object
) -> None:
    directory = StateDirectory(tmp_path)
    limiter = RateLimiter(5, clock, LockFile(directory, "this-boot"))
    request(limiter, clock)
    with monkeypatch.context() as disk:
        disk.setattr(os, call, broken)
        assert request(limiter, clock) == pytest.approx(INTERVAL)
        assert not directory.writable
    assert request(limiter, clock) == pytest.approx(INTERVAL)
    assert directory.writable


def test_a_held_lock_is_never_waited_for(tmp_path: Path, clock: FakeClock) -> None:
    limiter = limiter_in(tmp_path, clock)
    request(limiter, clock)
    clock.advance(900)
    with (tmp_path / FILE_NAME).open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert limiter.try_acquire(TIMEOUT) == Wait(0.05, WaitReason.LOCK_BUSY)
    acquire(limiter, clock)
    with (tmp_path / FILE_NAME).open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        limiter.release(answered=True)
    other = limiter_in(tmp_path, clock)
    assert isinstance(limiter.try_acquire(TIMEOUT), Wait)
    assert acquire(other, clock) == pytest.approx(INTERVAL, abs=0.01)


def test_requests_of_the_last_minute_are_counted(clock: FakeClock) -> None:
    limiter = RateLimiter(5, clock, past_is_empty=True)
    for _ in range(8):
        request(limiter, clock)
    assert limiter.requests_last_minute() == 5
    clock.advance(61)
    assert limiter.requests_last_minute() == 0


def test_the_file_is_the_owners_alone(tmp_path: Path, clock: FakeClock) -> None:
    request(limiter_in(tmp_path / "state", clock), clock)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_the_boot_id_stays_the_same() -> None:
    assert boot_id() == boot_id()


def test_no_descriptor_is_left_open(tmp_path: Path, clock: FakeClock) -> None:
    limiter = limiter_in(tmp_path, clock)
    request(limiter, clock)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        request(limiter, clock)
    assert len(os.listdir("/proc/self/fd")) == before


def most_of_a_crashing_fleet(directory: Path, seed: int, lose_state: bool, processes: int) -> tuple[int, int]:
    """Play an hour of processes that crash at random; return the most arrivals in any 60 s, and all of them.

    Each request is sent at once, or late where connecting took long, travels for up to 2 s and arrives even if it was
    given up or its process killed meanwhile. The answer comes at any time, or never.
    """
    dice = random.Random(seed)
    clock = FakeClock()
    arrivals: list[float] = []
    fleet: dict[int, RateLimiter] = {}
    flying: dict[int, tuple[float, bool]] = {}
    end = clock.monotonic() + 3600
    while clock.monotonic() < end:
        number = dice.randrange(processes)
        if number in flying:
            if clock.monotonic() < flying[number][0]:
                clock.advance(dice.uniform(0, 0.5))
                continue
            fleet[number].release(answered=flying.pop(number)[1])
        if number not in fleet or dice.random() < 0.05:
            if lose_state and processes == 1:
                (directory / FILE_NAME).unlink(missing_ok=True)
            fleet[number] = limiter_in(directory, clock)
        timeout = dice.choice([1.0, TIMEOUT])
        match fleet[number].try_acquire(timeout):
            case Wait(seconds):
                clock.advance(min(seconds, dice.uniform(0.01, 1)))
            case Permission(deadline):
                sent = dice.choice([clock.monotonic()] * 4 + [dice.uniform(clock.monotonic(), deadline)])
                arrived = sent + dice.choice([0, 0, LATE, dice.uniform(0, LATE)])
                answer = arrived + dice.choice([0, 0.3, LATE, 29, 60])
                given_up = dice.uniform(sent, deadline) if dice.random() < 0.2 else deadline
                arrivals.append(arrived)
                flying[number] = min(answer, given_up), answer < given_up
                if given_up < deadline:
                    clock.advance(max(0.0, min(answer, given_up) - clock.monotonic()))
                    del fleet[number], flying[number]
    return most_in_60s(sorted(arrivals)), len(arrivals)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), lose_state=st.booleans(), processes=st.integers(1, 3))
def test_no_sliding_minute_ever_holds_more_than_five(
    tmp_path_factory: pytest.TempPathFactory, seed: int, lose_state: bool, processes: int
) -> None:
    most, total = most_of_a_crashing_fleet(tmp_path_factory.mktemp("state"), seed, lose_state, processes)
    assert most <= 5
    assert total > 20


@pytest.mark.parametrize("restarts", [False, True], ids=["same process", "another process"])
@pytest.mark.parametrize("how", ["killed and the state lost", "killed", "given up"])
def test_the_next_requests_keep_clear_of_one_that_arrives_late(
    tmp_path: Path, clock: FakeClock, how: str, restarts: bool
) -> None:
    """It leaves at the last instant and is under way for 2 s; the five that follow arrive and are answered at once."""
    first = limiter_in(tmp_path, clock)
    acquire(first, clock)
    clock.advance(TIMEOUT)
    arrivals = [clock.monotonic() + LATE]
    if how == "given up":
        first.release(answered=False)
    elif how == "killed and the state lost":
        (tmp_path / FILE_NAME).unlink()
    limiter = first if how == "given up" and not restarts else limiter_in(tmp_path, clock)
    for _ in range(5):
        if restarts:
            limiter = limiter_in(tmp_path, clock)
        request(limiter, clock, latency=0)
        arrivals.append(clock.monotonic())
    assert most_in_60s(arrivals) == 5


def test_a_steady_load_uses_95_percent_of_the_limit(tmp_path: Path, clock: FakeClock) -> None:
    limiter = limiter_in(tmp_path, clock)
    begin, count = clock.monotonic(), 0
    while clock.monotonic() < begin + 3600:
        request(limiter, clock, latency=0.3)
        count += 1
    assert count / 60 >= 0.95 * 5


def test_the_judge_would_notice_a_broken_limiter() -> None:
    assert most_in_60s([0, 10, 20, 30, 40, 59.9]) == 6
    assert most_in_60s([0, 12.2, 24.4, 36.6, 48.8, 61.0]) == 5
