"""Time, handed in wherever it is needed, so that tests tell it instead of waiting for it."""

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """The two clocks of a machine, and waiting on them."""

    def time(self) -> float:
        """Wall clock, Unix seconds. It may be stepped: for display and calendar only."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, the same for all processes of one boot. It never steps."""

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Return when `event` is set or `seconds` have passed, whichever is first."""


class SystemClock:
    """The clocks of the machine this runs on."""

    def time(self) -> float:
        """Wall clock, Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """CLOCK_MONOTONIC, seconds."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Return when `event` is set or `seconds` have passed, whichever is first."""
        event.wait(seconds)


def wall_clock_offset(clock: Clock) -> float:
    """Return what turns an instant of the monotonic clock into Unix time, to a tenth of a second.

    Rounded, it stays the same as long as nobody sets the wall clock.
    """
    return round(clock.time() - clock.monotonic(), 1)
