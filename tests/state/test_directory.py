"""The state directory: made when needed, its trouble said once."""

import logging
import os
from pathlib import Path

import pytest

from exporter.state.directory import StateDirectory

NO_SPACE = OSError(28, "No space left on device")


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        directory = StateDirectory(tmp_path / "a" / "b")
        directory.make()
        directory.make()
    finally:
        os.umask(before)
    assert directory.path.stat().st_mode & 0o777 == 0o700
    assert directory.writable


def test_trouble_is_said_once_and_its_end_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    directory = StateDirectory(tmp_path)
    directory.wrote("pace")
    assert not caplog.records
    for name in ("pace", "figures.json", "pace"):
        directory.failed(name, NO_SPACE)
        assert not directory.writable
    (trouble,) = caplog.records
    assert trouble.levelno == logging.ERROR
    assert vars(trouble)["file"] == "pace"
    assert vars(trouble)["reason"] == "No space left on device"
    writable = []
    for name in ("pace", "figures.json", "figures.json"):
        directory.wrote(name)
        writable.append(directory.writable)
    assert writable == [False, True, True]
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.INFO]


def test_an_error_without_a_number_has_a_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    StateDirectory(tmp_path).failed("pace", OSError("S3CR+T"))
    (trouble,) = caplog.records
    assert vars(trouble)["reason"] == "OSError"
