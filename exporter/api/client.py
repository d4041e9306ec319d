"""The provider's API as the poller sees it: a query in, figures or a Failure out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from exporter.api.envelope import RawReply
from exporter.api.replies import parse_credits, parse_statistics
from exporter.clock import Clock
from exporter.config.settings import DateRange, Interval
from exporter.durations import format_duration
from exporter.model import Failure, Figures, MonthFigures, Query, Reason
from exporter.months import first_and_last_day, month_of, paris_date
from exporter.secret import Secret

STATISTICS_PATH = "/statistics/cost-resume"
CREDITS_PATH = "/me"
_CLOCK_OFF_AT_MOST = 86_400.0


class Getter(Protocol):
    """What the client needs of a transport."""

    def get(self, path: str, parameters: Mapping[str, str], deadline: float) -> RawReply:
        """Return the reply before `deadline` on the monotonic clock. Raises Failure."""

    def cut_off(self) -> None:
        """End a running `get` at once, from another thread."""


@dataclass(frozen=True)
class Client:
    """Asks for figures and adds them to what is known."""

    transport: Getter
    clock: Clock
    statistics: Interval

    def fetch(self, query: Query, key: Secret, figures: Figures, deadline: float) -> Figures:
        """Return `figures` with the answer to `query` in them. Raises Failure."""
        today = paris_date(self.clock.time())
        match query:
            case Query.STATISTICS:
                history = self._history(key, deadline)
                return figures.with_history(history, month_of(today), self.clock.time())
            case Query.CURRENT_MONTH:
                running = self._running_month(key, today, deadline)
                return figures.with_current_month(month_of(today), running, self.clock.time())
            case Query.CREDITS:
                credit = parse_credits(self._get(CREDITS_PATH, key, {}, deadline))
                return figures.with_credits(credit, self.clock.time())

    def fetch_month(self, month: str, key: Secret, deadline: float) -> MonthFigures | None:
        """Return the figures of one whole month, ``YYYY-MM``; None where the API has none. Raises Failure."""
        return self._custom(key, *first_and_last_day(month), deadline).get(month)

    def cut_off(self) -> None:
        """End a running `fetch` or `fetch_month` at once, from another thread."""
        self.transport.cut_off()

    def _history(self, key: Secret, deadline: float) -> dict[str, MonthFigures]:
        if isinstance(self.statistics, DateRange):
            return self._custom(key, self.statistics.first, self.statistics.last, deadline)
        return self._months({"interval": self.statistics}, key, deadline)

    def _running_month(self, key: Secret, today: date, deadline: float) -> MonthFigures:
        months = self._custom(key, today.replace(day=1), today, deadline)
        return months.get(month_of(today), MonthFigures(cost=0.0, sent=0))

    def _custom(self, key: Secret, first: date, last: date, deadline: float) -> dict[str, MonthFigures]:
        interval = {"interval": "custom", "from": f"{first:%d-%m-%Y}", "to": f"{last:%d-%m-%Y}"}
        return self._months(interval, key, deadline, month_of(first), month_of(last))

    def _months(
        self,
        interval: Mapping[str, str],
        key: Secret,
        deadline: float,
        first: str | None = None,
        last: str | None = None,
    ) -> dict[str, MonthFigures]:
        reply = self._get(STATISTICS_PATH, key, interval, deadline)
        ahead = 0.0 if reply.date is None else self.clock.time() - reply.date
        if abs(ahead) <= _CLOCK_OFF_AT_MOST:
            return parse_statistics(reply, first, last)
        parse_statistics(reply)  # a refusal is one by any clock
        side = "ahead of" if ahead > 0 else "behind"
        off = format_duration(abs(ahead))
        raise Failure(
            Reason.INVALID_REPLY, f"this machine's clock is {off} {side} the provider's: no month is certain"
        )

    def _get(self, path: str, key: Secret, parameters: Mapping[str, str], deadline: float) -> RawReply:
        return self.transport.get(path, {"apiKey": key.reveal(), **parameters}, deadline)
