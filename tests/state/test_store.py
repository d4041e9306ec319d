"""Figures survive the process, or are not shown at all."""

import hashlib
import json
import logging
import os
import time
from pathlib import Path

import msgspec
import pytest

from exporter.model import Account, Credits, Figures, MonthFigures, Query
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from exporter.state.store import Store

KEY = Secret("S3CR+T/key")
OTHER_KEY = Secret("0TH3R+key")
URL = "https://api.example/v1"
FIGURES = Figures(
    history={"2021-10": MonthFigures(49.174, 1210), "2021-11": MonthFigures(67.674, 1409)},
    current_month={"2021-12": MonthFigures(0.1 + 0.2, 3)},
    credits=Credits(10225.119, "EUR", {"sms": 269082, "hlr": 2045023}, None),
    fetched={Query.STATISTICS: 1637000000.123456, Query.CREDITS: 1637000025.0},
)
MORE = FIGURES.with_history({"2022-01": MonthFigures(1.0, 2)}, "2022-01", 1643000000.0)


def account(name: str | None = None, figures: Figures = Figures()) -> Account:  # noqa: B008
    return Account(name, None, figures, {}, {})


def store(path: Path, *names: str | None, base_url: str = URL) -> Store:
    """A store as a new process has it."""
    new = Store(StateDirectory(path))
    new.base_url = base_url
    new.replace(tuple(account(name) for name in names or (None,)))
    return new


def publish(to: Store, published: Account, key: Secret) -> None:
    """Publish figures that a key brought, and write them."""
    to.publish(published, key)
    to.save()


def kept(path: Path, name: str | None = None, figures: Figures = FIGURES) -> Path:
    """Keep figures; return the file they are in."""
    publish(store(path, name), account(name, figures), KEY)
    return max(path.glob("figures*"), key=lambda file: file.stat().st_mtime_ns)


# --- in memory


def test_a_snapshot_never_changes(tmp_path: Path) -> None:
    one = store(tmp_path, "a", "b", "c")
    before = one.snapshot
    publish(one, account("b", FIGURES), KEY)
    after = one.snapshot
    publish(one, account("b", MORE), KEY)
    assert [known.figures for known in before] == [Figures(), Figures(), Figures()]
    assert [known.figures for known in after] == [Figures(), FIGURES, Figures()]
    assert [known.name for known in one.snapshot] == ["a", "b", "c"]
    assert one.snapshot[1].figures == MORE
    assert (one.snapshot[0], one.snapshot[2]) == (before[0], before[2])


def test_without_a_directory_nothing_is_kept() -> None:
    one = Store()
    one.replace((account(),))
    publish(one, account(None, FIGURES), KEY)
    assert one.snapshot[0].figures == FIGURES
    assert one.load(None, KEY) == Figures()


def test_only_new_figures_are_written(tmp_path: Path) -> None:
    one = store(tmp_path / "state")
    publish(one, account(), KEY)
    one.publish(account(None, FIGURES))
    publish(one, account(None, FIGURES), KEY)
    assert not (tmp_path / "state").exists()
    publish(one, account(None, MORE), KEY)
    assert [file.name for file in (tmp_path / "state").iterdir()] == ["figures.json"]


# --- on disk


@pytest.mark.parametrize("name", [None, "marketing", "../../etc/passwd", "x" * 64, "é/\\\u2028", "figures"])
def test_figures_survive_the_process(tmp_path: Path, name: str | None) -> None:
    file = kept(tmp_path, name)
    assert store(tmp_path, name).load(name, KEY) == FIGURES
    assert file.parent == tmp_path
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 1


def test_accounts_are_kept_apart(tmp_path: Path) -> None:
    kept(tmp_path)
    kept(tmp_path, "a", MORE)
    kept(tmp_path, "b", Figures().with_credits(Credits(1, None, {}, None), 1))
    assert store(tmp_path).load(None, KEY) == FIGURES
    assert store(tmp_path).load("a", KEY) == MORE
    assert store(tmp_path).load("b", KEY).months == {}
    assert store(tmp_path).load("c", KEY) == Figures()


