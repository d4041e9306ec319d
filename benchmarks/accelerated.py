"""The exporter on a clock that skips what its poller would wait, so that days of polling take seconds.

Everything else is as it is: web server, poller, transport, rate limiter, state directory. CONFIG STATE PORT HOURS.
"""

import asyncio
import os
import sys
import threading
import time
from pathlib import Path

from exporter import log
from exporter.config import loader as config
from exporter.ratelimit.per_key import RateLimiters
from exporter.service import Service
from exporter.state.directory import StateDirectory
from exporter.state.store import Store
from exporter.web.server import listen


class SkippingClock:
    """A monotonic clock that waits are skipped on until so many seconds have been; the calendar stays."""

    def __init__(self, seconds: float) -> None:
        self._skipped = 0.0
        self._left = seconds

    def time(self) -> float:
        """Return the time of day."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds, skipped ones included."""
        return time.monotonic() + self._skipped

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Skip the wait; once enough was skipped, wait."""
        if event.is_set():
            return
        skipped = min(seconds, self._left)
        self._skipped += skipped
        self._left -= skipped
        event.wait(seconds - skipped)


def main() -> int:
    """Serve until told to end."""
    configuration, state, port, hours = sys.argv[1:]
    log.configure("warning", "logfmt")
    clock = SkippingClock(float(hours) * 3600)
    settings = config.load(Path(configuration), os.environ, None)
    directory = StateDirectory(Path(state))
    limiters = RateLimiters(settings.requests_per_minute, clock, directory)
    service = Service(settings, lambda: settings, limiters, Store(directory), directory, clock, "/metrics")
    with listen("127.0.0.1", int(port)) as listening:
        return asyncio.run(service.run([listening]))


if __name__ == "__main__":
    sys.exit(main())
