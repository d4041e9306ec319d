"""One pace for all, or each key its own: the promise holds for each key either way, and for the switch between."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.ratelimit.limiter import MAX_TIMEOUT, LimitScope, Permission, Wait
from exporter.ratelimit.lock_file import FILE_NAME, KEY_FILE_PREFIX, LockFile
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.simulator.simulator import most_in_60s
from exporter.state.directory import StateDirectory
from tests.support.fakes import FakeClock

PACE, UNANSWERED = 12.2, 14.2
TIMEOUT = 30.0
ONE, OTHER = Secret("key-one"), Secret("key-other")
DAY = 86_400.0


def paces_in(
    directory: Path, clock: FakeClock, scope: LimitScope = "account", boot: str = "this-boot"
) -> RateLimiters:
    return RateLimiters(5, clock, StateDirectory(directory), boot, scope=scope)


def acquire(limiters: RateLimiters, key: Secret, clock: FakeClock) -> float:
    """Wait as long as the key's pace says; return how long that was."""
    start = clock.monotonic()
    for _ in range(1000):
        match limiters.of(key).try_acquire(TIMEOUT):
            case Wait(seconds):
                clock.advance(seconds)
            case Permission():
                return clock.monotonic() - start
    raise AssertionError("never permitted")


def request(limiters: RateLimiters, key: Secret, clock: FakeClock) -> float:
    waited = acquire(limiters, key, clock)
    clock.advance(0.3)
    limiters.of(key).release(answered=True)
    return waited


def key_files(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"{KEY_FILE_PREFIX}*"))


def test_one_pace_holds_for_all_keys(tmp_path: Path, clock: FakeClock) -> None:
    limiters = paces_in(tmp_path, clock, "all")
    request(limiters, ONE, clock)
    assert request(limiters, OTHER, clock) == pytest.approx(PACE)
    assert not key_files(tmp_path)


def test_each_key_has_its_own_pace(tmp_path: Path, clock: FakeClock) -> None:
    limiters = paces_in(tmp_path, clock)
    request(limiters, ONE, clock)
    assert request(limiters, OTHER, clock) == pytest.approx(UNANSWERED), "of the unknown past"
    assert request(limiters, ONE, clock) == 0
    assert request(limiters, OTHER, clock) == pytest.approx(PACE - 0.3)


def test_accounts_with_the_same_key_share_its_pace(tmp_path: Path, clock: FakeClock) -> None:
    limiters = paces_in(tmp_path, clock)
    request(limiters, ONE, clock)
    assert request(limiters, Secret("key-one"), clock) == pytest.approx(PACE)


def test_an_empty_past_holds_for_every_key(clock: FakeClock) -> None:
    limiters = RateLimiters(5, clock, past_is_empty=True, scope="account")
    assert [request(limiters, key, clock) for key in (ONE, OTHER)] == [0, 0]
    assert request(limiters, ONE, clock) == pytest.approx(PACE - 0.3)


def test_processes_share_the_pace_of_a_key(tmp_path: Path, clock: FakeClock) -> None:
    one, other = paces_in(tmp_path, clock), paces_in(tmp_path, clock)
    request(one, ONE, clock)
    assert request(other, ONE, clock) == pytest.approx(PACE, abs=0.01)
    acquire(one, ONE, clock)
    assert acquire(other, ONE, clock) == pytest.approx(TIMEOUT + UNANSWERED, abs=0.01), (
        "the answer never came"
    )


def test_a_restart_goes_on_where_the_process_before_it_ended(tmp_path: Path, clock: FakeClock) -> None:
    request(paces_in(tmp_path, clock), ONE, clock)
    clock.advance(5)
    assert request(paces_in(tmp_path, clock), ONE, clock) == pytest.approx(PACE - 5, abs=0.01)
    clock.advance(900)
    assert request(paces_in(tmp_path, clock), ONE, clock) == 0


@pytest.mark.parametrize("boots", [("this-boot", "this-boot"), ("unknown-1", "unknown-2")])
def test_the_files_names_do_not_tell_the_key_but_are_the_same_everywhere(
    tmp_path: Path, clock: FakeClock, boots: tuple[str, str]
) -> None:
    for directory, boot in zip(("here", "there"), boots, strict=True):
        request(paces_in(tmp_path / directory, clock, boot=boot), ONE, clock)
    (here,), (there,) = key_files(tmp_path / "here"), key_files(tmp_path / "there")
    assert here.name == there.name
    assert "key-one" not in here.name + here.read_text()
    assert here.stat().st_mode & 0o777 == 0o600


def test_the_names_are_of_this_boot_alone(tmp_path: Path, clock: FakeClock) -> None:
    names = []
    for boot in ("one-boot", "another"):
        request(paces_in(tmp_path, clock, boot=boot), ONE, clock)
        names.append(key_files(tmp_path))
    assert len(names[0]) == len(names[1]) == 1, "those of the boot before are removed"
    assert names[0] != names[1]


