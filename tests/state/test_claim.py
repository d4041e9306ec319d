"""One machine at a time uses a state directory, and no kill or reboot leaves a claim behind."""

import fcntl
import os
import socket
from pathlib import Path

import pytest

from exporter.state.directory import DirectoryInUseError, StateDirectory
from tests.support.obstacles import OBSTACLES, others_in


def claim(directory: StateDirectory, boot: str = "this-boot") -> int:
    return directory.claim(boot, "all", lambda: None)


def test_processes_of_one_machine_share_a_directory(tmp_path: Path) -> None:
    one, other = StateDirectory(tmp_path), StateDirectory(tmp_path)
    for directory in (one, other, one, other):
        assert claim(directory) == 1


def test_another_machine_is_refused_for_as_long_as_the_first_one_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "first\x1b")
    one, one_more = StateDirectory(tmp_path), StateDirectory(tmp_path)
    claim(one)
    claim(one_more)
    other = StateDirectory(tmp_path)
    with pytest.raises(DirectoryInUseError) as refused:
        claim(other, "another-boot")
    assert str(refused.value) == f"{tmp_path}: this state directory is in use by another machine: first\\x1b"
    claim(one)
    del one
    with pytest.raises(DirectoryInUseError):
        claim(other, "another-boot")
    del one_more
    claim(other, "another-boot")
    with pytest.raises(DirectoryInUseError):
        claim(StateDirectory(tmp_path))


def test_after_a_reboot_the_directory_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "a-long-name")
    claim(StateDirectory(tmp_path), "boot-before")
    monkeypatch.setattr(socket, "gethostname", lambda: "short")
    claim(StateDirectory(tmp_path), "boot-after")
    assert (tmp_path / "machine").read_text() == "boot-after short\n"


def test_a_directory_that_was_removed_is_claimed_and_prepared_anew(tmp_path: Path) -> None:
    state, prepared = StateDirectory(tmp_path / "state"), []
    numbers = [state.claim("this-boot", "all", lambda: prepared.append("first")) for _ in range(2)]
    state.path.rename(tmp_path / "elsewhere")
    numbers += [state.claim("this-boot", "all", lambda: prepared.append("anew")) for _ in range(2)]
    assert numbers == [1, 1, 2, 2]
    assert prepared == ["first", "anew"]


def test_a_preparation_that_fails_is_made_up_for(tmp_path: Path) -> None:
    state, prepared = StateDirectory(tmp_path), []

    def fail() -> None:
        raise OSError("no")

    for layout in ("all", "account"):
        with pytest.raises(OSError, match="no"):
            state.claim("this-boot", layout, fail)
        for _ in range(2):
            state.claim("this-boot", layout, lambda: prepared.append(""))
    assert len(prepared) == 2


def test_a_claim_that_another_process_is_about_to_make_is_tried_again(tmp_path: Path) -> None:
    with (tmp_path / "machine").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            claim(StateDirectory(tmp_path))
    claim(StateDirectory(tmp_path))


@pytest.mark.parametrize("what", OBSTACLES)
def test_what_is_in_the_way_of_the_claim_is_left_alone(tmp_path: Path, what: str) -> None:
    path = tmp_path / "machine"
    OBSTACLES[what](path)
    before = others_in(path)
    descriptors = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match=r"in its place|second name"):
        claim(StateDirectory(tmp_path))
    assert others_in(path) == before
    assert os.listdir("/proc/self/fd") == descriptors
