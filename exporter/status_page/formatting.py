"""Amounts, months and instants in the words of the page for people. Pure; what is returned is plain text."""

import calendar
from datetime import UTC, datetime
from typing import NamedTuple

from exporter.durations import plural
from exporter.months import PARIS

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_NEAR = 12 * 3600


class Instant(NamedTuple):
    """A moment: `iso` for programs, `text` for people, in UTC and in Paris."""

    iso: str
    text: str


class FromNow(NamedTuple):
    """A moment and how far from now it is: ``3 minutes ago`` or ``in 3 minutes``."""

    distance: str
    instant: Instant


def money(amount: float, currency: str | None, decimals: int = 2) -> str:
    """Return ``1,437.20 EUR``, or ``1,437.20`` if the currency is not known."""
    return f"{amount:,.{decimals}f} {currency}" if currency else f"{amount:,.{decimals}f}"


def short(amount: float) -> str:
    """Return an amount in at most six characters, if it is below a thousand millions."""
    if amount >= 1e6:
        return f"{amount / 1e6:,.1f}M".replace(".0M", "M")
    if amount >= 1e4:
        return f"{amount / 1e3:,.1f}k".replace(".0k", "k")
    return f"{amount:,.0f}" if amount >= 100 or amount == round(amount) else f"{amount:.3g}"


def percent(part: float, whole: float) -> str:
    """Return ``83.4 %``."""
    return f"{100 * part / whole:,.1f} %"


def month_name(month: str) -> str:
    """Return ``November 2026`` for ``2026-11``."""
    year, number = month.split("-")
    return f"{calendar.month_name[int(number)]} {year}"


def duration(seconds: float) -> str:
    """Return ``3 minutes``: whole units of the largest kind, at least a second."""
    for unit, length in _UNITS:
        if count := int(seconds // length):
            return plural(count, unit)
    return "1 second"


def ago(timestamp: float, now: float) -> FromNow:
    """Return a past moment. Both are Unix seconds. If the clock was set back meanwhile, it was a second ago."""
    return FromNow(f"{duration(max(0, now - timestamp))} ago", instant(timestamp, now))


def ahead(timestamp: float, now: float) -> FromNow:
    """Return a future moment. Both are Unix seconds."""
    return FromNow(f"in {duration(timestamp - now)}", instant(timestamp, now))


def instant(timestamp: float, now: float | None = None) -> Instant:
    """Return a Unix time as an instant. Its text leaves out the day if `now` is near."""
    utc = datetime.fromtimestamp(timestamp, UTC)
    day = "" if now is not None and abs(timestamp - now) < _NEAR else f"{utc:%Y-%m-%d} "
    return Instant(
        f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{day}{utc:%H:%M} UTC, {utc.astimezone(PARIS):%H:%M} in Paris"
    )