def test_processes_that_cannot_tell_the_boot_never_believe_each_other(
    tmp_path: Path, clock: FakeClock
) -> None:
    request(paces_in(tmp_path, clock, boot="unknown-1"), ONE, clock)
    clock.advance(900)
    assert request(paces_in(tmp_path, clock, boot="unknown-2"), ONE, clock) == pytest.approx(UNANSWERED)


@pytest.mark.parametrize(("before", "after"), [("all", "account"), ("account", "all")])
def test_a_restart_with_the_other_scope_keeps_the_pace(
    tmp_path: Path, clock: FakeClock, before: LimitScope, after: LimitScope
) -> None:
    acquire(paces_in(tmp_path, clock, before), ONE, clock)
    waited = acquire(paces_in(tmp_path, clock, after), ONE, clock)
    assert waited == pytest.approx(TIMEOUT + UNANSWERED, abs=0.01), "the request may still be under way"


@pytest.mark.parametrize(("before", "after"), [("all", "account"), ("account", "all")])
def test_a_process_with_the_other_scope_keeps_the_pace(
    tmp_path: Path, clock: FakeClock, before: LimitScope, after: LimitScope
) -> None:
    one, other = paces_in(tmp_path, clock, before), paces_in(tmp_path, clock, after)
    for limiters in (one, other):
        request(limiters, ONE, clock)
    clock.advance(900)
    acquire(one, ONE, clock)
    clock.advance(20)
    assert isinstance(other.of(ONE).try_acquire(TIMEOUT), Wait)
    one.of(ONE).release(answered=True)
    expected = (
        PACE if after == "all" else UNANSWERED
    )  # the key's file was removed as outdated: the past is unknown
    assert acquire(other, ONE, clock) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("before", "after"), [("all", "account"), ("account", "all")])
