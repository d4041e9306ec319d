"""Where an account's API key comes from: a value, or a file that may change while the exporter runs."""

import logging
import os
import re
import stat
from pathlib import Path

from exporter.secret import Secret, received_key

logger = logging.getLogger(__name__)

_MAX_KEY_BYTES = 4096
_QUOTE = "[\"'`‘’‚“”„«»]"  # noqa: RUF001 - word processors write these
_MISTAKES = (
    (rf"{_QUOTE}.*|.*{_QUOTE}", "begins or ends with a quote: give the key alone"),
    (
        r"\$\w+|\$\{.*\}|\$\(.*\)|\{\{.*\}\}|%\w+%",
        "is a variable that nothing has filled in: give the key itself",
    ),
    (r"<.*>|\[.*\]|\{.*\}|\(.*\)", "has brackets around it: give the key alone"),
    (r"https?:.*", "is a URL: give the key alone"),
    (
        r"(?:export\s+)?[A-Za-z_][\w.-]*(?:\s*[=:]\s*)(?!=*$).*",
        "has a name in front of it: give the key alone",
    ),
    (
        r"(?:bearer|basic|token|api-?key|key)\s.*",
        "has a word such as Bearer in front of it: give the key alone",
    ),
    (r".*[,;]", "ends with a comma or a semicolon: give the key alone"),
    (
        r"(.)\1*|(?:.*[_-])?(?:your|change-?me|replace-?me|placeholder|example)(?:[_-].*)?|(?:sms_?partner_)?api[_-]?key",
        "is a placeholder: give the key itself",
    ),
)
"""What comes along when people copy a key or leave a template as it is, and what to say about it."""


class KeySource:
    """Where an account's key comes from: a value, or a file that is read anew each time.

    Raises ValueError with what is wrong if the file holds no key, OSError if it cannot be read.
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


def parse_key(text: str) -> Secret:
    """Return the key in a text. Whitespace around the key is ignored. Raises ValueError, which never quotes it."""
    text = text.strip()
    for pattern, problem in _MISTAKES:
        if re.fullmatch(pattern, text, re.DOTALL | re.IGNORECASE):
            raise ValueError(problem)
    return received_key(text)


def read_key(path: Path) -> Secret:
    """Read a key file, which must be a regular file since it is read again and again. Raises OSError, ValueError."""
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(
                "is not a regular file (a pipe, for example), so it cannot be read again before each poll"
            )
        content = file.read(_MAX_KEY_BYTES + 1)
    if len(content) > _MAX_KEY_BYTES:
        raise ValueError("is too long for a key file")
    try:
        return parse_key(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe would wait for somebody to write to it


def describe_key_error(error: OSError | ValueError) -> str:
    """Say what is wrong with a key file, without anything of its content."""
    return (error.strerror or "cannot be read").lower() if isinstance(error, OSError) else str(error)
