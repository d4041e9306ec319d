"""Figures kept in the state directory: one file for each account, key and API.

The name of a file tells them apart, so that exporters that share a directory do not overwrite each other's figures. A
file is replaced whole or not at all, and carries a checksum: a figure that was damaged on disk is never shown.
"""

import contextlib
import hashlib
import logging
import os
import secrets
import stat
import time
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from exporter.secret import Secret
from exporter.state.directory import StateDirectory

logger = logging.getLogger(__name__)

_VERSION = 2
_MAX_BYTES = 4 << 20
_HALF_WRITTEN_FOR = 60
_UNUSED_FOR = 400 * 86_400
_T = TypeVar("_T")


class _Document(msgspec.Struct, frozen=True):
    version: int
    belongs_to: str
    figures: msgspec.Raw


class _Version(msgspec.Struct, frozen=True):
    version: int


class FiguresFiles(Generic[_T]):
    """The files whose names begin with `prefix`, each with figures of one `kind`; none without a directory.

    `base_url` tells figures of one API from those of another in the same directory.
    """

    def __init__(
        self, directory: StateDirectory | None, prefix: str, kind: type[_T], base_url: str = ""
    ) -> None:
        self.base_url = base_url
        self._directory = directory
        self._prefix = prefix
        self._kind = kind
        self._names: dict[str | None, str] = {}
        """The file that was used last for each account."""
        if directory:
            _remove_leftovers(directory.path, prefix)

    def load(self, account: str | None, key: Secret) -> _T | None:
        """Return the figures an earlier process kept; None unless they surely belong to this account, key and API."""
        if not self._directory:
            return None
        belongs_to = self._belongs_to(account, key)
        name = self._use(account, belongs_to)
        try:
            document = _parse(_read(self._directory, name))
            figures = msgspec.json.decode(document.figures, type=self._kind)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._directory.failed(name, error)
            return None
        except (ValueError, RecursionError) as error:
            self._warn(name, str(error))
            return None
        if document.belongs_to != belongs_to:
            self._warn(name, "it belongs to another account, key or API")
            return None
        return figures

    def save(self, account: str | None, figures: _T, key: Secret) -> bool:
        """Keep the figures. Return whether they are on disk; if not, the log says why."""
        if not self._directory:
            return False
        belongs_to = self._belongs_to(account, key)
        name = self._use(account, belongs_to)
        payload = msgspec.json.encode(
            _Document(_VERSION, belongs_to, msgspec.Raw(msgspec.json.encode(figures)))
        )
        try:
            self._directory.make()
            self._directory.check(name)
            replace_file(self._directory.path / name, payload + b"\n" + _checksum(payload) + b"\n")
        except OSError as error:
            self._directory.failed(name, error)
            return False
        self._directory.wrote(name)
        return True

    def forget(self, account: str | None) -> None:
        """Note that nothing is written any more for an account."""
        if self._directory and account in self._names:
            self._directory.forget(self._names.pop(account))

    def _belongs_to(self, account: str | None, key: Secret) -> str:
        """Return an identifier of account, key and API that does not reveal the key."""
        return hashlib.sha256(msgspec.json.encode((self.base_url, account, key.reveal()))).hexdigest()

    def _use(self, account: str | None, belongs_to: str) -> str:
        """Return the name of an account's file, and forget the one of the key before."""
        name = f"{self._prefix}-{belongs_to[:16]}.json"
        if self._names.get(account) != name:
            self.forget(account)
            self._names[account] = name
        return name

    def _warn(self, name: str, reason: str) -> None:
        logger.warning(
            "kept figures cannot be used: starting without them", extra={"file": name, "reason": reason}
        )


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file so that after any crash there is either the old one or the new one, whole. Raises OSError."""
    # Not the process's number: in two containers that share the directory, both are number 1.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb"
        ) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _read(directory: StateDirectory, name: str) -> bytes:
    with open(directory.open(name, os.O_RDONLY), "rb") as file:
        return file.read(_MAX_BYTES)


def _remove_leftovers(directory: Path, prefix: str) -> None:
    """Remove half-written files of killed processes, and figures of keys that are not in use any more."""
    now = time.time()
    with contextlib.suppress(OSError):
        for path in directory.glob(f"{prefix}*.json.*.tmp"):
            if abs(now - path.lstat().st_mtime) > _HALF_WRITTEN_FOR:  # the clock may have been ahead
                path.unlink()
        for path in directory.glob(f"{prefix}*.json"):
            if stat.S_ISREG(path.lstat().st_mode) and now - path.lstat().st_mtime > _UNUSED_FOR:
                path.unlink()


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(payload).hexdigest().encode()


def _parse(content: bytes) -> _Document:
    payload, _, checksum = content.rstrip(b"\n").rpartition(b"\n")
    if checksum != _checksum(payload):
        raise ValueError("it is damaged")
    version = msgspec.json.decode(payload, type=_Version).version
    if version != _VERSION:
        raise ValueError(f"it has version {version}; this exporter reads version {_VERSION}")
    return msgspec.json.decode(payload, type=_Document)