@pytest.mark.parametrize("has_directory", [True, False])
def test_another_scope_while_running_waits_one_pace(
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


def test_keys_are_forgotten_by_one_pace_for_all(tmp_path: Path, clock: FakeClock) -> None:
    limiters = paces_in(tmp_path, clock)
    request(limiters, ONE, clock)
    request(limiters, OTHER, clock)
    assert len(key_files(tmp_path)) == 2
    clock.advance(PACE)
    request(paces_in(tmp_path, clock, "all"), ONE, clock)
    assert not key_files(tmp_path)
    assert request(limiters, ONE, clock) == pytest.approx(UNANSWERED), "the past is unknown"


@pytest.mark.parametrize("damage", [b"", b"\0" * 64, b"pace-1 this-boot nonsense 00000000\n"])
def test_a_damaged_file_makes_the_past_of_its_key_unknown(
    tmp_path: Path, clock: FakeClock, damage: bytes
) -> None:
    request(paces_in(tmp_path, clock), ONE, clock)
    (file,) = key_files(tmp_path)
    request(paces_in(tmp_path, clock), OTHER, clock)
    clock.advance(900)
    file.write_bytes(damage)
    assert request(paces_in(tmp_path, clock), OTHER, clock) == 0
    assert request(paces_in(tmp_path, clock), ONE, clock) == pytest.approx(UNANSWERED)


def test_a_damaged_file_of_a_key_makes_the_past_of_all_unknown(tmp_path: Path, clock: FakeClock) -> None:
    together = paces_in(tmp_path, clock, "all")
    request(together, ONE, clock)
    request(paces_in(tmp_path, clock), ONE, clock)
    clock.advance(900)
    key_files(tmp_path)[0].write_bytes(b"\0")
    assert request(together, ONE, clock) == pytest.approx(UNANSWERED)
    assert request(together, ONE, clock) == pytest.approx(PACE)


@pytest.mark.parametrize(("before", "after"), [("all", "account"), ("account", "all")])
def test_an_instant_of_the_other_scope_beyond_any_deadline_is_not_believed(
    tmp_path: Path, clock: FakeClock, before: LimitScope, after: LimitScope
) -> None:
    request(paces_in(tmp_path, clock, before), ONE, clock)
    (file,) = [*key_files(tmp_path), tmp_path / FILE_NAME][:1]
    limiters = paces_in(tmp_path, clock, after)
    request(limiters, ONE, clock)
    with LockFile(StateDirectory(tmp_path), "this-boot", file.name).locked() as locked:
        assert locked
        locked.write(clock.monotonic() + 10 * MAX_TIMEOUT)
    clock.advance(900)
    assert request(limiters, ONE, clock) == pytest.approx(UNANSWERED)
    assert request(limiters, ONE, clock) == pytest.approx(PACE)


def test_a_lost_directory_makes_the_past_of_each_key_unknown(tmp_path: Path, clock: FakeClock) -> None:
    limiters = paces_in(tmp_path, clock)
    for key in (ONE, OTHER):
        request(limiters, key, clock)
    clock.advance(900)
    for file in tmp_path.iterdir():
        file.unlink()
    assert [request(limiters, key, clock) for key in (ONE, OTHER)] == pytest.approx([UNANSWERED, UNANSWERED])


def test_a_directory_that_cannot_be_made_leaves_each_key_its_pace(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "file").write_text("")
    directory = StateDirectory(tmp_path / "file" / "state")
    limiters = RateLimiters(5, clock, directory, "this-boot", scope="account")
    assert request(limiters, ONE, clock) == pytest.approx(UNANSWERED)
    assert request(limiters, ONE, clock) == pytest.approx(PACE)
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


def test_keys_that_are_no_longer_used_are_forgotten_after_a_day(tmp_path: Path, clock: FakeClock) -> None:
    limiters = paces_in(tmp_path, clock)
    request(limiters, ONE, clock)
    for _ in range(25):
        clock.advance(3600)
        request(limiters, OTHER, clock)
    assert len(key_files(tmp_path)) == 1
    assert request(limiters, OTHER, clock) == pytest.approx(PACE)
    assert request(limiters, ONE, clock) == pytest.approx(UNANSWERED), "the past is unknown"


def test_a_key_in_use_by_another_process_is_not_forgotten(tmp_path: Path, clock: FakeClock) -> None:
    one, other = paces_in(tmp_path, clock), paces_in(tmp_path, clock)
    for limiters, key in ((one, ONE), (other, OTHER)) * 30:
        clock.advance(3600)
        request(limiters, key, clock)
    assert len(key_files(tmp_path)) == 2


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


def arrivals_of_a_fleet(
    directory: Path, seed: int, lose_state: bool, processes: int
) -> dict[str, list[float]]:
    """Play an hour of processes that crash, switch scope and lose their state; return when requests of keys arrived.

    Each arrival lies at random between the sending and the answer; that of a killed process before its end.
    """
    dice = random.Random(seed)
    clock = FakeClock()
    keys = [Secret(f"key-{number}") for number in range(3)]
    arrivals: dict[str, list[float]] = {key.reveal(): [] for key in keys}
    fleet: dict[int, RateLimiters] = {}
    flying: dict[int, tuple[Secret, float]] = {}
    end = clock.monotonic() + 3600
    while clock.monotonic() < end:
        number = dice.randrange(processes)
        if number in flying:
            key, answer = flying[number]
            if clock.monotonic() < answer:
                clock.advance(dice.uniform(0, 0.5))
                continue
            del flying[number]
            fleet[number].of(key).release(answered=True)
        scope: LimitScope = dice.choice(["all", "account"])
        if number not in fleet or dice.random() < 0.03:
            if lose_state and processes == 1:
                for file in directory.iterdir():
                    file.unlink()
            fleet[number] = paces_in(directory, clock, scope)
        elif dice.random() < 0.02:
            fleet[number].configure(5, scope)
        key = dice.choice(keys)
        match fleet[number].of(key).try_acquire(TIMEOUT):
            case Wait(seconds):
                clock.advance(min(seconds, dice.uniform(0.01, 1)))
            case Permission(deadline):
                answer = min(clock.monotonic() + dice.choice([0.01, 0.3, 2, 29, 60]), deadline)
                arrived = dice.uniform(clock.monotonic(), answer)
                arrivals[key.reveal()].append(arrived)
                if dice.random() < 0.2:
                    clock.advance(max(0.0, arrived - clock.monotonic()))
                    del fleet[number]
                else:
                    flying[number] = key, answer
    return arrivals


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), lose_state=st.booleans(), processes=st.integers(1, 3))
def test_no_sliding_minute_ever_holds_more_than_five_of_a_key(
    tmp_path_factory: pytest.TempPathFactory, seed: int, lose_state: bool, processes: int
) -> None:
    arrivals = arrivals_of_a_fleet(tmp_path_factory.mktemp("state"), seed, lose_state, processes)
    assert max(most_in_60s(sorted(of_key)) for of_key in arrivals.values()) <= 5
    assert sum(len(of_key) for of_key in arrivals.values()) > 10


def test_the_pace_for_all_holds_beside_processes_that_pace_by_key(tmp_path: Path, clock: FakeClock) -> None:
    """Only what the process that paces all together sends itself is bounded then, and each key."""
    by_key = paces_in(tmp_path, clock)
    request(by_key, ONE, clock)
    limiters = paces_in(tmp_path, clock, "all")
    acquire(by_key, OTHER, clock)
    assert isinstance(limiters.of(ONE).try_acquire(TIMEOUT), Wait)
    assert (tmp_path / FILE_NAME).exists()
