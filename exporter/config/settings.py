"""What the exporter was told to do, checked and complete. Made by :mod:`exporter.config.loader`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from exporter.config.api_key import KeySource
from exporter.model import FIGURE_QUERIES, Query
from exporter.ratelimit.decision import LimitScope

BASE_URL = "https://api.smspartner.fr/v1"


@dataclass(frozen=True)
class DateRange:
    """First and last day, both included."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


Interval = Literal["last_twelve_months", "last_month"] | DateRange


@dataclass(frozen=True)
class SubaccountSettings:
    """How to name the sub-accounts of an account, and what each may spend in a month."""

    names: Mapping[int, str] = field(default_factory=dict)
    """Names by id, for those that are not to be called by their id."""
    budgets: float | Mapping[int, float] | None = None
    """One budget for each of them, or budgets by id."""

    def budget(self, subaccount: int) -> float | None:
        """Return the budget of a sub-account, or None if it has none."""
        return self.budgets.get(subaccount) if isinstance(self.budgets, Mapping) else self.budgets


@dataclass(frozen=True)
class AccountSettings:
    """One account to poll. The name is None for the single unnamed one."""

    name: str | None
    key: KeySource
    monthly_budget: float | None = None
    subaccounts: SubaccountSettings | None = None
    """Set if the account's list of sub-accounts is read, and each of them polled."""
    parent: str | None = None
    """The account whose list has this one; None for an account of the configuration."""


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

    @property
    def queries(self) -> tuple[Query, ...]:
        """What is asked for each account in one round, in this order."""
        asked = {Query.STATISTICS: True, Query.CURRENT_MONTH: self.current_month, Query.CREDITS: self.credits}
        return tuple(query for query in FIGURE_QUERIES if asked[query])

    def queries_of(self, account: AccountSettings) -> tuple[Query, ...]:
        """Return what is asked for one account. A sub-account's balance is in the list that it comes from."""
        if account.parent is not None:
            return tuple(query for query in self.queries if query is not Query.CREDITS)
        return (*self.queries, Query.SUBACCOUNTS) if account.subaccounts else self.queries

    @property
    def key_in_clear_text(self) -> bool:
        """Whether requests, and the key in them, go to another machine without TLS."""
        url = urlsplit(self.base_url)
        return url.scheme.lower() == "http" and not _is_loopback(url.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