def test_the_newest_figures_take_the_place_of_the_old(tmp_path: Path) -> None:
    kept(tmp_path)
    kept(tmp_path, figures=MORE)
    assert store(tmp_path).load(None, KEY) == MORE


def test_the_key_is_not_kept(tmp_path: Path) -> None:
    content = kept(tmp_path).read_bytes()
    for spelling in ("S3CR", hashlib.sha256(KEY.reveal().encode()).hexdigest()[:8]):
        assert spelling.encode() not in content
    assert kept(tmp_path).read_bytes() != content, "the fingerprint is salted anew"


def test_nothing_was_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert store(tmp_path / "missing").load(None, KEY) == Figures()
    assert not caplog.records


def unused(one: Store, caplog: pytest.LogCaptureFixture, name: str | None = None, key: Secret = KEY) -> None:
    """Loading gives nothing, and one warning."""
    caplog.clear()
    assert one.load(name, key) == Figures()
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert warning.exc_info is None


def test_figures_of_another_key_or_api_or_account(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = kept(tmp_path)
    unused(store(tmp_path), caplog, key=OTHER_KEY)
    unused(store(tmp_path, base_url="http://127.0.0.1:9/v1"), caplog)
    of_a = kept(tmp_path, "a")
    os.replace(file, of_a)
    unused(store(tmp_path), caplog, "a")


def test_every_damaged_byte_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = kept(tmp_path)
    content = file.read_bytes()
    one = store(tmp_path)
    for position, byte in enumerate(content[:-1]):  # the last one is a line break that means nothing
        for damaged in (byte ^ 1, byte ^ 0x80, 0, 10):
            if damaged != byte:
                file.write_bytes(content[:position] + bytes([damaged]) + content[position + 1 :])
                unused(one, caplog)
    file.write_bytes(content)
    assert one.load(None, KEY) == FIGURES


def test_every_lost_end_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = kept(tmp_path)
    content = file.read_bytes()
    one = store(tmp_path)
    for length in range(len(content) - 1):
        file.write_bytes(content[:length])
        unused(one, caplog)
    file.write_bytes(content * 2)
    unused(one, caplog)
    file.write_bytes(bytes(5 << 20))
    unused(one, caplog)


def signed(payload: bytes) -> bytes:
    return payload + b"\n" + hashlib.sha256(payload).hexdigest().encode() + b"\n"


def test_files_of_other_versions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = kept(tmp_path)
    payload = file.read_bytes().splitlines()[0]
    document = json.loads(payload)
    one = store(tmp_path)
    file.write_bytes(signed(payload))
    assert one.load(None, KEY) == FIGURES
    others: tuple[object, ...] = (
        document | {"version": 2},
        document | {"version": 2, "figures": "elsewhere"},
        document | {"figures": {"history": {"2021-10": {"cost": "49", "sent": 1}}}},
        document | {"figures": []},
        {"version": 1},
        {},
        [],
        None,
    )
    for changed in others:
        file.write_bytes(signed(json.dumps(changed).encode()))
        unused(one, caplog)
    nested = b'{"version": 1, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for content in (b"", b"\xff\xfe", nested, b"NaN"):
        file.write_bytes(signed(content))
        unused(one, caplog)


def test_a_directory_in_place_of_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = kept(tmp_path)
    file.unlink()
    file.mkdir()
    one = store(tmp_path)
    unused(one, caplog)
    caplog.clear()
    publish(one, account(None, FIGURES), KEY)
    assert one.snapshot[0].figures == FIGURES
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert list(tmp_path.iterdir()) == [file], "nothing half-written stays"


def test_a_directory_that_cannot_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    blocking = tmp_path / "file"
    blocking.write_text("in the way")
    directory = StateDirectory(blocking / "state")
    one = Store(directory)
    one.replace((account(),))
    unused(one, caplog)
    caplog.clear()
    for figures in (FIGURES, MORE, FIGURES):
        publish(one, account(None, figures), KEY)
        assert one.snapshot[0].figures == figures
        assert not directory.writable
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    blocking.unlink()
    for figures in (MORE, FIGURES):
        publish(one, account(None, figures), KEY)
        assert directory.writable
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.INFO]
    assert Store(directory).snapshot == ()
    assert one.load(None, KEY) == FIGURES


