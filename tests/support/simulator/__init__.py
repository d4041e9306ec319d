"""The simulated API for tests: it misbehaves as it is told, and tells what it was asked.

Over HTTP, `/simulator` does this, which is no part of the API: GET tells the requests, POST takes orders.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

from exporter.months import paris_date
from exporter.simulator.api import ENDPOINTS, SimulatedReply, json_reply, page, refusal
from exporter.simulator.server import SimulatedServer
from exporter.simulator.simulator import Simulator, serve

CONTROL = "/simulator"
Mode = Literal["ok", "hang", "body", "server_error", "key_rejected", "ip_refused"]
_REPLIES = {
    "server_error": page(500),
    "key_rejected": refusal(10, "Incorrect API Key"),
    "ip_refused": refusal(96, "This IP address is not authorised"),
}


@dataclass(frozen=True)
class Request:
    """A request to the API as it arrived. Its query, and so its key, is left out."""

    monotonic: float
    account: int
    """From 0 in the order in which the keys were seen."""
    status: int | None
    """HTTP status; None: nothing was answered."""


@dataclass
class Fault:
    """A way of misbehaving. It holds for one key and one endpoint, or for all, and for so many requests."""

    misbehave: Mode
    body: str = ""
    key: str | None = None
    endpoint: Literal["statistics", "credits", "subaccounts"] | None = None
    for_requests: int | None = None

    def takes(self, key: str, endpoint: str | None) -> bool:
        """Count a request if the fault holds for it."""
        if self.for_requests == 0 or self.key not in {None, key} or self.endpoint not in {None, endpoint}:
            return False
        if self.for_requests:
            self.for_requests -= 1
        return True


class MisbehavingSimulator:
    """A simulated API that can be told to misbehave. Beside what `Simulator` takes:

    running_month: whether `last_twelve_months` ends with the running month, or with the one before
    whole_months: whether the entries of a custom interval within one month are that month, or its days

    The documentation leaves both open.
    """

    def __init__(
        self,
        api_keys: Iterable[str] | None = None,
        *,
        running_month: bool = True,
        whole_months: bool = False,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        **limit: Any,
    ) -> None:
        self.running_month = running_month
        self.whole_months = whole_months
        self._simulator = Simulator(api_keys, now=now, monotonic=monotonic, **limit)
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._fault = Fault("ok")
        self._keys: dict[str, int] = {}
        self._requests: deque[Request] = deque(maxlen=5000)
        self._ended = threading.Event()

    def order(self, subaccounts: int | None = None, **fault: Any) -> None:
        """Misbehave from now on as the fields of a `Fault` say, and no longer as was said before.

        `subaccounts` is how many each account has from now on.
        """
        if subaccounts is not None:
            self._simulator.subaccounts = subaccounts
        if fault or subaccounts is None:
            self._fault = Fault(**fault)

    @property
    def requests(self) -> list[Request]:
        """The latest 5,000 requests to the API, oldest first."""
        with self._lock:
            return list(self._requests)

    def answer(self, method: str, target: str, body: bytes = b"") -> SimulatedReply:
        """Return the reply to a request that arrives now. If it is to hang, wait until the simulator ends."""
        path, _, query = target.partition("?")
        if path == CONTROL:
            return self._control(method, body)
        parameters = dict(parse_qsl(query))
        key = parameters.get("apiKey", "")
        with self._lock:
            arrived = self._monotonic()
            reply = self._good_reply(method, path, parameters)
            fault = self._fault
            misbehave: Mode = "ok"
            if reply.status != 429 and fault.takes(key, ENDPOINTS.get(path)):
                misbehave = fault.misbehave
            if misbehave == "body":
                reply = SimulatedReply(200, fault.body.encode())
            reply = _REPLIES.get(misbehave, reply)
            account = self._keys.setdefault(key, len(self._keys))
            status = None if misbehave == "hang" else reply.status
            self._requests.append(Request(arrived, account, status))
        if misbehave == "hang":
            self._ended.wait()
        return reply

    def end(self) -> None:
        """Let go of the requests that hang."""
        self._ended.set()

    def _good_reply(self, method: str, path: str, parameters: dict[str, str]) -> SimulatedReply:
        if parameters.get("interval") == "last_twelve_months" and not self.running_month:
            last = paris_date(self._now()).replace(day=1) - timedelta(days=1)
            first = date(last.year - (last.month < 12), last.month % 12 + 1, 1)
            parameters = {
                **parameters,
                "interval": "custom",
                "from": f"{first:%d-%m-%Y}",
                "to": f"{last:%d-%m-%Y}",
            }
        reply = self._simulator.answer(method, f"{path}?{urlencode(parameters)}")
        return _as_whole_months(reply) if self.whole_months else reply

    def _control(self, method: str, body: bytes) -> SimulatedReply:
        if method == "POST":
            self.order(**json.loads(body))
        return json_reply({"requests": [asdict(request) for request in self.requests]})


def _as_whole_months(reply: SimulatedReply) -> SimulatedReply:
    content = json.loads(reply.body)
    days = content.get("datas", [])
    if len({(day["year"], day["m"]) for day in days}) != 1:
        return reply
    sent = sum(int(day["nb_send"]) for day in days)
    cost = sum(round(float(day["cost"]) * 1000) for day in days) / 1000
    whole = {**days[0], "type": "month", "nb_send": str(sent), "cost": f"{cost:.3f}"}
    return json_reply({**content, "datas": [whole]})


def most_in_60s(arrivals: Iterable[float]) -> int:
    """Return the most of these instants (in seconds, in order) that any sliding 60 s hold."""
    window: deque[float] = deque()
    most = 0
    for arrived in arrivals:
        window.append(arrived)
        while window[0] <= arrived - 60:
            window.popleft()
        most = max(most, len(window))
    return most


@contextmanager
def served(simulator: MisbehavingSimulator) -> Iterator[SimulatedServer]:
    """Answer over HTTP on a free port of loopback until the block ends."""
    with serve(simulator.answer) as server:
        try:
            yield server
        finally:
            simulator.end()
