"""Which pace a key is asked at: one for all, or each key its own, as far as the limit is known to reach.

Where each key has its own pace, the instant of its next permitted request is kept in a file of its own, named after a
keyed hash of the key. The key of that hash is the boot's random name: all processes that an instant means anything to
know it already, so there is no salt to keep, to lose, or to make at the same time in two processes; and it is no easier
to check guessed keys against such a name than against the fingerprints of the kept figures.
"""

import contextlib
import hmac

from exporter.clock import Clock
from exporter.ratelimit.limiter import LimitScope, RateLimiter, boot_id, request_interval, unanswered_interval
from exporter.ratelimit.lock_file import FILE_NAME, KEY_FILE_PREFIX, LockBusyError, sweep_key_files
from exporter.secret import Secret
from exporter.state.directory import StateDirectory

_FORGET_AFTER = 86_400.0
_FORGET_EVERY = 3_600.0


class RateLimiters:
    """The paces of one process, in step with all that use the same state directory, if there is one.

    `past_is_empty` says that nobody can have sent a request before: then the first need not wait.
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
        self._held_until: float | None = None
        self._limiters: dict[str, RateLimiter] = {}
        self._forget_at = clock.monotonic()

    @property
    def interval(self) -> float:
        """The least seconds between an answer and the next request at the same pace."""
        return request_interval(self.requests_per_minute)

    def configure(self, requests_per_minute: int, scope: LimitScope) -> None:
        """Go on with another limit. With another scope, whatever is asked next waits."""
        self.requests_per_minute = requests_per_minute
        for limiter in self._limiters.values():
            limiter.requests_per_minute = requests_per_minute
        if scope != self.scope:
            self.scope = scope
            self._held_until = self._clock.monotonic() + unanswered_interval(requests_per_minute)
            self._forget(list(self._limiters))

    def of(self, key: Secret) -> RateLimiter:
        """Return the pace at which requests with this key are sent."""
        if self._clock.monotonic() >= self._forget_at:
            self._forget_the_quiet()
        name = self._key_file(key) if self.scope == "account" else FILE_NAME
        return self._limiters.get(name) or self._begin(name)

    def requests_last_minute(self) -> int:
        """Count the requests this process sent in the last 60 s; the most at one pace where there are several."""
        return max((limiter.requests_last_minute() for limiter in tuple(self._limiters.values())), default=0)

    def seconds_left_of_unknown_past(self) -> float:
        """Return how long the longest wait still is that an unknown past asked for; 0 where there is none."""
        return max(
            (limiter.seconds_left_of_unknown_past() for limiter in tuple(self._limiters.values())),
            default=0.0,
        )

    def _begin(self, name: str) -> RateLimiter:
        limiter = RateLimiter(
            self.requests_per_minute,
            self._clock,
            self._directory,
            self._boot,
            self._past_is_empty,
            key_file=None if name == FILE_NAME else name,
        )
        if self._held_until is not None:
            limiter.hold(self._held_until)
        self._limiters[name] = limiter
        return limiter

    def _key_file(self, key: Secret) -> str:
        # Processes that cannot tell the boot know nothing in common but the directory.
        salt = "unknown" if self._boot.startswith("unknown") else self._boot
        return KEY_FILE_PREFIX + hmac.digest(salt.encode(), key.reveal().encode(), "sha256").hex()[:16]

    def _forget_the_quiet(self) -> None:
        """Forget keys that have not been used for long, here and in the directory: most were replaced."""
        now = self._clock.monotonic()
        self._forget_at = now + _FORGET_EVERY
        quiet_since = now - _FORGET_AFTER
        self._forget([name for name, limiter in self._limiters.items() if limiter.forgettable(quiet_since)])
        if self._directory:
            with contextlib.suppress(LockBusyError):
                for _ in sweep_key_files(self._directory, self._boot, lambda instant: instant > quiet_since):
                    pass

    def _forget(self, names: list[str]) -> None:
        for name in names:
            del self._limiters[name]
            if self._directory:
                self._directory.forget(name)
