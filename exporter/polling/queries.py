"""What each query asks the client, and where the answer goes in the figures.

The list of sub-accounts is asked for page by page, and is not a figure: `polling.subaccounts` puts it together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.model import Credits, Figures, MonthFigures, Query, SubaccountPage
from exporter.months import month_of, paris_date
from exporter.ratelimit.limiter import RateLimiter
from exporter.secret import Secret

Merge = Callable[[Figures], Figures]
"""Puts an answer into the figures that are known when it comes."""


class Fetcher(Protocol):
    """What polling needs of a client. Every `fetch` ends before `deadline`, and raises Failure."""

    def fetch_history(self, key: Secret, deadline: float) -> dict[str, MonthFigures]:
        """Return the figures of past months, by month."""

    def fetch_current_month(self, key: Secret, deadline: float) -> tuple[str, MonthFigures | None]:
        """Return the running month and its figures so far, None if they are unknown."""

    def fetch_credits(self, key: Secret, deadline: float) -> Credits:
        """Return what is left on the account."""

    def fetch_subaccounts(self, page: int, key: Secret, deadline: float) -> SubaccountPage:
        """Return one page of the account's sub-accounts."""

    def cut_off(self) -> None:
        """End a running request at once, from another thread."""


@dataclass(frozen=True)
class PollRequest:
    """A query that is due, with what it is asked with: a reload changes nothing about it."""

    account: str | None
    query: Query
    page: int | None
    """The page of the list of sub-accounts; None for other queries."""
    key: Secret
    limiter: RateLimiter
    client: Fetcher
    settings: Settings


def ask(client: Fetcher, query: Query, key: Secret, deadline: float, clock: Clock) -> Merge:
    """Send the query's request. Raises Failure."""
    asked_in = month_of(paris_date(clock.time()))
    match query:
        case Query.STATISTICS:
            history = client.fetch_history(key, deadline)
            fetched = clock.time()
            return lambda figures: figures.with_history(history, asked_in, fetched)
        case Query.CURRENT_MONTH:
            month, so_far = client.fetch_current_month(key, deadline)
            fetched = clock.time()
            return lambda figures: figures.with_current_month(month, so_far, fetched)
        case Query.SUBACCOUNTS:
            raise ValueError("a page of sub-accounts is not a figure")
        case Query.CREDITS:
            left = client.fetch_credits(key, deadline)
            fetched = clock.time()
            return lambda figures: figures.with_credits(left, fetched)
