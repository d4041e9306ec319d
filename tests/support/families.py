"""All metric families of the exporter at once, as a scrape shows them one after another."""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from exporter.metrics import families
from exporter.model import Snapshot, Status


def collect(snapshot: Snapshot, status: Status, now: float) -> Iterator[Metric]:
    """Yield them as they are at a Unix time, those of the accounts first."""
    yield from families.of_accounts(snapshot, status.wall_clock_offset)
    yield families.of_running_month(snapshot, now)
    yield from families.of_exporter(status)
