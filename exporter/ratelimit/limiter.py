"""When the next request may be sent, so that the provider never sees more than its limit in any sliding minute.

Counting cannot promise that: what is sent within 61 s may arrive within 59. A pace can. Between the answer to one
request and the sending of the next lie at least 61 s ÷ the requests per minute. A request arrives after its sending
and before its answer, so arrivals are that far apart however the network delays them, and at 5 a minute six of them
span more than a minute. A request that is not answered, given up or its process killed, may still be under way and
arrive a little later: the next one waits that much longer.

All state is one instant on the monotonic clock: when the next request is permitted. Processes that use the same
state directory share it. Before a request is sent, the instant is set as if it were given up at the deadline; the
answer brings it forward. A process killed in between therefore leaves a safe value behind. Where the past is unknown
(no file, another boot, a directory that cannot be written), the first request waits as if one was just given up.
"""

import logging
import os
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from exporter.clock import Clock
from exporter.ratelimit.lock_file import HeldLockFile, KeyLockFile, LockBusyError, LockFile
from exporter.state.directory import StateDirectory

logger = logging.getLogger(__name__)

LimitScope = Literal["all", "account"]
"""What the provider's limit is taken to hold for: all requests together, or those with one key."""

MAX_REQUESTS_PER_MINUTE = 5
MAX_TIMEOUT = 300
_MINUTE_WITH_MARGIN = 61.0
LATE_ARRIVAL_SECONDS = 2.0
"""Seconds for which a request that nobody answered may travel on. The minute's margin adds one more."""
LATEST_PLAUSIBLE = MAX_TIMEOUT + _MINUTE_WITH_MARGIN + LATE_ARRIVAL_SECONDS
_RETRY_LOCK_AFTER = 0.05
_RECHECK_AFTER = 1.0
TOLERANCE = 1e-5


def request_interval(requests_per_minute: int) -> float:
    """Return the least seconds between an answer and the next request."""
    return _MINUTE_WITH_MARGIN / requests_per_minute


def unanswered_interval(requests_per_minute: int) -> float:
    """Return the least seconds between giving a request up and the next one."""
    return request_interval(requests_per_minute) + LATE_ARRIVAL_SECONDS


