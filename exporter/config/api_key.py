"""Where an account's API key comes from: a value, or a file that may change while the exporter runs."""

import logging
from pathlib import Path

from exporter.secret import Secret

logger = logging.getLogger(__name__)

_MAX_KEY_BYTES = 4096


class KeySource:
    """Where an account's key comes from: a value, or a file that is read anew each time.

    Raises ValueError with what is wrong where the file holds no key, OSError where it cannot be read.
    """

    def __init__(self, source: Secret | Path) -> None:
        self._file = source if isinstance(source, Path) else None
        self._key = source if isinstance(source, Secret) else read_key(source)
        self._complaint: str | None = None

    def read(self) -> Secret:
        """Return the key as it is now; the last good one while the file cannot be used, which is logged once."""
        if self._file:
            try:
                self._key = read_key(self._file)
                self._complaint = None
            except (OSError, ValueError) as error:
                complaint = describe_key_error(error)
                if complaint != self._complaint:
                    logger.warning(
                        "key file cannot be used: going on with the key read last",
                        extra={"file": self._file, "reason": complaint},
                    )
                self._complaint = complaint
        return self._key


def read_key(path: Path) -> Secret:
    """Read a key file. White space around the key does not belong to it. Raises OSError, ValueError."""
    with path.open("rb") as file:
        content = file.read(_MAX_KEY_BYTES + 1)
    if len(content) > _MAX_KEY_BYTES:
        raise ValueError("is too long for a key file")
    try:
        return Secret(content.decode("utf-8-sig").strip())
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None


def describe_key_error(error: OSError | ValueError) -> str:
    """Say what is wrong with a key file, without anything of its content."""
    return (error.strerror or "cannot be read").lower() if isinstance(error, OSError) else str(error)
