"""Quantities in text: durations as Prometheus writes them (``30s``, ``1h30m``, ``1d``), and counted nouns."""

import re

_SECONDS = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}){unit})?" for unit in _SECONDS) + r"\Z")


def parse_duration(text: str) -> int:
    """Return the seconds of a Prometheus duration.

    Raises ValueError if `text` is not a duration. Milliseconds are not accepted.
    """
    match = _DURATION.match(text)
    if not text or not match:
        raise ValueError("not a duration: write it like 30s, 15m, 1h30m or 1d")
    return sum(int(count) * _SECONDS[unit] for unit, count in match.groupdict(default="0").items())


def format_duration(seconds: float) -> str:
    """Return the shortest way to write whole seconds, rounded up: 3294 is ``54m54s``."""
    rest = max(0, -int(-seconds // 1))
    text = ""
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _SECONDS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def plural(count: int, noun: str) -> str:
    """Return ``1 account`` or ``2 accounts``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
