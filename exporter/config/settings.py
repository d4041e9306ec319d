"""What the exporter was told to do, checked and complete. Made by :mod:`exporter.config.loader`."""

import logging
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

from exporter.model import Query
from exporter.secret import Secret

logger = logging.getLogger(__name__)

BASE_URL = "https://api.smspartner.fr/v1"


@dataclass(frozen=True)
class DateRange:
    """First and last day, both included."""

    first: date
    last: date


Interval = Literal["last_twelve_months", "last_month"] | DateRange
LimitScope = Literal["all", "account"]
"""What the provider's limit is taken to hold for: all requests together, or those with one key."""


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


_MAX_KEY_BYTES = 4096


@dataclass(frozen=True)
class AccountSettings:
    """One account to poll. The name is None for the single unnamed one."""

    name: str | None
    key: KeySource
    monthly_budget: float | None = None


@dataclass(frozen=True)
class Settings:
    """The whole configuration. Durations are seconds."""

    accounts: tuple[AccountSettings, ...]
    base_url: str = BASE_URL
    poll_interval: float = 900
    statistics: Interval = "last_twelve_months"
    current_month: bool = True
    credits: bool = True
    requests_per_minute: int = 5
    limit_scope: LimitScope = "all"
    timeout: float = 30
    queries: tuple[Query, ...] = field(init=False)
    """What is asked for each account in one round, in this order."""

    def __post_init__(self) -> None:
        asked = {Query.STATISTICS: True, Query.CURRENT_MONTH: self.current_month, Query.CREDITS: self.credits}
        object.__setattr__(self, "queries", tuple(query for query, wanted in asked.items() if wanted))
