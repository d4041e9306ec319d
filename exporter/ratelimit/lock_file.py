"""The file through which processes share the instant of the next permitted request.

One short line, overwritten in place under ``flock``: that is atomic to a kill, needs no second file, and goes on
working on a full disk. The line names the boot whose monotonic clock it speaks of, and ends in a checksum.
"""

import contextlib
import fcntl
import os
import re
import zlib
from collections.abc import Iterator
from typing import NoReturn

from exporter.ratelimit.decision import LimitScope, Wait, WaitReason
from exporter.state.claim import overwrite
from exporter.state.directory import DirectoryInUseError, StateDirectory

FILE_NAME = "pace"
KEY_FILE_PREFIX = "pace-"
_VERSION = "pace-1"
_MAX_BYTES = 256
_WAIT_FOR_LOCK = Wait(0.05, WaitReason.LOCK_BUSY)
_WAIT_FOR_OTHER_MACHINE = Wait(5.0, WaitReason.ANOTHER_MACHINE)
_KEY_FILE = re.compile(KEY_FILE_PREFIX + "[0-9a-f]{16}")


class LockBusyError(Exception):
    """The lock is taken at this moment. `wait` says for how long to wait."""

    def __init__(self, wait: Wait = _WAIT_FOR_LOCK) -> None:
        super().__init__()
        self.wait = wait


class HeldLockFile:
    """A lock file while this process holds its lock."""

    def __init__(self, descriptor: int, file: "LockFile") -> None:
        self._descriptor = descriptor
        self._file = file

    def read(self) -> float | None:
        """Return the stored instant, or None if the file holds none of this boot. Raises LockBusyError."""
        try:
            line = os.pread(self._descriptor, _MAX_BYTES, 0).split(b"\n")[0].decode("ascii")
            text, _, checksum = line.rpartition(" ")
            version, boot, instant = text.split(" ")
            if int(checksum, 16) == zlib.crc32(text.encode()) and version == _VERSION:
                return float(instant) if self._file.is_of_this_machine(boot) else None
        except (OSError, ValueError):
            pass
        return None

    def write(self, instant: float) -> bool:
        """Store the instant. Return whether it is stored."""
        text = f"{_VERSION} {self._file.boot} {instant:020.6f}"
        try:
            overwrite(self._descriptor, f"{text} {zlib.crc32(text.encode()):08x}\n".encode("ascii"))
        except OSError as error:
            self._file.directory.failed(self._file.name, error)
            return False
        self._file.note_written()
        return True


class LockFile:
    """A lock file in a state directory.

    On a file system that does not show one machine's locks to another, the claim on the directory fails to tell them
    apart. The file still does: what another boot wrote after this process did comes from another machine.
    """

    def __init__(self, directory: StateDirectory, boot: str, name: str = FILE_NAME) -> None:
        self.directory = directory
        self.boot = boot
        self.name = name
        self._claim = 0
        self._written_under: int | None = None
        """The claim under which this process wrote last."""

    @contextlib.contextmanager
    def locked(self) -> Iterator[HeldLockFile | None]:
        """Hold the lock; give None if there can be no such file. Raises LockBusyError, and never waits."""
        try:
            descriptor = self._open()
        except BlockingIOError:
            raise LockBusyError from None
        except DirectoryInUseError as error:
            self._refuse(error)
        except OSError as error:
            self.directory.failed(self.name, error)
            yield None
            return
        try:
            yield HeldLockFile(descriptor, self)
        finally:
            try:
                os.close(descriptor)
            except OSError as error:  # network file systems say here that an earlier write failed
                self.directory.failed(self.name, error)

    def is_of_this_machine(self, boot: str) -> bool:
        """Return whether an instant of `boot` holds here. Raises LockBusyError if another machine is at work."""
        if boot != self.boot and self._written_under == self._claim:
            self._refuse(
                DirectoryInUseError(
                    f"{self.directory.path}: this state directory is in use by another machine"
                )
            )
        return boot == self.boot

    def note_written(self) -> None:
        """Note that the file has an instant of this process."""
        self._written_under = self._claim
        self.directory.wrote(self.name)

    def _refuse(self, error: DirectoryInUseError) -> NoReturn:
        self.directory.refused(self.name, error)
        raise LockBusyError(_WAIT_FOR_OTHER_MACHINE) from None

    def _open(self) -> int:
        scope: LimitScope = "all" if self.name == FILE_NAME else "account"
        self._claim = claim_directory(self.directory, self.boot, scope)
        descriptor = self.directory.open(self.name, os.O_RDWR | os.O_CREAT)
        with contextlib.ExitStack() as on_error:
            on_error.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self.directory.has(self.name, descriptor):
                raise BlockingIOError  # it was removed before it was locked: others no longer find it
            on_error.pop_all()
        return descriptor


def claim_directory(directory: StateDirectory, boot: str, scope: LimitScope) -> int:
    """Make sure that only this machine and this scope use the directory. Return the number of the claim.

    What a limiter of the other scope left is removed: whoever looks for it finds the past unknown. Raises
    DirectoryInUseError and OSError; BlockingIOError asks to try again.
    """

    def remove_other_scope() -> None:
        for name in os.listdir(directory.path):
            if name == FILE_NAME if scope == "account" else _KEY_FILE.fullmatch(name):
                (directory.path / name).unlink(missing_ok=True)

    return directory.claim(boot, scope, remove_other_scope)
