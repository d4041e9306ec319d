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
from tests.support.obstacles import OBSTACLES, others_in, remove_obstacle

KEY = Secret("S3CR+T/key")
OTHER_KEY = Secret("0TH3R+key")
URL = "https://api.example/v1"
FIGURES = Figures(
    history={"2021-10": MonthFigures(49.174, 1210), "2021-11": MonthFigures(67.674, 1409)},
    current_month={"2021-12": MonthFigures(0.1 + 0.2, 3)},
    credits=Credits(10225.119, "EUR", {"sms": 269082, "hlr": 2045023}, None),
    fetched={Query.STATISTICS: 1637000000.123456, Query.CREDITS: 1637000025.0},
)
NEWEST = FIGURES.with_history({"2022-02": MonthFigures(3.0, 4)}, "2022-02", 1645000000.0)
MORE = FIGURES.with_history({"2022-01": MonthFigures(1.0, 2)}, "2022-01", 1643000000.0)


def account(name: str | None = None, figures: Figures = Figures()) -> Account:  # noqa: B008
    return Account(name, None, figures, {}, {})


def store(path: Path, *names: str | None, base_url: str = URL) -> Store:
    """A store as a new process has it."""
    new = Store(StateDirectory(path))
    new.use_api(base_url)
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
    assert len(list((tmp_path / "state").iterdir())) == 1


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
    file = kept(tmp_path)
    for spelling in ("S3CR", hashlib.sha256(KEY.reveal().encode()).hexdigest()[:8]):
        assert spelling not in file.read_text() + file.name


def test_nothing_was_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert store(tmp_path / "missing").load(None, KEY) == Figures()
    assert not caplog.records


def unused(
    one: Store, caplog: pytest.LogCaptureFixture, name: str | None = None, level: int = logging.WARNING
) -> None:
    """Loading gives nothing, and one line in the log."""
    caplog.clear()
    assert one.load(name, KEY) == Figures()
    (line,) = caplog.records
    assert line.levelno == level
    assert line.exc_info is None


def test_figures_of_another_account_key_or_api_are_not_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = kept(tmp_path)
    assert store(tmp_path).load(None, OTHER_KEY) == Figures()
    assert store(tmp_path, base_url="http://127.0.0.1:9/v1").load(None, KEY) == Figures()
    of_a = kept(tmp_path, "a")
    os.replace(file, of_a)
    unused(store(tmp_path), caplog, "a")


def test_exporters_with_other_keys_or_apis_keep_their_figures_beside_each_other(tmp_path: Path) -> None:
    other_url = "http://127.0.0.1:9/v1"
    kept(tmp_path)
    publish(store(tmp_path), account(None, MORE), OTHER_KEY)
    publish(store(tmp_path, base_url=other_url), account(None, NEWEST), KEY)
    assert store(tmp_path).load(None, KEY) == FIGURES
    assert store(tmp_path).load(None, OTHER_KEY) == MORE
    assert store(tmp_path, base_url=other_url).load(None, KEY) == NEWEST


@pytest.mark.parametrize("then", ["another key", "another API"])
def test_trouble_with_a_file_ends_with_what_it_is_for(tmp_path: Path, then: str) -> None:
    file = kept(tmp_path)
    file.unlink()
    file.mkdir()
    directory = StateDirectory(tmp_path)
    one = Store(directory)
    one.use_api(URL)
    one.replace((account(),))
    publish(one, account(None, FIGURES), KEY)
    writable = [directory.writable]
    if then == "another API":
        one.use_api("http://127.0.0.1:9/v1")
        one.replace((account(),))
    publish(one, account(None, MORE), OTHER_KEY if then == "another key" else KEY)
    assert [*writable, directory.writable] == [False, True]


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
        document | {"version": 3},
        document | {"version": 3, "figures": "elsewhere"},
        document | {"figures": {"history": {"2021-10": {"cost": "49", "sent": 1}}}},
        document | {"figures": []},
        {"version": 2},
        {},
        [],
        None,
    )
    for changed in others:
        file.write_bytes(signed(json.dumps(changed).encode()))
        unused(one, caplog)
    nested = b'{"version": 2, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for content in (b"", b"\xff\xfe", nested, b"NaN"):
        file.write_bytes(signed(content))
        unused(one, caplog)


@pytest.mark.parametrize("what", OBSTACLES)
def test_what_is_in_the_way_is_neither_followed_nor_written_and_the_log_tells_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    caplog.set_level(logging.INFO)
    file = kept(tmp_path)
    file.unlink()
    OBSTACLES[what](file)
    directory = StateDirectory(tmp_path)
    one = Store(directory)
    one.use_api(URL)
    one.replace((account(),))
    before = others_in(file)
    unused(one, caplog, level=logging.ERROR)
    publish(one, account(None, FIGURES), KEY)
    publish(one, account(None, MORE), KEY)
    assert one.snapshot[0].figures == MORE
    writable = [directory.writable]
    (line,) = caplog.records
    assert vars(line)["file"] == file.name
    assert "in its place" in vars(line)["reason"] or "second name" in vars(line)["reason"]
    assert others_in(file) == before, "nothing half-written stays"
    remove_obstacle(file)
    publish(one, account(None, FIGURES), KEY)
    assert [*writable, directory.writable] == [False, True]
    assert store(tmp_path).load(None, KEY) == FIGURES


def test_a_directory_that_cannot_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    blocking = tmp_path / "file"
    blocking.write_text("in the way")
    directory = StateDirectory(blocking / "state")
    one = Store(directory)
    one.replace((account(),))
    unused(one, caplog, level=logging.ERROR)
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
    one.use_api("http://other.example")
    one.replace((account(),))
    one.publish(account())
    assert not (tmp_path / "state").exists()


def test_a_pipe_that_takes_the_file_s_place_after_the_check_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = kept(tmp_path)
    file.unlink()
    os.mkfifo(file)
    monkeypatch.setattr(StateDirectory, "check", lambda *_: None)
    unused(store(tmp_path), caplog, level=logging.ERROR)


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


def test_figures_that_nobody_wrote_for_more_than_a_year_go(tmp_path: Path) -> None:
    unused_file, file = kept(tmp_path, "a"), kept(tmp_path)
    link = tmp_path / "figures-0123456789abcdef.json"
    link.symlink_to(unused_file.name)
    os.utime(unused_file, (time.time() - 401 * 86_400,) * 2)
    os.utime(file, (time.time() - 399 * 86_400,) * 2)
    store(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([file, link])


def test_any_figures_survive(tmp_path: Path) -> None:
    names = [f"{year}-{m:02d}" for year in range(2000, 2100) for m in range(1, 13)]
    many = Figures(history={name: MonthFigures(number / 7, number) for number, name in enumerate(names)})
    kept(tmp_path, figures=many)
    assert store(tmp_path).load(None, KEY) == many
    assert msgspec.json.encode(store(tmp_path).load(None, KEY)) == msgspec.json.encode(many)
