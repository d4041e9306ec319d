"""Where a key comes from, and what becomes of it while the process runs."""

import logging
from pathlib import Path

import pytest

from exporter.config.api_key import KeySource, read_key
from exporter.secret import Secret

OLD, NEW = "0LD-K3Y-S3CR3T", "N3W-K3Y-S3CR3T"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(OLD)
    return path


@pytest.mark.parametrize(
    "content", [OLD, f"{OLD}\n", f" {OLD}\r\n\n", f"\ufeff{OLD}\n", f"\t{OLD}\t"], ids=ascii
)
def test_whitespace_around_a_key_is_ignored(file: Path, content: str) -> None:
    file.write_text(content, encoding="utf-8", newline="")
    assert read_key(file).reveal() == OLD


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"two words", "has white space inside"),
        (b"one\ntwo\n", "has white space inside"),
        (b"nul\0", "has an unprintable character inside"),
        (b"\xff\xfek\0e\0y\0", "is not UTF-8 text"),
        (b"k" * 4097, "is too long for a key file"),
    ],
    ids=lambda value: None,
)
def test_a_file_without_one_key_is_refused(file: Path, content: bytes, problem: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{problem}$"):
        KeySource(file)


def test_a_key_given_as_a_value_stays() -> None:
    source = KeySource(Secret(OLD))
    assert source.read().reveal() == source.read().reveal() == OLD


def test_a_rotated_key_is_read_from_its_file(file: Path) -> None:
    source = KeySource(file)
    file.write_text(NEW)
    assert source.read().reveal() == NEW


def test_the_last_key_is_used_while_its_file_is_unusable_which_is_logged_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = KeySource(file)
    file.write_text(NEW)
    assert source.read().reveal() == NEW
    file.unlink()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert source.read().reveal() == NEW
        file.write_text("half a\nkey")
        for _ in range(3):
            assert source.read().reveal() == NEW
        file.write_text(OLD)
        assert source.read().reveal() == OLD
        file.unlink()
        source.read()
    assert [vars(record)["reason"] for record in caplog.records] == [
        "no such file or directory",
        "has white space inside",
        "no such file or directory",
    ]
    assert {vars(record)["file"] for record in caplog.records} == {file}
    assert "half" not in caplog.text
