"""One rate limiter for all keys, or one for each: the limit holds either way, and for the switch between."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.ratelimit.decision import LimitScope, Permission, Wait
from exporter.ratelimit.lock_file import KEY_FILE_PREFIX
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from tests.support.fakes import FakeClock
from tests.support.simulator import most_in_60s

INTERVAL, UNANSWERED = 12.2, 14.2
TIMEOUT = 30.0
ONE, OTHER = Secret("key-one"), Secret("key-other")
DAY = 86_400.0


def limiters_in(
    directory: Path, clock: FakeClock, scope: LimitScope = "account", boot: str = "this-boot"
) -> RateLimiters:
    return RateLimiters(5, clock, StateDirectory(directory), boot, scope=scope)


def acquire(limiters: RateLimiters, key: Secret, clock: FakeClock) -> float:
    """Wait as long as the key's rate limiter says; return how long that was."""
    start = clock.monotonic()
    for _ in range(1000):
        match limiters.for_key(key).try_acquire(TIMEOUT):
            case Wait(seconds):
                clock.advance(seconds)
            case Permission():
                return clock.monotonic() - start
    raise AssertionError("never permitted")


def request(limiters: RateLimiters, key: Secret, clock: FakeClock) -> float:
    waited = acquire(limiters, key, clock)
    clock.advance(0.3)
    limiters.for_key(key).release(answered=True)
    return waited


def key_files(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"{KEY_FILE_PREFIX}*"))


def test_one_limiter_holds_for_all_keys(tmp_path: Path, clock: FakeClock) -> None:
    limiters = limiters_in(tmp_path, clock, "all")
    request(limiters, ONE, clock)
    assert request(limiters, OTHER, clock) == pytest.approx(INTERVAL)
    assert not key_files(tmp_path)


def test_each_key_has_a_limiter_of_its_own(tmp_path: Path, clock: FakeClock) -> None:
    limiters = limiters_in(tmp_path, clock)
    request(limiters, ONE, clock)
    assert request(limiters, OTHER, clock) == pytest.approx(UNANSWERED), "of the unknown past"
    assert request(limiters, ONE, clock) == 0
    assert request(limiters, OTHER, clock) == pytest.approx(INTERVAL - 0.3)


def test_accounts_with_the_same_key_share_its_limiter(tmp_path: Path, clock: FakeClock) -> None:
    limiters = limiters_in(tmp_path, clock)
    request(limiters, ONE, clock)
    assert request(limiters, Secret("key-one"), clock) == pytest.approx(INTERVAL)


def test_an_empty_past_holds_for_every_key(clock: FakeClock) -> None:
    limiters = RateLimiters(5, clock, past_is_empty=True, scope="account")
    assert [request(limiters, key, clock) for key in (ONE, OTHER)] == [0, 0]
    assert request(limiters, ONE, clock) == pytest.approx(INTERVAL - 0.3)


def test_processes_share_the_limit_of_a_key(tmp_path: Path, clock: FakeClock) -> None:
    one, other = limiters_in(tmp_path, clock), limiters_in(tmp_path, clock)
    request(one, ONE, clock)
    assert request(other, ONE, clock) == pytest.approx(INTERVAL, abs=0.01)
    acquire(one, ONE, clock)
    assert acquire(other, ONE, clock) == pytest.approx(TIMEOUT + UNANSWERED, abs=0.01), (
        "the answer never came"
    )


def test_a_restart_goes_on_where_the_process_before_it_ended(tmp_path: Path, clock: FakeClock) -> None:
    request(limiters_in(tmp_path, clock), ONE, clock)
    clock.advance(5)
    assert request(limiters_in(tmp_path, clock), ONE, clock) == pytest.approx(INTERVAL - 5, abs=0.01)
    clock.advance(900)
    assert request(limiters_in(tmp_path, clock), ONE, clock) == 0


@pytest.mark.parametrize("boots", [("this-boot", "this-boot"), ("unknown-1", "unknown-2")])
def test_the_files_names_do_not_tell_the_key_but_are_the_same_everywhere(
    tmp_path: Path, clock: FakeClock, boots: tuple[str, str]
) -> None:
    for directory, boot in zip(("here", "there"), boots, strict=True):
        request(limiters_in(tmp_path / directory, clock, boot=boot), ONE, clock)
    (here,), (there,) = key_files(tmp_path / "here"), key_files(tmp_path / "there")
    assert here.name == there.name
    assert "key-one" not in here.name + here.read_text()
    assert here.stat().st_mode & 0o777 == 0o600