def test_figures_that_could_not_be_written_are_written_by_the_next_save(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    one = store(tmp_path / "state", "a", "b")
    for name in "ab":
        publish(one, account(name, FIGURES), KEY)
    (tmp_path / "state").unlink()
    one.publish(account("a", FIGURES))
    one.save()
    for name in "ab":
        assert store(tmp_path / "state", name).load(name, KEY) == FIGURES


def test_the_trouble_of_an_account_goes_with_it(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    one = Store(directory)
    one.replace((account("a"), account("b")))
    publish(one, account("a", FIGURES), KEY)
    (file,) = tmp_path.iterdir()
    file.unlink()
    file.mkdir()
    publish(one, account("a", MORE), KEY)
    writable = [directory.writable]
    one.replace((account("b"),))
    writable.append(directory.writable)
    publish(one, account("b", FIGURES), KEY)
    writable.append(directory.writable)
    assert writable == [False, True, True]


def test_figures_of_an_api_that_is_not_asked_any_more_are_not_kept(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    one = store(tmp_path / "state")
    publish(one, account(None, FIGURES), KEY)
    (tmp_path / "state").unlink()
    one.base_url = "http://other.example"
    one.replace((account(),))
    one.publish(account())
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("with_a_writer", [False, True])
def test_a_pipe_in_place_of_the_file_is_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, with_a_writer: bool
) -> None:
    file = kept(tmp_path)
    file.unlink()
    os.mkfifo(file)
    writer = os.open(file, os.O_RDWR) if with_a_writer else None
    unused(store(tmp_path), caplog)
    if writer:
        os.close(writer)
    assert kept(tmp_path).is_file()
    assert store(tmp_path).load(None, KEY) == FIGURES


def test_processes_of_the_same_number_write_different_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced: list[str] = []
    monkeypatch.setattr(os, "replace", lambda temporary, _: replaced.append(str(temporary)))
    for _ in range(2):
        publish(store(tmp_path), account(None, FIGURES), KEY)
    assert len(set(replaced)) == 2


def test_what_a_killed_process_left_behind_goes(tmp_path: Path) -> None:
    file = kept(tmp_path)
    old, new, foreign = (
        tmp_path / name for name in (f"{file.name}.1.tmp", f"{file.name}.2.tmp", "other.3.tmp")
    )
    for leftover in (old, new, foreign):
        leftover.write_text("half of it")
    by_a_clock_that_was_ahead = tmp_path / f"{file.name}.4.tmp"
    for leftover, since in ((old, -3600), (foreign, -3600), (by_a_clock_that_was_ahead, 3600)):
        leftover.write_text("half of it")
        os.utime(leftover, (time.time() + since,) * 2)
    assert store(tmp_path).load(None, KEY) == FIGURES
    assert sorted(tmp_path.iterdir()) == sorted([file, new, foreign]), "the new one is still being written"


def test_any_figures_survive(tmp_path: Path) -> None:
    names = [f"{year}-{m:02d}" for year in range(2000, 2100) for m in range(1, 13)]
    many = Figures(history={name: MonthFigures(number / 7, number) for number, name in enumerate(names)})
    kept(tmp_path, figures=many)
    assert store(tmp_path).load(None, KEY) == many
    assert msgspec.json.encode(store(tmp_path).load(None, KEY)) == msgspec.json.encode(many)
