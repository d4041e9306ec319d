"""What a simulated account has sent, paid and left at any instant.

Every figure follows from the account's key and the instant, so that a past month stays what it was
after a restart. Money is counted in thousandths of a euro, the three decimals of the API, so that days add up
to months exactly. Days and months are those of Europe/Paris.
"""

import calendar
import hashlib
import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")
START = date(2018, 1, 1)
"""The first day on which any account sent an SMS."""

TOP_UP_BELOW = 100_000
TOP_UP = 500_000

_PER_WEEKDAY = (300, 320, 310, 320, 280, 120, 30)
# Commercial SMS may not be sent on public holidays in France.
_HOLIDAYS = {(1, 1), (5, 1), (7, 14), (12, 25)}


class Usage(NamedTuple):
    """SMS sent in a period, and their cost in thousandths of a euro."""

    sent: int
    cost: int


def paris(instant: float) -> datetime:
    """A Unix time as date and time in France. Raises ValueError or OverflowError beyond the calendar."""
    return datetime.fromtimestamp(instant, PARIS)


def midnight(day: date) -> float:
    """The Unix time at which `day` begins in France."""
    return datetime.combine(day, time(), PARIS).timestamp()


def days(first: date, last: date) -> Iterator[date]:
    """Every day from `first` to `last`, both included."""
    return map(date.fromordinal, range(first.toordinal(), last.toordinal() + 1))


def months(first: date, last: date) -> Iterator[tuple[date, date]]:
    """First and last day of each part when `first` to `last` is cut at the months' ends."""
    while first <= last:
        end = _month_end(first)
        yield first, min(end, last)
        first = end + timedelta(days=1)


def _month_end(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def _share_of_day(now: datetime) -> float:
    begin = midnight(now.date())
    return (now.timestamp() - begin) / (midnight(now.date() + timedelta(days=1)) - begin)


class SimulatedAccount:
    """One prepaid account."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._identity = hashlib.blake2b(key.encode()).digest()
        self._plans: dict[date, list[int]] = {}

    def usage(self, first: date, last: date, instant: float) -> Usage:
        """What has been sent from `first` to `last` (both included) by `instant`."""
        now = paris(instant)
        sent = cost = 0
        for begin, end in months(max(first, START), min(last, now.date())):
            part = self._sent(begin, end, now)
            sent += part
            cost += part * self.price(begin)
        return Usage(sent, cost)

    def price(self, day: date) -> int:
        """What one SMS costs in that day's month, in thousandths of a euro."""
        return 42 + int(6 * self._chance(f"price {day:%Y-%m}"))

    def queued(self, instant: float) -> int:
        """SMS waiting to go out: a small number that changes every minute."""
        return int(12 * self._chance(f"queue {instant // 60}"))

    def balance(self, instant: float) -> int:
        """Money left, in thousandths of a euro. `TOP_UP` is paid in whenever it would fall below `TOP_UP_BELOW`."""
        left = TOP_UP - self.usage(START, date.max, instant).cost
        return left + TOP_UP * max(0, math.ceil((TOP_UP_BELOW - left) / TOP_UP))

    def _sent(self, begin: date, end: date, now: datetime) -> int:
        """What has been sent on the days from `begin` to `end`, of one month and not after `now`."""
        month = begin.replace(day=1)
        if month not in self._plans:
            self._plans[month] = [self._plan(day) for day in days(month, _month_end(month))]
        sent = self._plans[month][begin.day - 1 : end.day]
        if end == now.date():
            sent[-1] = int(sent[-1] * _share_of_day(now))
        return sum(sent)

    def _plan(self, day: date) -> int:
        if (day.month, day.day) in _HOLIDAYS:
            return 0
        size = 0.9 + 0.2 * self._chance("size")
        season = 1 + 0.12 * math.cos(day.timetuple().tm_yday / 365 * math.tau)
        growth = 1 + 0.03 * (day - START).days / 365
        weather = 0.9 + 0.2 * self._chance(f"day {day}")
        return round(_PER_WEEKDAY[day.weekday()] * size * season * growth * weather)

    def _chance(self, subject: str) -> float:
        """A number from 0 up to 1, always the same for one account and subject."""
        digest = hashlib.blake2b(subject.encode(), key=self._identity, digest_size=4).digest()
        return int.from_bytes(digest, "big") / 2**32
