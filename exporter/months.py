"""Calendar months in Europe/Paris, the time zone in which the provider counts them.

A month is written ``YYYY-MM``, which sorts as it should.
"""

from datetime import date, datetime
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
