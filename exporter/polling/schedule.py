"""When a query is asked again, given how it ended. Pure. Times are seconds on the monotonic clock."""

import math

import msgspec

from exporter.model import Failure, Poll, Reason

_BACKOFF_FIRST = 60.0
_BACKOFF_MOST = 600.0
_REFUSED = 3600.0
_LIMITED_LEAST = 61.0
_LIMITED_MOST = 3600.0

NEEDS_ANOTHER_KEY = frozenset({Reason.KEY_REJECTED, Reason.ACCESS_DENIED})
"""Failures that do not heal by themselves: asked again once an hour, or at once with another key."""


def stretched_interval(poll_interval: float, requests: int, requests_per_hour: int, least: float) -> float:
    """Return the seconds that one round takes at least, in whole minutes, or `poll_interval` if that is longer.

    A round has `requests` requests; `requests_per_hour` others are sent each hour. `least` seconds lie between any two.
    """
    share_left = 1 - requests_per_hour * least / 3600
    needed = requests * least / max(share_left, 0.1)
    return max(poll_interval, math.ceil(needed / 60) * 60) if needed > poll_interval else poll_interval


def after_success(started: float, poll_interval: float) -> Poll:
    """Return the poll as it stands after an answer."""
    return Poll(due=started + poll_interval, succeeded=True)


def after_failure(poll: Poll, failure: Failure, now: float) -> Poll:
    """Return the poll as it stands after a failure: tried again later, never at once."""
    failures = poll.failures_in_a_row + 1
    return Poll(
        due=now + _delay(failure, failures),
        succeeded=False,
        reason=failure.reason,
        detail=failure.detail,
        failures_in_a_row=failures,
    )


def not_before(poll: Poll, earliest: float) -> Poll:
    """Return the poll, due at `earliest` or later."""
    return msgspec.structs.replace(poll, due=max(poll.due, earliest))


def due_by(poll: Poll, latest: float) -> Poll:
    """Return the poll, due at `latest` or sooner."""
    return msgspec.structs.replace(poll, due=min(poll.due, latest))


def _delay(failure: Failure, failures_in_a_row: int) -> float:
    if failure.reason in NEEDS_ANOTHER_KEY:
        return _REFUSED
    backoff = min(_BACKOFF_FIRST * (1 << min(failures_in_a_row - 1, 10)), _BACKOFF_MOST)
    if failure.reason is Reason.RATE_LIMITED:
        return min(max(failure.retry_after or 0.0, backoff, _LIMITED_LEAST), _LIMITED_MOST)
    return backoff
