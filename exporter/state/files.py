"""Figures kept in the state directory: one file an account, of one key and one API.

A file is replaced whole or not at all, and carries a checksum: a figure that was damaged on disk is never shown.
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

_VERSION = 1
_MAX_BYTES = 4 << 20
_LEFTOVER_AFTER = 60
_T = TypeVar("_T")


class _Document(msgspec.Struct, frozen=True):
    version: int
    base_url: str
    account: str | None
    fingerprint: str
    """Tells whether the key is still the one the figures were fetched with, and is of no use for finding it."""
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
        if directory:
            _remove_leftovers(directory.path, prefix)

    def load(self, account: str | None, key: Secret) -> _T | None:
        """Return the figures an earlier process kept; None where none surely are this account's."""
        if not self._directory:
            return None
        path = self._directory.path / self._file_name(account)
        try:
            document = _parse(_read(path))
            figures = msgspec.json.decode(document.figures, type=self._kind)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            logger.warning(
                "kept figures cannot be used: starting without", extra={"file": path, "reason": reason}
            )
            return None
        salt = document.fingerprint.partition("-")[0]
        kept_for = (document.base_url, document.account, document.fingerprint)
        if kept_for != (self.base_url, account, _fingerprint(key, salt)):
            logger.warning("kept figures are of another key or API: starting without", extra={"file": path})
            return None
        return figures

    def save(self, account: str | None, figures: _T, key: Secret) -> bool:
        """Keep the figures. Return whether they are kept; the directory notes where it cannot be written."""
        if not self._directory:
            return False
        document = _Document(
            _VERSION,
            self.base_url,
            account,
            _fingerprint(key, os.urandom(8).hex()),
            msgspec.Raw(msgspec.json.encode(figures)),
        )
        payload = msgspec.json.encode(document)
        name = self._file_name(account)
        try:
            self._directory.make()
            replace_file(self._directory.path / name, payload + b"\n" + _checksum(payload) + b"\n")
        except OSError as error:
            self._directory.failed(name, error)
            return False
        self._directory.wrote(name)
        return True

    def forget(self, account: str | None) -> None:
        """Note that nothing is kept any more for an account."""
        if self._directory:
            self._directory.forget(self._file_name(account))

    def _file_name(self, account: str | None) -> str:
        """Return a name that any file system takes, whatever the account is called."""
        if account is None:
            return f"{self._prefix}.json"
        return f"{self._prefix}-{hashlib.sha256(account.encode()).hexdigest()[:16]}.json"


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


def _read(path: Path) -> bytes:
    """Read a file. Whatever else is in its place is refused: a pipe could be waited on for ever."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        return file.read(_MAX_BYTES)


def _remove_leftovers(directory: Path, prefix: str) -> None:
    """Remove what processes left behind that were killed while they wrote."""
    with contextlib.suppress(OSError):
        for leftover in directory.glob(f"{prefix}*.json.*.tmp"):
            if abs(time.time() - leftover.stat().st_mtime) > _LEFTOVER_AFTER:  # the clock may have been ahead
                leftover.unlink()


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(payload).hexdigest().encode()


def _parse(content: bytes) -> _Document:
    payload, _, checksum = content.rstrip(b"\n").rpartition(b"\n")
    if checksum != _checksum(payload):
        raise ValueError("it is damaged")
    version = msgspec.json.decode(payload, type=_Version).version
    if version != _VERSION:
        raise ValueError(f"it has version {version}, known is {_VERSION}")
    return msgspec.json.decode(payload, type=_Document)


def _fingerprint(key: Secret, salt: str) -> str:
    return f"{salt}-{hashlib.sha256(f'{salt}{key.reveal()}'.encode()).hexdigest()[:16]}"
