"""What the exporter knows: the figures of each account, and how asking for them went. All of it immutable."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from exporter.secret import Secret


class Endpoint(StrEnum):
    """The provider's endpoints, as the label ``endpoint`` names them."""

    STATISTICS = "statistics"
    CREDITS = "credits"
    SUBACCOUNTS = "subaccounts"


class Query(StrEnum):
    """What is asked for in one request, named after the key that turns it on in the configuration."""

    STATISTICS = "statistics"
    CURRENT_MONTH = "current_month"
    CREDITS = "credits"
    SUBACCOUNTS = "subaccounts"

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that answers it."""
        return Endpoint.STATISTICS if self is Query.CURRENT_MONTH else Endpoint(self.value)


FIGURE_QUERIES = (Query.STATISTICS, Query.CURRENT_MONTH, Query.CREDITS)
"""The queries whose answers are figures, in the order of a round."""


class Reason(StrEnum):
    """Why a poll failed, as the label ``reason`` names it."""

    KEY_REJECTED = "key_rejected"
    ACCESS_DENIED = "access_denied"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    INVALID_REPLY = "invalid_reply"


class Failure(Exception):  # noqa: N818 - not an error in the program
    """An exchange that brought no figures. `detail` is in our own words or made safe: it may be shown to anybody."""

    def __init__(
        self, reason: Reason, detail: str, retry_after: float | None = None, code: int | None = None
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        """Seconds that the provider asks to wait, if it does."""
        self.code = code
        """The provider's own error code, if the reply has one."""

    @property
    def answered(self) -> bool:
        """Whether the provider certainly got the request. If not, it may still be in transit."""
        return self.reason not in {Reason.UNREACHABLE, Reason.TIMEOUT}


class MonthFigures(msgspec.Struct, frozen=True):
    """One month: `cost` in the account's currency, `sent` in SMS."""

    cost: float
    sent: int


class Credits(msgspec.Struct, frozen=True):
    """What is left on an account. What the reply did not name is None."""

    balance: float | None
    currency: str | None
    remaining: Mapping[str, int]
    """How many the balance pays for, by kind: ``sms``, ``sms_eco``, ``hlr``."""
    queued: int | None


@dataclass(frozen=True)
class Subaccount:
    """A sub-account as its main account's list shows it. The `id` never changes; the key may."""

    id: int
    key: Secret
    credits: Credits


@dataclass(frozen=True)
class SubaccountPage:
    """One page of the list. `total` counts the sub-accounts of all pages; None if the reply has no list at all."""

    total: int | None
    subaccounts: tuple[Subaccount, ...]
    permitted: bool = True
    """False if the account does not have the feature."""


