"""The last good figures of each account: one immutable snapshot in memory, one file an account on disk.

A file is replaced whole or not at all, and carries a checksum: a figure that was damaged on disk is never shown.
"""

import contextlib
import hashlib
import logging
import os
import time
from pathlib import Path

import msgspec

from exporter.figures import Account, Figures, Snapshot
from exporter.secret import Secret
from exporter.state import StateDirectory

logger = logging.getLogger(__name__)

_VERSION = 1
_MAX_BYTES = 4 << 20
_LEFTOVER_AFTER = 60


class _Document(msgspec.Struct, frozen=True):
    version: int
    base_url: str
    account: str | None
    fingerprint: str
    """Tells whether the key is still the one the figures were fetched with, and is of no use for finding it."""
    figures: Figures


class _Version(msgspec.Struct, frozen=True):
    version: int


class Store:
    """Takes what the poller learns, hands out snapshots, and keeps the figures in the state directory if there is one.

    `base_url` tells figures of one API from those of another in the same directory.
    """

    def __init__(self, directory: StateDirectory | None = None) -> None:
        self.base_url = ""
        self._directory = directory
        self._snapshot: Snapshot = ()

    @property
    def snapshot(self) -> Snapshot:
        """Everything known at this moment. It never changes: a new one takes its place."""
        return self._snapshot

    def replace(self, accounts: Snapshot) -> None:
        """Start over with these accounts."""
        self._snapshot = accounts

    def publish(self, account: Account, figures_of: Secret | None = None) -> None:
        """Put an account in the place of the one with its name. New figures are kept, with the key they belong to."""
        before = next(known for known in self._snapshot if known.name == account.name)
        self._snapshot = tuple(account if known is before else known for known in self._snapshot)
        if figures_of and account.figures is not before.figures:
            self._save(account.name, account.figures, figures_of)

    def load(self, account: str | None, key: Secret) -> Figures:
        """Return the figures an earlier process kept; empty ones where none surely are this account's."""
        if not self._directory:
            return Figures()
        path = self._directory.path / _file_name(account)
        _remove_leftovers(path)
        try:
            with path.open("rb") as file:
                document = _parse(file.read(_MAX_BYTES))
        except FileNotFoundError:
            return Figures()
        except (OSError, ValueError, RecursionError) as error:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            logger.warning(
                "kept figures cannot be used: starting without", extra={"file": path, "reason": reason}
            )
            return Figures()
        salt = document.fingerprint.partition("-")[0]
        kept_for = (document.base_url, document.account, document.fingerprint)
        if kept_for != (self.base_url, account, _fingerprint(key, salt)):
            logger.warning("kept figures are of another key or API: starting without", extra={"file": path})
            return Figures()
        return document.figures

    def _save(self, account: str | None, figures: Figures, key: Secret) -> None:
        if not self._directory:
            return
        document = _Document(
            _VERSION, self.base_url, account, _fingerprint(key, os.urandom(8).hex()), figures
        )
        payload = msgspec.json.encode(document)
        name = _file_name(account)
        try:
            self._directory.make()
            _replace(self._directory.path / name, payload + b"\n" + _checksum(payload) + b"\n")
        except OSError as error:
            self._directory.failed(name, error)
        else:
            self._directory.wrote(name)


def _file_name(account: str | None) -> str:
    """Return a name that any file system takes, whatever the account is called."""
    return (
        "figures.json"
        if account is None
        else f"figures-{hashlib.sha256(account.encode()).hexdigest()[:16]}.json"
    )


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


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that after any crash there is either the old one or the new one, whole. Raises OSError."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _remove_leftovers(path: Path) -> None:
    """Remove what processes left behind that were killed while they wrote."""
    with contextlib.suppress(OSError):
        for leftover in path.parent.glob(f"{path.name}.*.tmp"):
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_AFTER:
                leftover.unlink()
