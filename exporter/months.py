"""Calendar months in Europe/Paris, the time zone in which the provider counts them.

A month is written ``YYYY-MM``, which sorts as it should.
"""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")


def paris_date(timestamp: float) -> date:
    """Return the day it is in Paris at a Unix time."""
    return datetime.fromtimestamp(timestamp, PARIS).date()


def month_of(day: date) -> str:
    """Return the month a day belongs to."""
    return f"{day.year:04d}-{day.month:02d}"


def month_start(month: str) -> float:
    """Return the Unix time at which a month begins in Paris."""
    year, number = month.split("-")
    return datetime(int(year), int(number), 1, tzinfo=PARIS).timestamp()


def next_month(month: str) -> str:
    """Return the month after a month."""
    year, number = map(int, month.split("-"))
    return month_of(date(year + number // 12, number % 12 + 1, 1))


def month_end(month: str) -> float:
    """Return the Unix time of the last whole second of a month in Paris."""
    return month_start(next_month(month)) - 1


def running_month(timestamp: float) -> tuple[str, float]:
    """Return the month it is in Paris at a Unix time, and how much of it has passed: 0 at its start, less than 1."""
    month = month_of(paris_date(timestamp))
    start, end = month_start(month), month_start(next_month(month))
    return month, (timestamp - start) / (end - start)


def first_and_last_day(month: str) -> tuple[date, date]:
    """Return the days between which a month lies, both included."""
    first = date.fromisoformat(f"{month}-01")
    return first, date.fromisoformat(f"{next_month(month)}-01") - timedelta(days=1)


def months_between(first: str, last: str) -> list[str]:
    """Return the months from `first` to `last`, both included."""
    months = []
    while first <= last:
        months.append(first)
        first = next_month(first)
    return months
