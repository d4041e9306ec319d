"""The rate limiters of one process: one for all keys, or one for each key.

One state directory has one scope. If each key has its own limiter, each has a lock file of its own, named after a hash
of the key.
"""

import hashlib
import logging
from contextlib import suppress

from exporter.clock import Clock
from exporter.ratelimit.decision import LimitScope, request_interval
from exporter.ratelimit.limiter import RateLimiter, boot_id
from exporter.ratelimit.lock_file import FILE_NAME, KEY_FILE_PREFIX, LockFile, claim_directory
from exporter.secret import Secret
from exporter.state.directory import StateDirectory

_IDLE_SECONDS = 86_400.0


class RateLimiters:
    """Hands out the limiter that a key's requests go through.

    `past_is_empty` says that nobody can have sent a request before: then the first one need not wait.
    """

    def __init__(
        self,
        requests_per_minute: int,
        clock: Clock,
        directory: StateDirectory | None = None,
        boot: str | None = None,
        past_is_empty: bool = False,
        scope: LimitScope = "all",
    ) -> None:
        self.requests_per_minute = requests_per_minute
        self.scope = scope
        self._clock = clock
        self._directory = directory
        self._boot = boot or boot_id()
        self._past_is_empty = past_is_empty
        self._limiters: dict[str, RateLimiter] = {}

    def claim_directory(self) -> None:
        """Make sure that no other machine uses the state directory. Raises DirectoryInUseError."""
        if self._directory:
            with suppress(OSError):  # the first request logs it
                claim_directory(self._directory, self._boot, self.scope)

    @property
    def interval(self) -> float:
        """The least seconds between an answer and the next request through the same limiter."""
        return request_interval(self.requests_per_minute)

    def configure(self, requests_per_minute: int, scope: LimitScope) -> None:
        """Go on with another limit. Under another scope the past is unknown, so each first request waits."""
        self.requests_per_minute = requests_per_minute
        for limiter in self._limiters.values():
            limiter.requests_per_minute = requests_per_minute
        if scope != self.scope:
            self.scope = scope
            self._past_is_empty = False
            if self._directory:
                for name in self._limiters:
                    self._directory.forget(name)
            self._limiters = {}

    def for_key(self, key: Secret) -> RateLimiter:
        """Return the limiter that requests with this key go through."""
        name = _key_file(key) if self.scope == "account" else FILE_NAME
        self._drop_idle(except_for=name)
        if name not in self._limiters:
            self._limiters = {**self._limiters, name: self._new_limiter(name)}
        return self._limiters[name]

    def requests_last_minute(self) -> int:
        """Count the requests this process sent in the last 60 s; the most through one limiter if there are several."""
        return max((limiter.requests_last_minute() for limiter in self._limiters.values()), default=0)

    def seconds_left_of_unknown_past(self) -> float:
        """Return how long the longest wait for an unknown past still lasts; 0 if there is none."""
        return max(
            (limiter.seconds_left_of_unknown_past() for limiter in self._limiters.values()), default=0.0
        )

    def _new_limiter(self, name: str) -> RateLimiter:
        file = LockFile(self._directory, self._boot, name) if self._directory else None
        # With a limiter for each key, a start would log a line for each account.
        level = logging.DEBUG if self.scope == "account" else logging.INFO
        return RateLimiter(self.requests_per_minute, self._clock, file, self._past_is_empty, level)

    def _drop_idle(self, except_for: str) -> None:
        """Drop the limiters of other keys that were not used for a day: most have been replaced."""
        since = self._clock.monotonic() - _IDLE_SECONDS
        for name, limiter in tuple(self._limiters.items()):
            if name != except_for and limiter.is_idle(since):
                self._limiters = {other: kept for other, kept in self._limiters.items() if other != name}
                if self._directory:
                    self._directory.forget(name)


def _key_file(key: Secret) -> str:
    return KEY_FILE_PREFIX + hashlib.sha256(f"smspartner-exporter {key.reveal()}".encode()).hexdigest()[:16]
