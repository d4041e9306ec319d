"""When a request may go out, so that the provider never sees more than its limit in any sliding minute. Pure.

It spaces requests instead of counting them, because network delay can squeeze 61 s of requests into 59 s at the
provider. It leaves at least 61 s ÷ `requests_per_minute` between the answer to one request and the sending of the next.
A request arrives after it is sent and before it is answered, so arrivals are at least that far apart, however the
network delays them. At 5 a minute, six of them span more than a minute. A request that is given up, or whose process is
killed, may still arrive a little later: the next one waits that much longer.

All state is one instant on the monotonic clock: when the next request is permitted. If nobody knows that instant, the
first request waits as if one had just been given up.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

LimitScope = Literal["all", "account"]
"""What the provider's limit counts: all requests together, or those with one key."""

MAX_REQUESTS_PER_MINUTE = 5
MAX_TIMEOUT = 300
MINUTE_WITH_MARGIN = 61.0
LATE_ARRIVAL_SECONDS = 2.0
"""How long a request that nobody answered may travel on. The minute's margin adds one more second."""
LATEST_PLAUSIBLE = MAX_TIMEOUT + MINUTE_WITH_MARGIN + LATE_ARRIVAL_SECONDS
"""No instant that was ever stored is further ahead than this."""
TOLERANCE = 1e-5
"""Instants are stored with six decimals."""
_RECHECK_SECONDS = 1.0


@dataclass(frozen=True)
class Permission:
    """One request may be sent now. It must have ended by `deadline` on the monotonic clock."""

    deadline: float


class WaitReason(StrEnum):
    """Why a request must wait, for the log."""

    INTERVAL = "the interval to the last request"
    ANOTHER_PROCESS = "the last request of another process"
    UNKNOWN_PAST = "earlier requests are unknown"
    LOCK_BUSY = "another process holds the lock"
    ANOTHER_MACHINE = "another machine uses the state directory"


@dataclass(frozen=True)
class Wait:
    """No request may be sent yet: ask again in `seconds`."""

    seconds: float
    reason: WaitReason = WaitReason.INTERVAL


@dataclass(frozen=True)
class UnknownPast:
    """Nobody knows what was requested before: the first request must wait the interval of an unanswered one."""


def request_interval(requests_per_minute: int) -> float:
    """Return the least seconds between an answer and the next request."""
    return MINUTE_WITH_MARGIN / requests_per_minute


def unanswered_interval(requests_per_minute: int) -> float:
    """Return the least seconds between giving a request up and the next one."""
    return request_interval(requests_per_minute) + LATE_ARRIVAL_SECONDS


def decide(
    now: float, own: float | None, stored: float | None, timeout: float, *, is_shared: bool
) -> Permission | Wait | UnknownPast:
    """Decide whether a request that ends within `timeout` seconds may go out.

    `own` is when this process permits its next request, and `stored` is when the lock file does; each is None if
    unknown. If there is a lock file (`is_shared`) without a plausible instant, the past is unknown.
    """
    if is_shared and (stored is None or stored > now + LATEST_PLAUSIBLE):
        return UnknownPast()
    known = [instant for instant in (own, stored) if instant is not None]
    if not known:
        return UnknownPast()
    permitted = max(known)
    if permitted <= now:
        return Permission(now + timeout)
    seconds = permitted - now
    if own is not None and permitted <= own + TOLERANCE:
        return Wait(seconds)
    # The other process's answer may permit it sooner.
    return Wait(min(seconds, _RECHECK_SECONDS), WaitReason.ANOTHER_PROCESS)


def settled(own: float, stored: float, reserved: float) -> float:
    """Return what belongs into the lock file once a request has ended.

    It is this process's own instant, unless another process has stored a later one over its reservation.
    """
    return own if abs(stored - reserved) < TOLERANCE else max(stored, own)
