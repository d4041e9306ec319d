"""The state directory: what outlives the process, and whether it can be written."""

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


class StateDirectory:
    """A directory that is made when needed. Where it cannot be written, that is said once, and the exporter goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._broken: set[str] = set()

    @property
    def writable(self) -> bool:
        """Whether everything that was last written here was written."""
        return not self._broken

    def make(self) -> None:
        """Make the directory, readable for its owner alone, where it is missing. Raises OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def wrote(self, name: str) -> None:
        """Note that a file was written."""
        if name in self._broken:
            self._broken.discard(name)
            if self.writable:
                logger.info("state directory can be written again", extra={"dir": self.path})

    def failed(self, name: str, error: OSError) -> None:
        """Note that a file could not be written."""
        if self.writable:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            logger.error(
                "state directory cannot be written: figures and pace will not survive a restart",
                extra={"dir": self.path, "file": name, "reason": reason},
            )
        self._broken.add(name)

    def forget(self, name: str) -> None:
        """Note that a file is no longer to be written."""
        self._broken.discard(name)
