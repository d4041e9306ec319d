"""The file through which processes share the instant of the next permitted request.

One short line, overwritten in place under ``flock``: that is atomic to a kill, needs no second file, and goes on
working on a full disk. The line names the boot whose monotonic clock it speaks of, and ends in a checksum.
"""

import contextlib
import errno
import fcntl
import os
import zlib
from collections.abc import Iterator

from exporter.state.directory import StateDirectory

FILE_NAME = "pace"
KEY_FILE_PREFIX = "pace-"
_VERSION = "pace-1"
_MAX_BYTES = 256


class LockBusyError(Exception):
    """Another process holds the lock at this moment."""


class HeldLockFile:
    """A lock file while this process holds its lock."""

    def __init__(self, descriptor: int, directory: StateDirectory, boot: str, name: str) -> None:
        self._descriptor = descriptor
        self._directory = directory
        self._boot = boot
        self._name = name

    def read(self) -> float | None:
        """Return the stored instant, or None if the file holds none of this boot."""
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
        """Store the instant. Return whether it is stored."""
        text = f"{_VERSION} {self._boot} {instant:020.6f}"
        line = f"{text} {zlib.crc32(text.encode()):08x}\n".encode("ascii")
        try:
            is_whole = os.pwrite(self._descriptor, line, 0) == len(line)
            error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as caught:
            is_whole, error = False, caught
        if is_whole:
            self._directory.wrote(self._name)
        else:
            self._directory.failed(self._name, error)
        return is_whole


class LockFile:
    """A lock file in a state directory."""

    def __init__(self, directory: StateDirectory, boot: str, name: str = FILE_NAME) -> None:
        self._directory = directory
        self._boot = boot
        self._name = name

    @contextlib.contextmanager
    def locked(self) -> Iterator[HeldLockFile | None]:
        """Hold the lock; give None if there can be no such file. Raises LockBusyError, and never waits."""
        try:
            descriptor = self._open()
        except OSError as error:
            self._directory.failed(self._name, error)
            yield None
            return
        try:
            yield HeldLockFile(descriptor, self._directory, self._boot, self._name)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        self._directory.make()
        descriptor = self._directory.open(self._name, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise LockBusyError from None
        except OSError:
            os.close(descriptor)
            raise
        if not self._directory.has(self._name, descriptor):
            os.close(descriptor)  # it was removed before it was locked: others no longer find it
            raise LockBusyError
        return descriptor


def remove_other_scope(directory: StateDirectory, scope: str) -> None:
    """Remove what a limiter of the other scope left. Whoever looks for it finds the past unknown."""
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(directory.path) if name.startswith(KEY_FILE_PREFIX)]
        for name in [FILE_NAME] if scope == "account" else names:
            (directory.path / name).unlink(missing_ok=True)
