"""The page of metrics in parts, so that what did not change since the last scrape is not encoded again."""

from collections.abc import Iterator
from functools import partial

from prometheus_client import PROCESS_COLLECTOR

from exporter.metrics import families
from exporter.metrics.exposition import Part
from exporter.model import Snapshot, Status


def parts(snapshot: Snapshot, status: Status, now: float) -> Iterator[Part]:
    """Yield all metrics, account by account. `now` is Unix time."""
    offset = status.wall_clock_offset
    for account in snapshot:
        collect = partial(families.of_accounts, (account,), offset)
        yield Part(("account", account.name), collect, state=(account, offset))
    # By itself, because it is never the same again, and the accounts' other families seldom change.
    yield Part("month", lambda: [families.of_running_month(snapshot, now)])
    yield Part("exporter", partial(families.of_exporter, status), state=status)
    yield Part("process", PROCESS_COLLECTOR.collect)
