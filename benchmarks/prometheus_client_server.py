"""prometheus_client's own server with the exporter's collector: what the exporter would be without a server of its own.

It shows figures that an exporter kept, and asks nobody.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import PROCESS_COLLECTOR, CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.clock import SystemClock
from exporter.config import loader as config
from exporter.ratelimit.per_key import RateLimiters
from exporter.service import Service
from exporter.state.directory import StateDirectory
from exporter.state.store import Store
from tests.support.families import collect


class Everything(Collector):
    """Collects what the exporter does."""

    def __init__(self, store: Store, service: Service) -> None:
        self._store = store
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Yield all families as they are now."""
        yield from collect(self._store.snapshot, self._service.status(), time.time())
        yield from PROCESS_COLLECTOR.collect()

    def describe(self) -> list[Metric]:
        """Spare the registry a first collection."""
        return []


def main() -> None:
    """Serve on a port until killed: CONFIG STATE PORT."""
    configuration, state, port = sys.argv[1:]
    clock = SystemClock()
    settings = config.load(Path(configuration), os.environ, None)
    limiters = RateLimiters(settings.requests_per_minute, clock)
    store = Store(StateDirectory(Path(state)))
    service = Service(settings, lambda: settings, limiters, store, None, clock, "/metrics")
    registry = CollectorRegistry()
    registry.register(Everything(store, service))
    start_http_server(int(port), "127.0.0.1", registry)
    threading.Event().wait()


if __name__ == "__main__":
    main()
