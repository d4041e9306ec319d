"""The state directory: what outlives the process, and whether it can be written."""

import contextlib
import errno
import logging
import os
import stat
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

from exporter.state.claim import hold, register

logger = logging.getLogger(__name__)

_CLAIM_FILE = "machine"


class DirectoryInUseError(Exception):
    """Another machine uses the state directory. The text is one line."""


class StateDirectory:
    """A directory that is made when needed. If it cannot be written, the log tells once, and the exporter goes on.

    Others may write to it, too. What they put in the place of a file of ours is neither followed nor written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._broken: set[str] = set()
        self._lock = threading.Lock()
        self._claim: int | None = None
        self._close_claim: Callable[[], object] | None = None
        self._claims = 0
        self._layout: str | None = None

    @property
    def writable(self) -> bool:
        """Whether everything that was last written here was written."""
        return not self._broken

    def make(self) -> None:
        """Make the directory for its owner alone if it is missing. Raises OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open(self, name: str, flags: int) -> int:
        """Open a file for its owner alone and return the descriptor. Raises OSError, also if it is not ours."""
        path = self.path / name
        self.check(name)
        # Opening a pipe would block. Whatever replaces the file after the check is refused below.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        try:
            _check_is_ours(os.fstat(descriptor))
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def check(self, name: str) -> None:
        """Raise OSError if there is a link, a device, or anything else but a file of ours."""
        try:
            status = os.lstat(self.path / name)
        except FileNotFoundError:
            return
        _check_is_ours(status)

    def has(self, name: str, descriptor: int) -> bool:
        """Return whether an open file is still the one of this name."""
        try:
            return os.path.samestat(os.lstat(self.path / name), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def claim(self, boot: str, layout: str, prepare: Callable[[], object]) -> int:
        """Make sure that no other machine uses the directory as long as this process lives. Return the claim's number.

        A new claim, or one for another `layout` of the files, begins with `prepare`. Raises DirectoryInUseError and
        OSError; BlockingIOError asks to try again.
        """
        with self._lock:
            if self._claim is None or not self.has(_CLAIM_FILE, self._claim):
                self._claim_anew(boot)
            if self._layout != layout:
                prepare()
                self._layout = layout
            return self._claims

    def _claim_anew(self, boot: str) -> None:
        if self._close_claim:
            self._close_claim()  # the directory was removed, or replaced by another one
        self._claim = self._close_claim = self._layout = None
        self.make()
        with os.fdopen(self.open(_CLAIM_FILE, os.O_RDWR | os.O_CREAT), "r+b") as file:
            register(file.fileno(), boot)
        # Not for writing: what is open for writing keeps a file system from being made read-only.
        descriptor = self.open(_CLAIM_FILE, os.O_RDONLY)
        close = weakref.finalize(self, os.close, descriptor)
        with contextlib.ExitStack() as on_error:
            on_error.callback(close)
            other = hold(descriptor, boot)
            if other is not None:
                raise DirectoryInUseError(
                    f"{self.path}: this state directory is in use by another machine: {other}"
                )
            if not self.has(_CLAIM_FILE, descriptor):
                raise BlockingIOError  # it was removed meanwhile
            on_error.pop_all()
        self._claim, self._close_claim = descriptor, close
        self._claims += 1

    def refused(self, name: str, error: DirectoryInUseError) -> None:
        """Note that a file cannot be used because another machine uses the directory."""
        if name not in self._broken:
            logger.error("no requests are sent", extra={"reason": error})
        self._broken.add(name)

    def wrote(self, name: str) -> None:
        """Note that a file was written."""
        if name in self._broken:
            self._broken.discard(name)
            if self.writable:
                logger.info("state directory can be written again", extra={"dir": self.path})

    def failed(self, name: str, error: OSError) -> None:
        """Note that a file could not be written."""
        if self.writable:
            reason = error.strerror or type(error).__name__
            logger.error(
                "state directory cannot be written: a restart will forget figures and the time of the last request",
                extra={"dir": self.path, "file": name, "reason": reason},
            )
        self._broken.add(name)

    def forget(self, name: str) -> None:
        """Note that a file is no longer to be written."""
        self._broken.discard(name)


def _check_is_ours(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "a symbolic link is in its place")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "something other than a regular file is in its place")
    if status.st_nlink > 1:
        raise OSError(errno.EMLINK, "the file has a second name (a hard link)")