def boot_id() -> str:
    """Return what tells this boot's monotonic clock from that of any other boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    except (OSError, ValueError):
        # Then no stored instant can be trusted: each process takes the past as unknown.
        return f"unknown-{os.urandom(8).hex()}"


@dataclass(frozen=True)
class Permission:
    """One request may be sent now. It must have ended by `deadline` on the monotonic clock."""

    deadline: float


@dataclass(frozen=True)
class Wait:
    """No request may be sent yet: ask again in `seconds`."""

    seconds: float


class RateLimiter:
    """The pace of one process, in step with all that use the same state directory, if there is one.

    It is that of all requests together, or with `key_file`, the name of a file there, that of one key.
    `past_is_empty` says that nobody can have sent a request before: then the first need not wait.
    """

    def __init__(
        self,
        requests_per_minute: int,
        clock: Clock,
        directory: StateDirectory | None = None,
        boot: str | None = None,
        past_is_empty: bool = False,
        key_file: str | None = None,
    ) -> None:
        self.requests_per_minute = requests_per_minute
        self._clock = clock
        self._file = _file(directory, boot or boot_id(), key_file) if directory else None
        self._unknown_past_level = logging.DEBUG if key_file else logging.INFO
        self._own: float | None = clock.monotonic() if past_is_empty else None
        self._reserved: float | None = None
        self._in_flight = False
        self._unknown_past_until = clock.monotonic()
        self._sent: deque[float] = deque(maxlen=2 * MAX_REQUESTS_PER_MINUTE)
        self._lock = threading.Lock()

    @property
    def interval(self) -> float:
        """The least seconds between an answer and the next request."""
        return request_interval(self.requests_per_minute)

    @property
    def _unanswered_interval(self) -> float:
        return unanswered_interval(self.requests_per_minute)

    def try_acquire(self, timeout: float) -> Permission | Wait:
        """Permit one request that ends within `timeout` seconds, or say how long to wait before asking again.

        `release` must follow as soon as the answer is there or the request was given up.
        """
        with self._lock:
            if not self._file:
                return self._decide(None, timeout)
            try:
                with self._file.locked() as file:
                    return self._decide(file, timeout)
            except LockBusyError:
                return Wait(_RETRY_LOCK_AFTER)

    def release(self, *, answered: bool) -> None:
        """Let the pace run from now on: the answer is there, or the request was given up."""
        with self._lock:
            if not self._in_flight:
                return
            self._in_flight = False
            self._own = self._clock.monotonic() + (self.interval if answered else self._unanswered_interval)
            if self._file:
                try:
                    with self._file.locked() as file:
                        self._bring_forward(file)
                except LockBusyError:
                    pass  # the next try_acquire does it; until then the file is only too careful

    def hold(self, until: float) -> None:
        """Permit nothing before an instant on the monotonic clock."""
        with self._lock:
            self._own = until if self._own is None else max(self._own, until)

    def forgettable(self, since: float) -> bool:
        """Say whether nothing was asked or waited for since an instant on the monotonic clock."""
        return not self._in_flight and (self._own is None or self._own < since)

    def requests_last_minute(self) -> int:
        """Count the requests this process sent in the last 60 s."""
        since = self._clock.monotonic() - 60
        return sum(sent > since for sent in tuple(self._sent))

    def seconds_left_of_unknown_past(self) -> float:
        """Return how long the wait still is that an unknown past asked for; 0 where there is none."""
        return max(0.0, self._unknown_past_until - self._clock.monotonic())

    def _decide(self, file: HeldLockFile | None, timeout: float) -> Permission | Wait:
        if not self._in_flight:
            self._bring_forward(file)
        now = self._clock.monotonic()
        shared = file.read() if file else None
        most = now + LATEST_PLAUSIBLE
        if file and (shared is None or shared > most):
            if file.write(now + self._unanswered_interval):
                return self._wait_out_unknown_past(now)
            file = shared = None
        if not file and self._own is None:
            return self._wait_out_unknown_past(now)
        permitted = max(instant for instant in (shared, self._own) if instant is not None)
        if permitted > now:
            another_may_bring_it_forward = self._own is None or permitted > self._own + TOLERANCE
            return Wait(
                min(permitted - now, _RECHECK_AFTER) if another_may_bring_it_forward else permitted - now
            )
        others = self._file.others(now, most) if self._file and file else []
        if file and None in others:
            file.write(now + self._unanswered_interval)
            return self._wait_out_unknown_past(now)
        if held := [instant for instant in others if instant is not None]:
            return Wait(min(max(held) - now, _RECHECK_AFTER))
        reservation = now + timeout + self._unanswered_interval
        if file and not file.write(reservation) and self._own is None:
            return self._wait_out_unknown_past(now)
        self._own = self._reserved = reservation
        self._in_flight = True
        self._sent.append(now)
        return Permission(now + timeout)

    def _wait_out_unknown_past(self, now: float) -> Wait:
        logger.log(
            self._unknown_past_level,
            "what was requested before is unknown: waiting before the next request",
            extra={"seconds": round(self._unanswered_interval, 1)},
        )
        self._own = self._unknown_past_until = now + self._unanswered_interval
        return Wait(self._unanswered_interval)

    def _bring_forward(self, file: HeldLockFile | None) -> None:
        if file and self._reserved is not None and self._own is not None:
            shared = file.read()
            if shared is not None:
                is_ours = abs(shared - self._reserved) < TOLERANCE
                if not file.write(self._own if is_ours else max(shared, self._own)):
                    return
        self._reserved = None


def _file(directory: StateDirectory, boot: str, key_file: str | None) -> LockFile:
    return KeyLockFile(directory, boot, key_file) if key_file else LockFile(directory, boot)
