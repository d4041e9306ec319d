"""The rate limiter of one process, in step with all processes that use the same state directory.

Before a request is sent, the lock file gets the instant that holds if the request is given up at its deadline. The
answer replaces it with an earlier one. A process that is killed in between leaves a safe value behind.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exporter.clock import Clock
from exporter.model import Failure
from exporter.ratelimit.decision import (
    MAX_REQUESTS_PER_MINUTE,
    Permission,
    UnknownPast,
    Wait,
    WaitReason,
    decide,
    request_interval,
    settled,
    unanswered_interval,
)
from exporter.ratelimit.lock_file import HeldLockFile, LockBusyError, LockFile

logger = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIME_NAMESPACE_OFFSETS = Path("/proc/self/timens_offsets")


def boot_id() -> str:
    """Return what tells this process's monotonic clock from any other: the boot, and the offset of a time namespace."""
    try:
        return _BOOT_ID.read_text("utf-8").strip() + _time_namespace_offset()
    except (OSError, ValueError):
        # Then no stored instant can be trusted: each process takes the past as unknown.
        return f"unknown-{os.urandom(8).hex()}"


def _time_namespace_offset() -> str:
    try:
        _, seconds, nanoseconds = _TIME_NAMESPACE_OFFSETS.read_text("utf-8").split()[:3]
    except FileNotFoundError:  # the kernel has no time namespaces
        return ""
    return "" if (seconds, nanoseconds) == ("0", "0") else f"+{seconds}.{nanoseconds}"


class RateLimiter:
    """Permits one request at a time. Without a lock file, it knows of no other process.

    `past_is_empty` says that nobody can have sent a request before: then the first one need not wait. The wait for an
    unknown past is logged at `log_level`.
    """

    def __init__(
        self,
        requests_per_minute: int,
        clock: Clock,
        lock_file: LockFile | None = None,
        past_is_empty: bool = False,
        log_level: int = logging.INFO,
    ) -> None:
        self.requests_per_minute = requests_per_minute
        self._clock = clock
        self._file = lock_file
        self._log_level = log_level
        self._own: float | None = clock.monotonic() if past_is_empty else None
        """When this process permits the next request; None if it knows nothing of the past."""
        self._reserved: float | None = None
        """What this process wrote into the lock file for its request, until the file has the final instant."""
        self._unknown_past_until = clock.monotonic()
        self._sent: deque[float] = deque(maxlen=2 * MAX_REQUESTS_PER_MINUTE)
        self._lock = threading.Lock()

    @contextmanager
    def request(self, timeout: float) -> Iterator[Permission | Wait]:
        """Permit one request for the block, which must end within `timeout` seconds, or say how long to wait.

        The block lets Failure pass: it tells whether the provider had the request. Any other exception counts as a
        request that was given up.
        """
        permission = self.try_acquire(timeout)
        if isinstance(permission, Wait):
            yield permission
            return
        answered = False
        try:
            yield permission
            answered = True
        except Failure as failure:
            answered = failure.answered
            raise
        finally:
            self.release(answered=answered)

    def try_acquire(self, timeout: float) -> Permission | Wait:
        """Permit one request that ends within `timeout` seconds, or say how long to wait before asking again.

        `release` must follow as soon as the answer is there or the request is given up.
        """
        with self._lock:
            if not self._file:
                return self._acquire(None, timeout)
            try:
                with self._file.locked() as file:
                    return self._acquire(file, timeout)
            except LockBusyError as busy:
                return busy.wait

    def release(self, *, answered: bool) -> None:
        """Let the interval to the next request begin now."""
        with self._lock:
            interval = request_interval if answered else unanswered_interval
            self._own = self._clock.monotonic() + interval(self.requests_per_minute)
            if self._file:
                # If the lock is busy, the next acquisition settles it; until then the file is only too careful.
                with suppress(LockBusyError), self._file.locked() as file:
                    self._settle(file)

    def requests_last_minute(self) -> int:
        """Count the requests this process sent in the last 60 s."""
        since = self._clock.monotonic() - 60
        return sum(sent > since for sent in tuple(self._sent))

    def is_idle(self, since: float) -> bool:
        """Return whether its last request is longer ago than an instant on the monotonic clock."""
        return self._own is not None and self._own < since

    def seconds_left_of_unknown_past(self) -> float:
        """Return how long the wait for an unknown past still lasts; 0 if there is none."""
        return max(0.0, self._unknown_past_until - self._clock.monotonic())

    def _acquire(self, file: HeldLockFile | None, timeout: float) -> Permission | Wait:
        self._settle(file)
        now = self._clock.monotonic()
        stored = file.read() if file else None
        decision = decide(now, self._own, stored, timeout, is_shared=file is not None)
        if file and not isinstance(decision, Wait) and not file.write(self._next_after(decision, now)):
            # Nothing can be shared: only what this process did itself counts.
            decision = decide(now, self._own, None, timeout, is_shared=False)
        match decision:
            case UnknownPast():
                return self._wait_out_unknown_past(now)
            case Permission():
                self._own = self._reserved = self._next_after(decision, now)
                self._sent.append(now)
        return decision

    def _next_after(self, decision: Permission | UnknownPast, now: float) -> float:
        """Return when the next request is permitted if this one is never answered."""
        given_up = decision.deadline if isinstance(decision, Permission) else now
        return given_up + unanswered_interval(self.requests_per_minute)

    def _wait_out_unknown_past(self, now: float) -> Wait:
        seconds = unanswered_interval(self.requests_per_minute)
        logger.log(
            self._log_level,
            "earlier requests are unknown: waiting before the next one",
            extra={"seconds": round(seconds, 1)},
        )
        self._own = self._unknown_past_until = now + seconds
        return Wait(seconds, WaitReason.UNKNOWN_PAST)

    def _settle(self, file: HeldLockFile | None) -> None:
        """Replace this process's reservation in the file by the instant that holds since its request ended."""
        if file and self._reserved is not None and self._own is not None:
            stored = file.read()
            if stored is not None and not file.write(settled(self._own, stored, self._reserved)):
                return
        self._reserved = None
