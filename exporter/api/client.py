"""The provider's API: one method a request, which returns what the API says or raises Failure."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from exporter.api.envelope import RawReply
from exporter.api.replies import parse_credits, parse_statistics
from exporter.api.subaccounts import parse_subaccounts
from exporter.clock import Clock
from exporter.config.settings import DateRange, Interval
from exporter.durations import format_duration
from exporter.model import Credits, Failure, MonthFigures, Reason, SubaccountPage
from exporter.months import first_and_last_day, month_of, paris_date
from exporter.secret import Secret

logger = logging.getLogger(__name__)

STATISTICS_PATH = "/statistics/cost-resume"
CREDITS_PATH = "/me"
SUBACCOUNTS_PATH = "/subaccount/list"
_CLOCK_OFF_AT_MOST = 86_400.0


class Getter(Protocol):
    """What the client needs of a transport."""

    def get(self, path: str, parameters: Mapping[str, str], deadline: float) -> RawReply:
        """Return the reply before `deadline` on the monotonic clock. Raises Failure."""

    def cut_off(self) -> None:
        """End a running `get` at once, from another thread."""


@dataclass(frozen=True)
class Client:
    """Sends one request at a time and returns what the API says. Every method raises Failure.

    `deadline` is an instant on the monotonic clock. `statistics` is the interval that `fetch_history` asks for.
    """

    transport: Getter
    clock: Clock
    statistics: Interval
    _logged: set[str] = field(default_factory=set, compare=False)
    """The fields of ``/me`` that were left out before: each is logged once."""

    def fetch_history(self, key: Secret, deadline: float) -> dict[str, MonthFigures]:
        """Return the figures of past months, by month (``YYYY-MM``)."""
        if isinstance(self.statistics, DateRange):
            months = self._custom(key, self.statistics.first, self.statistics.last, deadline)
        else:
            months = self._months({"interval": self.statistics}, key, deadline)
        return {month: known for month, known in months.items() if known}

    def fetch_current_month(self, key: Secret, deadline: float) -> tuple[str, MonthFigures | None]:
        """Return the running month in Paris, ``YYYY-MM``, and its figures so far, None if they are unknown."""
        today = paris_date(self.clock.time())
        months = self._custom(key, today.replace(day=1), today, deadline)
        return month_of(today), months.get(month_of(today), MonthFigures(cost=0.0, sent=0))

    def fetch_month(self, month: str, key: Secret, deadline: float) -> MonthFigures | None:
        """Return the figures of one whole month, ``YYYY-MM``, or None if the API has none."""
        return self._custom(key, *first_and_last_day(month), deadline).get(month)

    def fetch_credits(self, key: Secret, deadline: float) -> Credits:
        """Return what is left on the account."""
        return parse_credits(self._get(CREDITS_PATH, key, {}, deadline), self._log_once)

    def fetch_subaccounts(self, page: int, key: Secret, deadline: float) -> SubaccountPage:
        """Return one page of the account's sub-accounts, counted from 1."""
        return parse_subaccounts(self._get(SUBACCOUNTS_PATH, key, {"page": str(page)}, deadline), page)

    def _log_once(self, problem: str) -> None:
        if problem not in self._logged:
            self._logged.add(problem)
            logger.warning("a field of the reply is not valid and is left out", extra={"problem": problem})

    def cut_off(self) -> None:
        """End a running request at once, from another thread."""
        self.transport.cut_off()

    def _custom(
        self, key: Secret, first: date, last: date, deadline: float
    ) -> dict[str, MonthFigures | None]:
        interval = {"interval": "custom", "from": f"{first:%d-%m-%Y}", "to": f"{last:%d-%m-%Y}"}
        return self._months(interval, key, deadline, month_of(first), month_of(last))

    def _months(
        self,
        interval: Mapping[str, str],
        key: Secret,
        deadline: float,
        first: str | None = None,
        last: str | None = None,
    ) -> dict[str, MonthFigures | None]:
        reply = self._get(STATISTICS_PATH, key, interval, deadline)
        ahead = 0.0 if reply.date is None else self.clock.time() - reply.date
        if abs(ahead) <= _CLOCK_OFF_AT_MOST:
            return parse_statistics(reply, first, last)
        parse_statistics(reply)  # a refusal counts whatever the clocks say
        side = "ahead of" if ahead > 0 else "behind"
        off = format_duration(abs(ahead))
        raise Failure(
            Reason.INVALID_REPLY,
            f"this machine's clock is {off} {side} the provider's: no month's figures can be trusted",
        )

    def _get(self, path: str, key: Secret, parameters: Mapping[str, str], deadline: float) -> RawReply:
        return self.transport.get(path, {"apiKey": key.reveal(), **parameters}, deadline)
