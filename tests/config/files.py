"""Configurations as files of their own, and key files beside them."""

from pathlib import Path

import pytest

from exporter.config import loader
from exporter.config.loader import ConfigError
from exporter.config.settings import Settings

KEY = "S3CR3T-K3Y"
KEY_FILES = {
    "plain": f"{KEY}\n".encode(),
    "bom": f"\ufeff{KEY}\r\n".encode(),
    "empty": b"\n",
    "latin": f"{KEY}é".encode("latin-1"),
    "too-long": KEY.encode() * 410,
    "two-words": f"{KEY} {KEY}\n".encode(),
}


def written(directory: Path, content: str | bytes) -> Path:
    """Write a configuration, and the key files that it may name, into a directory. Return its path."""
    keys = directory / "keys"
    keys.mkdir(exist_ok=True)
    for name, key in KEY_FILES.items():
        (keys / name).write_bytes(key)
    path = directory / "config.yml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def accounts_in_yaml(count: int) -> str:
    """Return a configuration of so many accounts."""
    keys = (KEY, *(f"{KEY}-{number}" for number in range(1, count)))
    return "accounts:\n" + "".join(
        f"  - {{name: account {number}, api_key: {key}}}\n" for number, key in enumerate(keys)
    )


def complaint(path: Path | None, **environment: str) -> str:
    """Return why a configuration is refused."""
    with pytest.raises(ConfigError) as caught:
        loader.load(path, environment)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


def settings_from(directory: Path, content: str | bytes, **environment: str) -> Settings:
    """Write a configuration into a directory and load it."""
    return loader.load(written(directory, content), environment)


def assert_safe(message: str) -> None:
    """Check that a message is one line without any three characters of the key in a row."""
    assert message.isprintable()
    parts = (KEY[start : start + 3] for start in range(len(KEY) - 2))
    assert not [part for part in parts if part in message]
