"""The files through which processes share the instant of the next permitted request.

One short line each, overwritten in place under ``flock``: that is atomic to a kill, needs no second file and goes on
working on a full disk. The line names the boot whose monotonic clock it speaks of, and ends in a checksum.

`FILE_NAME` holds the instant of requests that are paced all together. Where they are paced by key, each key has a file
of its own beside it. Either kind is decided on under the lock of `FILE_NAME`, and heeds the instants of the other: so
a restart with the other kind, and processes that do not agree on it, keep each key's pace as well.
"""

import contextlib
import errno
import fcntl
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from exporter.state.directory import StateDirectory

FILE_NAME = "pace"
KEY_FILE_PREFIX = "pace-"
_VERSION = "pace-1"
_MAX_BYTES = 256


class LockBusyError(Exception):
    """Another process holds the lock at this moment."""


class HeldLockFile:
    """A pace file while this process holds its lock."""

    def __init__(self, descriptor: int, directory: StateDirectory, boot: str, name: str) -> None:
        self._descriptor = descriptor
        self._directory = directory
        self._boot = boot
        self._name = name

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
            written = os.pwrite(self._descriptor, line, 0)
        except OSError as error:
            self._directory.failed(self._name, error)
            return False
        if written < len(line):
            self._directory.failed(self._name, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            return False
        self._directory.wrote(self._name)
        return True

    def remove(self) -> bool:
        """Remove the file: whoever looks for it finds the past unknown. Return whether it is gone."""
        with contextlib.suppress(OSError):
            (self._directory.path / self._name).unlink()
            return True
        return False


class LockFile:
    """The pace file of all requests together in a state directory."""

    def __init__(self, directory: StateDirectory, boot: str, name: str = FILE_NAME) -> None:
        self._directory = directory
        self._boot = boot
        self._name = name

    @contextlib.contextmanager
    def locked(self) -> Iterator[HeldLockFile | None]:
        """Hold the lock; give None where there can be no such file. Raises Busy, and never waits."""
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

    def others(self, now: float, most: float) -> list[float | None]:
        """Return the instants to come of the other kind, None for one that cannot be true, later than `most`.

        What is not to come is forgotten. It is called under the lock. Raises Busy.
        """
        swept = sweep_key_files(self._directory, self._boot, lambda instant: now < instant <= most)
        return [
            instant if instant and instant <= most else None
            for instant in swept
            if not instant or instant > now
        ]

    def _open(self) -> int:
        path = self._directory.path / self._name
        self._directory.make()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _check_still_at(path, descriptor)
        except BlockingIOError:
            os.close(descriptor)
            raise LockBusyError from None
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


class KeyLockFile(LockFile):
    """The pace file of one key. `name` begins with `KEY_FILE_PREFIX`."""

    def __init__(self, directory: StateDirectory, boot: str, name: str) -> None:
        super().__init__(directory, boot, name)
        self._common = LockFile(directory, boot)
        self._locked_common: HeldLockFile | None = None

    @contextlib.contextmanager
    def locked(self) -> Iterator[HeldLockFile | None]:
        """Hold the lock of this file, and that of all requests together."""
        with self._common.locked() as common, super().locked() as file:
            if common:
                self._directory.wrote(FILE_NAME)
            self._locked_common = common
            yield file

    def others(self, now: float, most: float) -> list[float | None]:
        """Return the instant of all requests together, if it is to come; None if it cannot be true."""
        common = self._locked_common
        instant = common.read() if common else None
        if not common or instant is None or instant <= now:
            return []
        return [instant] if instant <= most or not common.remove() else [None]


def sweep_key_files(
    directory: StateDirectory, boot: str, keep: Callable[[float], bool]
) -> Iterator[float | None]:
    """Yield what each key's file says, as `LockedPaceFile.read` does; remove those that say nothing to `keep`.

    What cannot be removed says nothing either. Raises Busy.
    """
    for name in _key_files(directory):
        with LockFile(directory, boot, name).locked() as file:
            instant = file.read() if file else None
            if file and ((instant is not None and keep(instant)) or file.remove()):
                yield instant


def _key_files(directory: StateDirectory) -> list[str]:
    # The directory may be missing, or go away meanwhile.
    with contextlib.suppress(OSError):
        return [name for name in os.listdir(directory.path) if name.startswith(KEY_FILE_PREFIX)]
    return []


def _check_still_at(path: Path, descriptor: int) -> None:
    """Refuse a file that was removed before it was locked: others no longer find it. Raises BlockingIOError."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.stat(path), os.fstat(descriptor)):
            return
    raise BlockingIOError
