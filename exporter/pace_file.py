"""The file through which processes share the instant of the next permitted request.

One short line, overwritten in place under ``flock``: that is atomic to a kill, needs no second file and goes on
working on a full disk. The line names the boot whose monotonic clock it speaks of, and ends in a checksum.
"""

import contextlib
import fcntl
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from exporter.state import StateDirectory

FILE_NAME = "pace"
_VERSION = "pace-1"
_MAX_BYTES = 256


class Busy(Exception):  # noqa: N818 - it is no error, only not now
    """Another process holds the lock at this moment."""


class LockedPaceFile:
    """The pace file while this process holds its lock."""

    def __init__(self, descriptor: int, directory: StateDirectory, boot: str) -> None:
        self._descriptor = descriptor
        self._directory = directory
        self._boot = boot

    def read(self) -> float | None:
        """Return the instant, or None where the file says nothing that holds for this boot."""
        try:
            line = os.pread(self._descriptor, _MAX_BYTES, 0).split(b"\n")[0].decode("ascii")
            text, _, checksum = line.rpartition(" ")
            version, boot, instant = text.split(" ")
            if int(checksum, 16) == zlib.crc32(text.encode()) and (version, boot) == (_VERSION, self._boot):
                return float(instant)
        except (OSError, ValueError):
            pass
        return None

    def write(self, instant: float) -> bool:
        """Write the instant. Return whether it now stands in the file."""
        text = f"{_VERSION} {self._boot} {instant:020.6f}"
        line = f"{text} {zlib.crc32(text.encode()):08x}\n".encode("ascii")
        try:
            written = os.pwrite(self._descriptor, line, 0) == len(line)
        except OSError as error:
            self._directory.failed(FILE_NAME, error)
            return False
        if written:
            self._directory.wrote(FILE_NAME)
        return written


class PaceFile:
    """The pace file of a state directory."""

    def __init__(self, directory: StateDirectory, boot: str) -> None:
        self._directory = directory
        self._boot = boot

    @contextlib.contextmanager
    def locked(self) -> Iterator[LockedPaceFile | None]:
        """Hold the lock; give None where there can be no such file. Raises Busy, and never waits."""
        try:
            descriptor = self._open()
        except OSError as error:
            self._directory.failed(FILE_NAME, error)
            yield None
            return
        try:
            yield LockedPaceFile(descriptor, self._directory, self._boot)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        path = self._directory.path / FILE_NAME
        self._directory.make()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _check_still_at(path, descriptor)
        except BlockingIOError:
            os.close(descriptor)
            raise Busy from None
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def _check_still_at(path: Path, descriptor: int) -> None:
    """Refuse a file that was removed before it was locked: others no longer find it. Raises BlockingIOError."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.stat(path), os.fstat(descriptor)):
            return
    raise BlockingIOError