def test_processes_that_cannot_tell_the_boot_never_believe_each_other(
    tmp_path: Path, clock: FakeClock
) -> None:
    request(limiters_in(tmp_path, clock, boot="unknown-1"), ONE, clock)
    clock.advance(900)
    assert request(limiters_in(tmp_path, clock, boot="unknown-2"), ONE, clock) == pytest.approx(UNANSWERED)


@pytest.mark.parametrize(("before", "after"), [("all", "account"), ("account", "all")])
@pytest.mark.parametrize("has_directory", [True, False])
def test_another_scope_while_running_waits_one_interval(
    tmp_path: Path, clock: FakeClock, before: LimitScope, after: LimitScope, has_directory: bool
) -> None:
    directory = StateDirectory(tmp_path) if has_directory else None
    limiters = RateLimiters(5, clock, directory, "this-boot", past_is_empty=not has_directory, scope=before)
    for _ in range(3):
        request(limiters, ONE, clock)
    limiters.configure(5, after)
    assert request(limiters, ONE, clock) == pytest.approx(UNANSWERED)
    limiters.configure(5, before)
    assert request(limiters, ONE, clock) == pytest.approx(UNANSWERED)


@pytest.mark.parametrize("damage", [b"", b"\0" * 64, b"pace-1 this-boot nonsense 00000000\n"])
def test_a_damaged_file_makes_the_past_of_its_key_unknown(
    tmp_path: Path, clock: FakeClock, damage: bytes
) -> None:
    request(limiters_in(tmp_path, clock), ONE, clock)
    (file,) = key_files(tmp_path)
    request(limiters_in(tmp_path, clock), OTHER, clock)
    clock.advance(900)
    file.write_bytes(damage)
    assert request(limiters_in(tmp_path, clock), OTHER, clock) == 0
    assert request(limiters_in(tmp_path, clock), ONE, clock) == pytest.approx(UNANSWERED)


def test_a_lost_directory_makes_the_past_of_each_key_unknown(tmp_path: Path, clock: FakeClock) -> None:
    limiters = limiters_in(tmp_path, clock)
    for key in (ONE, OTHER):
        request(limiters, key, clock)
    clock.advance(900)
    for file in tmp_path.iterdir():
        file.unlink()
    assert [request(limiters, key, clock) for key in (ONE, OTHER)] == pytest.approx([UNANSWERED, UNANSWERED])


def test_a_directory_that_cannot_be_made_leaves_each_key_its_limiter(
    tmp_path: Path, clock: FakeClock
) -> None:
    (tmp_path / "file").write_text("")
    directory = StateDirectory(tmp_path / "file" / "state")
    limiters = RateLimiters(5, clock, directory, "this-boot", scope="account")
    assert request(limiters, ONE, clock) == pytest.approx(UNANSWERED)
    assert request(limiters, ONE, clock) == pytest.approx(INTERVAL)
    assert not directory.writable
    (tmp_path / "file").unlink()
    request(limiters, ONE, clock)
    assert directory.writable


def test_what_failed_in_one_scope_does_not_count_in_the_other(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "file").write_text("")
    directory = StateDirectory(tmp_path / "file" / "state")
    limiters = RateLimiters(5, clock, directory, "this-boot", scope="account")
    request(limiters, ONE, clock)
    (tmp_path / "file").unlink()
    limiters.configure(5, "all")
    request(limiters, ONE, clock)
    assert directory.writable


def test_what_is_used_of_the_limit_is_the_most_of_any_key(tmp_path: Path, clock: FakeClock) -> None:
    limiters = RateLimiters(5, clock, past_is_empty=True, scope="account")
    assert limiters.requests_last_minute() == 0
    for _ in range(4):
        request(limiters, ONE, clock)
        request(limiters, OTHER, clock)
    request(limiters, OTHER, clock)
    assert limiters.requests_last_minute() == 5


def test_another_limit_holds_for_keys_known_and_new(clock: FakeClock) -> None:
    limiters = RateLimiters(5, clock, past_is_empty=True, scope="account")
    request(limiters, ONE, clock)
    limiters.configure(2, "account")
    clock.advance(100)
    for key in (ONE, OTHER):
        request(limiters, key, clock)
        assert request(limiters, key, clock) == pytest.approx(30.5)


@pytest.mark.parametrize(("before", "after"), [("all", "account"), ("account", "all")])
def test_a_restart_under_the_other_scope_takes_the_past_as_unknown_and_removes_what_was_left(
    tmp_path: Path, clock: FakeClock, before: LimitScope, after: LimitScope
) -> None:
    for key in (ONE, OTHER):
        request(limiters_in(tmp_path, clock, before), key, clock)
    left = set(tmp_path.glob("pace*"))
    clock.advance(900)
    restarted = limiters_in(tmp_path, clock, after)
    assert request(restarted, ONE, clock) == pytest.approx(UNANSWERED)
    assert not left & set(tmp_path.iterdir())
    assert request(restarted, ONE, clock) == pytest.approx(INTERVAL)