class Figures(msgspec.Struct, frozen=True):
    """The last good figures of one account, part by part as they were fetched."""

    history: Mapping[str, MonthFigures] = {}
    """Months of the last good `statistics` reply."""
    current_month: Mapping[str, MonthFigures] = {}
    """The running month of the last good `current_month` reply, and those before it that no `statistics` reply has
    covered since they ended."""
    credits: Credits | None = None
    fetched: Mapping[Query, float] = {}
    """When each part was fetched, Unix seconds."""
    statistics: str | None = None
    """The setting `statistics` that `history` was asked with."""
    subaccounts: tuple[int, ...] = ()
    """The ids of the account's sub-accounts."""

    @property
    def months(self) -> dict[str, MonthFigures]:
        """All months in order. For a month in both, the `current_month` reply takes precedence."""
        return dict(sorted({**self.history, **self.current_month}.items()))

    def only(self, queries: Collection[Query]) -> "Figures":
        """Leave out what is no longer asked for."""
        return Figures(
            history=self.history if Query.STATISTICS in queries else {},
            current_month=self.current_month if Query.CURRENT_MONTH in queries else {},
            credits=self.credits if Query.CREDITS in queries else None,
            fetched={query: when for query, when in self.fetched.items() if query in queries},
            statistics=self.statistics,
            subaccounts=self.subaccounts if Query.SUBACCOUNTS in queries else (),
        )

    def asked_with(self, statistics: str) -> "Figures":
        """Leave out months that were asked for with another setting `statistics`."""
        if self.statistics == statistics:
            return self
        fetched = {query: when for query, when in self.fetched.items() if query is not Query.STATISTICS}
        return msgspec.structs.replace(self, history={}, fetched=fetched, statistics=statistics)

    def with_history(self, months: Mapping[str, MonthFigures], asked_in: str, now: float) -> "Figures":
        """Take a `statistics` reply that was asked for while `asked_in` was the running month."""
        return msgspec.structs.replace(
            self,
            history=months,
            current_month={month: known for month, known in self.current_month.items() if month == asked_in},
            fetched={**self.fetched, Query.STATISTICS: now},
        )

    def with_current_month(self, month: str, figures: MonthFigures | None, now: float) -> "Figures":
        """Take a `current_month` reply, whose figures are None if it leaves them unknown."""
        ended = {before: known for before, known in self.current_month.items() if before < month}
        return msgspec.structs.replace(
            self,
            current_month={**ended, month: figures} if figures else ended,
            fetched={**self.fetched, Query.CURRENT_MONTH: now},
        )

    def with_subaccounts(self, subaccounts: tuple[int, ...], now: float) -> "Figures":
        """Take a complete list of sub-accounts, by id."""
        fetched = {**self.fetched, Query.SUBACCOUNTS: now}
        return msgspec.structs.replace(self, subaccounts=subaccounts, fetched=fetched)

    def with_credits(self, credit: Credits, now: float) -> "Figures":
        """Take a `credits` reply."""
        return msgspec.structs.replace(self, credits=credit, fetched={**self.fetched, Query.CREDITS: now})


class Poll(msgspec.Struct, frozen=True):
    """The state of one query of one account."""

    due: float
    """When it is asked next, on the monotonic clock."""
    succeeded: bool | None = None
    """How the last attempt ended; None before the first."""
    reason: Reason | None = None
    detail: str = ""
    failures_in_a_row: int = 0


class RequestStats(msgspec.Struct, frozen=True):
    """Count and total duration (seconds) of an endpoint's exchanges, and how many failed, by reason."""

    count: int = 0
    seconds: float = 0.0
    failures: Mapping[Reason, int] = {}

    def plus(self, seconds: float, failure: Reason | None) -> "RequestStats":
        """Count one more exchange."""
        failures = self.failures
        if failure:
            failures = {**failures, failure: failures.get(failure, 0) + 1}
        return RequestStats(self.count + 1, self.seconds + seconds, failures)


class Account(msgspec.Struct, frozen=True):
    """Everything known of one account at one moment."""

    name: str | None
    monthly_budget: float | None
    figures: Figures
    polls: Mapping[Query, Poll]
    request_stats: Mapping[Endpoint, RequestStats]
    parent: str | None = None
    """The account whose list of sub-accounts has this one; None for an account of the configuration."""

    @property
    def endpoints(self) -> list[Endpoint]:
        """The endpoints that are asked for this account."""
        return list(dict.fromkeys(query.endpoint for query in self.polls))

    def polls_of(self, endpoint: Endpoint) -> dict[Query, Poll]:
        """Return the polls that an endpoint answers."""
        return {query: poll for query, poll in self.polls.items() if query.endpoint is endpoint}

    @property
    def has_figures(self) -> bool:
        """Whether the months are known, from this process or the one before it."""
        return Query.STATISTICS in self.figures.fetched


Snapshot = tuple[Account, ...]


@dataclass(frozen=True)
class Status:
    """What there is to know of the exporter itself, beside the accounts. Times are Unix seconds."""

    poll_interval: float
    requests_per_minute: int
    requests_last_minute: int
    state_writable: bool
    reload_successful: bool
    reload_success_time: float
    wall_clock_offset: float
    """What turns an instant of the monotonic clock into a Unix time."""
    limit_per_key: bool = False
    """Whether the limit counts requests with each key by itself, not all together."""
