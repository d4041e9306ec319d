"""Amounts, months and instants as a page for people words them. Pure; what is returned is safe in HTML."""

import calendar
from datetime import UTC, datetime
from html import escape

from exporter.months import PARIS

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_NEAR = 12 * 3600


def money(amount: float, currency: str | None, decimals: int = 2) -> str:
    """Return ``1,437.20 EUR``; without the currency where it is not known."""
    return f"{amount:,.{decimals}f} {escape(currency)}" if currency else f"{amount:,.{decimals}f}"


def short(amount: float) -> str:
    """Return an amount for a place where there is room for six characters up to a thousand millions."""
    if amount >= 1e6:
        return f"{amount / 1e6:,.1f}M".replace(".0M", "M")
    if amount >= 1e4:
        return f"{amount / 1e3:,.1f}k".replace(".0k", "k")
    return f"{amount:,.0f}" if amount >= 100 or amount == round(amount) else f"{amount:.3g}"


def month_name(month: str) -> str:
    """Return ``November 2026`` for ``2026-11``."""
    year, number = month.split("-")
    return f"{calendar.month_name[int(number)]} {year}"


def duration(seconds: float) -> str:
    """Return ``3 minutes``: whole units of the largest kind, at least a second."""
    for unit, length in _UNITS:
        if count := int(seconds // length):
            return f"{count} {unit}{'s' * (count != 1)}"
    return "1 second"


def ago(timestamp: float, now: float) -> str:
    """Return ``3 minutes ago`` and the instant. Both are Unix seconds."""
    return f"{duration(max(0.0, now - timestamp))} ago ({instant(timestamp, now)})"


def ahead(timestamp: float, now: float) -> str:
    """Return ``in 3 minutes`` and the instant. Both are Unix seconds."""
    return f"in {duration(timestamp - now)} ({instant(timestamp, now)})"


def instant(timestamp: float, now: float | None = None) -> str:
    """Return a Unix time as a ``<time>`` element, in UTC and in Paris; without the day where `now` is near."""
    utc = datetime.fromtimestamp(timestamp, UTC)
    day = "" if now is not None and abs(timestamp - now) < _NEAR else f"{utc:%Y-%m-%d} "
    text = f"{day}{utc:%H:%M} UTC, {utc.astimezone(PARIS):%H:%M} in Paris"
    return f'<time datetime="{utc:%Y-%m-%dT%H:%M:%SZ}">{text}</time>'
