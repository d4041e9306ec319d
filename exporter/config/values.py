"""Text in, one checked value out: durations, numbers, URLs, ranges of months.

Each function takes the path of the key and raises SchemaError, which says what would be right there.
"""

import calendar
import math
import re

from exporter.config.schema import EXPECTED, RangeConfig
from exporter.config.settings import DateRange
from exporter.durations import format_duration, parse_duration
from exporter.validation import SchemaError

_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")
_WHOLE = re.compile(r"[0-9]{1,9}")
_URL = re.compile(
    r"https?://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?:/(?:(?![?#\\])[!-~])*)?",
    re.ASCII | re.IGNORECASE,
)


def budget(path: str, text: str | None) -> float | None:
    """Return an amount above 0; None if there is none."""
    if text is None:
        return None
    amount = float(text) if _DECIMAL.fullmatch(text) else math.nan
    if not 0 < amount < math.inf:
        raise _unexpected(path)
    return amount


def whole_number(path: str, text: str, most: int) -> int:
    """Return a number from 1 to `most`."""
    number = int(text) if _WHOLE.fullmatch(text) else 0
    if not 1 <= number <= most:
        raise _unexpected(path)
    return number


def duration(path: str, text: str, most: int) -> int:
    """Return seconds, from 1 to `most`."""
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise _unexpected(path) from None
    if not 0 < seconds <= most:
        raise SchemaError(path, f"must be more than 0 and at most {format_duration(most)}")
    return seconds


def base_url(path: str, url: str) -> str:
    """Return the URL without a slash at its end."""
    match = _URL.fullmatch(url)
    if not match or int(match["port"] or 0) > 65535:
        raise _unexpected(path)
    return url.rstrip("/")


def month_range(path: str, days: RangeConfig) -> DateRange:
    """Return a range of whole months. Figures for part of a month would look like those of the whole month."""
    if days.last < days.first:
        raise SchemaError(f"{path}.to", "must not be before from")
    first = days.first.replace(day=1)
    if days.first != first:
        raise SchemaError(f"{path}.from", f"must be the first day of a month, such as {first}")
    last = days.last.replace(day=calendar.monthrange(days.last.year, days.last.month)[1])
    if days.last != last:
        raise SchemaError(f"{path}.to", f"must be the last day of a month, such as {last}")
    return DateRange(days.first, days.last)


def _unexpected(path: str) -> SchemaError:
    above, _, name = path.rpartition(".")
    # A value by id, such as subaccount_budgets.12, is described with the key above it.
    return SchemaError(path, f"expected {EXPECTED.get(name) or EXPECTED[above.rpartition('.')[2]]}")
