"""Where a key comes from, and what becomes of it while the process runs."""

import logging
import os
import re
from pathlib import Path

import pytest

from exporter.config.api_key import KeySource, parse_key, read_key
from exporter.secret import Secret, redact

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
        (b"two words", "contains whitespace"),
        (b"first key\nsecond key\n", "contains whitespace"),
        (b"S3CR3T\0K3Y", "contains an unprintable character"),
        (b"\xff\xfek\0e\0y\0", "is not UTF-8 text"),
        (b"k" * 4097, "is too long for a key file"),
    ],
    ids=lambda value: None,
)
def test_a_file_without_one_key_is_refused(file: Path, content: bytes, problem: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{problem}$"):
        KeySource(file)


QUOTES = "begins or ends with a quote: give the key alone"
VARIABLE = "is a variable that nothing has filled in: give the key itself"
BRACKETS = "has brackets around it: give the key alone"
NAME = "has a name in front of it: give the key alone"
WORD = "has a word such as Bearer in front of it: give the key alone"
END = "ends with a comma or a semicolon: give the key alone"
PLACEHOLDER = "is a placeholder: give the key itself"
SHORT = "is shorter than 8 characters, which no API key is"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"'{OLD}'", QUOTES),
        (f'"{OLD}"', QUOTES),
        (f'"{OLD}",', QUOTES),
        (f"{OLD}'", QUOTES),
        (f"“{OLD}”", QUOTES),
        (f"`{OLD}`", QUOTES),
        ("${SMSPARTNER_KEY}", VARIABLE),
        ("${SMSPARTNER_KEY:-none}", VARIABLE),
        ("$SMSPARTNER_API_KEY", VARIABLE),
        ("$(cat /run/secrets/key)", VARIABLE),
        ("{{ smspartner_key }}", VARIABLE),
        ("%SMSPARTNER_KEY%", VARIABLE),
        (f"<{OLD}>", BRACKETS),
        (f"[{OLD}]", BRACKETS),
        (f'{{"apiKey": "{OLD}"}}', BRACKETS),
        (f"SMSPARTNER_API_KEY={OLD}", NAME),
        (f"export SMSPARTNER_API_KEY={OLD}", NAME),
        (f"SMSPARTNER_API_KEY = {OLD}", NAME),
        (f"apiKey={OLD}", NAME),
        (f"api_key: {OLD}", NAME),
        (f"Authorization: Bearer {OLD}", NAME),
        (f"https://api.smspartner.fr/v1/me?apiKey={OLD}", "is a URL: give the key alone"),
        (f"Bearer {OLD}", WORD),
        (f"token {OLD}", WORD),
        (f"{OLD},", END),
        (f"{OLD};", END),
        ("…", PLACEHOLDER),
        ("xxxxxxxxxxxxxxxx", PLACEHOLDER),
        ("your-api-key", PLACEHOLDER),
        ("YOUR_KEY_HERE", PLACEHOLDER),
        ("changeme", PLACEHOLDER),
        ("smspartner_api_key", PLACEHOLDER),
        ("info", SHORT),
        ("S3CR3T-", SHORT),
    ],
    ids=ascii,
)
def test_what_came_along_with_a_key_is_named_and_never_quoted(file: Path, text: str, problem: str) -> None:
    """Sent as it is, it would be rejected, and tried again an hour later."""
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        parse_key(text)
    file.write_text(f"{text}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        read_key(file)


@pytest.mark.parametrize(
    "text",
    ["0123456789abcdef0123456789abcdef01234567", "c2VjcmV0IGtleQ==", "a+b=c/d%e", "S3CR3T-K", "k'e\"y$1)(<"],
)
def test_a_key_may_have_any_printable_characters_inside(text: str) -> None:
    assert parse_key(f" {text}\n").reveal() == text


def test_a_key_that_is_refused_stays_in_the_log(file: Path) -> None:
    """A short one would be taken out of every line."""
    with pytest.raises(ValueError, match="shorter"):
        parse_key("listen")
    assert redact("listening") == "listening"


def test_a_key_file_that_is_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match=r"^is not a regular file \(a pipe, for example\), so"):
        read_key(pipe)


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
        "contains whitespace",
        "no such file or directory",
    ]
    assert {vars(record)["file"] for record in caplog.records} == {file}
    assert "half" not in caplog.text
