"""What the exporter was told to do, checked and complete. Made by :mod:`exporter.config.loader`."""

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from exporter.config.api_key import KeySource
from exporter.model import Query
from exporter.ratelimit.decision import LimitScope

BASE_URL = "https://api.smspartner.fr/v1"


@dataclass(frozen=True)
class DateRange:
    """First and last day, both included."""

    first: date
    last: date


Interval = Literal["last_twelve_months", "last_month"] | DateRange


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