@pytest.fixture
def trouble(tmp_path: Path, clock: FakeClock) -> tuple[StateDirectory, RateLimiters]:
    """A state directory in which the last write for a key failed."""
    directory = StateDirectory(tmp_path / "state")
    limiters = RateLimiters(5, clock, directory, "this-boot", scope="account")
    request(limiters, ONE, clock)
    directory.failed(key_files(tmp_path / "state")[0].name, OSError(28, "no space"))
    return directory, limiters


def test_a_failed_write_for_a_key_that_was_replaced_counts_no_more_after_a_day(
    clock: FakeClock, trouble: tuple[StateDirectory, RateLimiters]
) -> None:
    directory, limiters = trouble
    clock.advance(DAY + 60)
    request(limiters, OTHER, clock)
    assert directory.writable


def test_a_failed_write_for_a_key_that_was_removed_counts_no_more_after_a_day(
    clock: FakeClock, trouble: tuple[StateDirectory, RateLimiters]
) -> None:
    directory, limiters = trouble
    request(limiters, OTHER, clock)
    for _ in range(25):
        clock.advance(DAY / 24)
        request(limiters, OTHER, clock)
    assert directory.writable


def test_an_idle_limiter_that_was_dropped_still_keeps_the_interval(tmp_path: Path, clock: FakeClock) -> None:
    limiters = limiters_in(tmp_path, clock)
    request(limiters, ONE, clock)
    clock.advance(DAY + 60)
    request(limiters, OTHER, clock)
    assert request(limiters, ONE, clock) == 0
    assert request(limiters, ONE, clock) == pytest.approx(INTERVAL)


class Fleet:
    """Processes that share a state directory and a scope, crash at random, and lose their state."""

    def __init__(self, directory: Path, seed: int, lose_state: bool, processes: int) -> None:
        self.arrivals: dict[str, list[float]] = {f"key-{number}": [] for number in range(3)}
        self._keys = [Secret(key) for key in self.arrivals]
        self._directory = directory
        self._dice = random.Random(seed)
        self._clock = FakeClock()
        self._loses_state = lose_state and processes == 1
        self._processes = processes
        self._scope: LimitScope = "all"
        self._running: dict[int, RateLimiters] = {}
        self._in_flight: dict[int, tuple[Secret, float]] = {}

    def run(self, seconds: float) -> None:
        """Let each process in turn do what is next."""
        end = self._clock.monotonic() + seconds
        while self._clock.monotonic() < end:
            number = self._dice.randrange(self._processes)
            if number not in self._in_flight:
                self._restart_at_random(number)
                self._try(number)
            elif self._clock.monotonic() < self._in_flight[number][1]:
                self._clock.advance(self._dice.uniform(0, 0.5))
            else:
                key, _ = self._in_flight.pop(number)
                self._running[number].for_key(key).release(answered=True)

    def _restart_at_random(self, number: int) -> None:
        if not self._in_flight and self._dice.random() < 0.02:
            self._scope = self._dice.choice(["all", "account"])
            self._running = {}
        if number in self._running and self._dice.random() >= 0.03:
            return
        if self._loses_state:
            for file in self._directory.iterdir():
                file.unlink()
        self._running[number] = limiters_in(self._directory, self._clock, self._scope)

    def _try(self, number: int) -> None:
        key, clock = self._dice.choice(self._keys), self._clock
        match self._running[number].for_key(key).try_acquire(TIMEOUT):
            case Wait(seconds):
                clock.advance(min(seconds, self._dice.uniform(0.01, 1)))
            case Permission(deadline):
                answer = min(clock.monotonic() + self._dice.choice([0.01, 0.3, 2, 29, 60]), deadline)
                arrived = self._dice.uniform(clock.monotonic(), answer)
                self.arrivals[key.reveal()].append(arrived)
                if self._dice.random() < 0.2:  # killed
                    clock.advance(max(0.0, arrived - clock.monotonic()))
                    del self._running[number]
                else:
                    self._in_flight[number] = key, answer


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), lose_state=st.booleans(), processes=st.integers(1, 3))
def test_no_sliding_minute_ever_holds_more_than_five_of_a_key(
    tmp_path_factory: pytest.TempPathFactory, seed: int, lose_state: bool, processes: int
) -> None:
    fleet = Fleet(tmp_path_factory.mktemp("state"), seed, lose_state, processes)
    fleet.run(3600)
    assert max(most_in_60s(sorted(of_key)) for of_key in fleet.arrivals.values()) <= 5
    assert sum(len(of_key) for of_key in fleet.arrivals.values()) > 10
