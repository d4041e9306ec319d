"""A simulated API whose figures tell which of its replies they came from, and what an exporter shows of them."""

import json
import queue
from pathlib import Path

from exporter.simulator.api import SimulatedReply
from tests.support.running import Running
from tests.support.simulator import MisbehavingSimulator

KEY = "S3CR+T/key"
INTERVAL = 12.2
UNWRITABLE = "state directory cannot be written"
WRITABLE_AGAIN = "state directory can be written again"


class Numbered(MisbehavingSimulator):
    """Gives the number of the request as its only figure. It has no limit of its own: it is the judge's to keep."""

    def __init__(self) -> None:
        super().__init__(requests_per_minute=None)
        self.asked: queue.SimpleQueue[int] = queue.SimpleQueue()
        """The numbers of the requests, each as soon as its reply is ready to go."""

    def answer(self, method: str, target: str, body: bytes = b"") -> SimulatedReply:
        """The reply to a request."""
        number = len(self.requests) + 1
        month = {"year": "2026", "m": "10", "type": "month", "cost": str(number), "nb_send": str(number)}
        self.order(misbehave="body", body=json.dumps({"success": True, "datas": [month]}))
        reply = super().answer(method, target, body)
        self.asked.put(number)
        return reply

    @property
    def arrivals(self) -> list[float]:
        """When requests arrived, on the monotonic clock."""
        return [request.monotonic for request in self.requests]


def configured(path: Path, base_url: str) -> Path:
    """Write a configuration with which one request is sent as often as the limit allows."""
    queries = {"poll_interval": "13s", "current_month": False, "credits": False}
    path.write_text(json.dumps({"base_url": base_url, "api_key": KEY, **queries}))
    return path


def shown(exporter: Running) -> int:
    """Return the number of the reply whose figures are shown; 0 where none are."""
    figures = exporter.series("sms_")
    assert len(figures) in {0, 2}, figures
    assert len(set(figures.values())) <= 1, figures
    return int(next(iter(figures.values()), 0))
