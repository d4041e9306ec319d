"""The state directory: what outlives the process, and whether it can be written."""

import errno
import logging
import os
import stat
from pathlib import Path

logger = logging.getLogger(__name__)


class StateDirectory:
    """A directory that is made when needed. If it cannot be written, the log tells once, and the exporter goes on.

    Others may write to it, too. What they put in the place of a file of ours is neither followed nor written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._broken: set[str] = set()

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
        # A pipe would be waited for; what takes the file's place after the check is refused below.
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
                "state directory cannot be written: figures and pace will not survive a restart",
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
