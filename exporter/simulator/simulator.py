"""A simulated SMS Partner API: for `--demo`, for tests, and by itself: `python -m exporter.simulator`.

Beside the API it has `/simulator`, which is no part of it: GET tells what has been asked, POST takes orders
to misbehave, to spend, to turn the clock (`Simulator.order`).
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from exporter.simulator.api import (
    ENDPOINTS,
    Options,
    SimulatedReply,
    credits_left,
    decimal,
    error,
    field_errors,
    json_reply,
    page,
    statistics,
)
from exporter.simulator.history import PARIS, SimulatedAccount, paris
from exporter.simulator.server import DELIVERIES, UNANSWERED, SimulatedServer

CONTROL = "/simulator"
ERROR_CODES = {
    "key_required": 1,
    "key_rejected": 10,
    "account_disabled": 20,
    "account_blocked": 30,
    "access_denied": 40,
    "ip_refused": 96,
    "rate_limited": 429,
}
_CONTENTS = ("error_list", "server_error", "empty", "html", "not_json", "body", "redirect")
MODES = ("ok", *ERROR_CODES, *_CONTENTS, *DELIVERIES)

_DOCUMENTED = Options()
_MOST_ACCOUNTS = 1000
_MOST_RECORDS = 5000

_NUMBER = (int, float)
_FAULT_ORDERS: dict[str, tuple[type, ...]] = {
    "endpoint": (str,),
    "for_requests": (int,),
    "seconds": _NUMBER,
    "redirect_to": (str,),
    "body": (str,),
    "status": (int,),
}
_ORDERS = _FAULT_ORDERS | {
    "key": (str,),
    "misbehave": (str,),
    "overspend": _NUMBER,
    "send": (int,),
    "balance": (*_NUMBER, type(None)),
    "top_up": _NUMBER,
    "now": (str, type(None)),
    "offset": _NUMBER,
}
_RANGES = {"for_requests": (1, 1e9), "status": (200, 599), "offset": (-1e9, 1e9)}
_ACCOUNT_ORDERS: dict[str, Callable[[SimulatedAccount, Any, float], None]] = {
    "overspend": SimulatedAccount.overspend,
    "send": SimulatedAccount.send,
    "balance": SimulatedAccount.set_balance,
    "top_up": SimulatedAccount.top_up,
}


@dataclass(frozen=True)
class Request:
    """A request to the API as it arrived. Its query, and so its key, is not kept."""

    monotonic: float
    time: float
    method: str
    path: str
    account: int | None
    """Number of the account, from 1 in the order of their appearance; None: unknown or no key."""
    status: int | None
    """HTTP status; None: nothing was answered."""
    mode: str


@dataclass
class Fault:
    """A way of misbehaving, until told otherwise."""

    mode: str
    account: int | None
    endpoint: str | None = None
    for_requests: int | None = None
    seconds: float = 1.0
    redirect_to: str = "http://127.0.0.1:9/"
    body: str = ""
    status: int = 200


class Simulator:
    """The API without its transport. Safe to use from several threads.

    Every key has an account of its own, unless `api_keys` names the only ones there are. `now` (Unix time)
    decides on the figures, `monotonic` (seconds) on the limit.
    """

    def __init__(
        self,
        api_keys: Iterable[str] | None = None,
        *,
        seed: int = 0,
        options: Options = _DOCUMENTED,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options
        self._seed = seed
        self._now = now
        self._monotonic = monotonic
        self._fixed: float | None = None
        self._offset = 0.0
        self._lock = threading.Lock()
        self._accounts: dict[str, SimulatedAccount] = {}
        for key in api_keys or ():
            self._open_account(key)
        self._any_key = api_keys is None
        self._arrivals: dict[int | None, deque[float]] = {}
        self._faults: list[Fault] = []
        self._requests: deque[Request] = deque(maxlen=_MOST_RECORDS)

    def answer(self, method: str, target: str, body: bytes = b"") -> SimulatedReply:
        """The reply to a request for `target` (path and query) that arrives now."""
        path, _, query = target.partition("?")
        if path == CONTROL:
            return self._control(method, body)
        parameters = dict(parse_qsl(query))
        with self._lock:
            arrived = self._monotonic()
            account = self._account(parameters.get("apiKey", ""))
            number = account.number if account else None
            mode = "ok"
            if not self._within_limit(arrived, number):
                reply = error(429, self.options)
            else:
                reply = self._api(method, path, parameters, account)
                if fault := self._fault(number, ENDPOINTS.get(path)):
                    mode = fault.mode
                    reply = self._spoilt(reply, fault, query)
            status = None if reply.delivery in UNANSWERED else reply.status
            self._requests.append(Request(arrived, self._now(), method, path[:200], number, status, mode))
        return reply

    def order(self, /, **orders: Any) -> None:
        """Follow orders; those of `POST /simulator` are the same, as the members of a JSON object.

        key: whose account is meant, else all that have been seen
        misbehave: one of MODES, until told `ok` with the same key and endpoint; the latest of several holds
          endpoint: on `statistics` or `credits` only
          for_requests: only so many times
          seconds: delay of `slow`, pause between two bytes of `drip_headers` and `drip_body`
          redirect_to: URL of `redirect`, gets the query appended
          body, status: what `body` replies
        overspend: factor on all that is sent in the month that runs; kept when it is over
        send: so many SMS at once, now
        balance: euros left, without automatic top-ups from now on; null: with them again
        top_up: euros paid in
        now: ISO 8601 instant (without an offset: in France) at which the figures stand still; null: they go on
        offset: seconds by which their clock is ahead while it runs

        Raises ValueError, and has done nothing then.
        """
        _check(orders)
        with self._lock:
            key = orders.get("key")
            accounts = list(self._accounts.values()) if key is None else [self._named(key)]
            if not accounts and orders.keys() & _ACCOUNT_ORDERS:
                raise ValueError("key: missing, and no account has been seen yet")
            if "now" in orders:
                self._fixed = _instant(orders["now"])
            self._offset = orders.get("offset", self._offset)
            for name, follow in _ACCOUNT_ORDERS.items():
                for account in accounts if name in orders else ():
                    follow(account, orders[name], self._time())
            if mode := orders.get("misbehave"):
                how = {name: orders[name] for name in _FAULT_ORDERS.keys() & orders}
                fault = Fault(mode, None if key is None else accounts[0].number, **how)
                scope = (fault.account, fault.endpoint)
                self._faults = [old for old in self._faults if (old.account, old.endpoint) != scope]
                if mode != "ok":
                    self._faults.insert(0, fault)

    @property
    def requests(self) -> list[Request]:
        """The latest 5,000 requests to the API, oldest first."""
        with self._lock:
            return list(self._requests)

    def state(self) -> dict[str, Any]:
        """What `GET /simulator` shows: options, faults, each account's running month, requests; no keys."""
        requests = self.requests
        with self._lock:
            instant = self._time()
            today = paris(instant).date()
            accounts = []
            for account in self._accounts.values():
                month = account.usage(today.replace(day=1), today, instant)
                figures = {"sent": month.sent, "cost": decimal(month.cost)}
                balance = decimal(account.balance(instant))
                accounts.append({"account": account.number, **figures, "balance": balance})
            faults = [asdict(fault) for fault in self._faults]
        return {
            "now": paris(instant).isoformat(),
            "options": asdict(self.options),
            "faults": faults,
            "accounts": accounts,
            "most_requests_in_60s": most_in_60s(request.monotonic for request in requests),
            "requests": [asdict(request) for request in requests],
        }

    def _control(self, method: str, body: bytes) -> SimulatedReply:
        if method == "POST":
            try:
                self.order(**json.loads(body))
            except (TypeError, ValueError, RecursionError) as problem:
                return json_reply({"error": str(problem)}, 400)
        return json_reply(self.state())

    def _api(
        self, method: str, path: str, parameters: dict[str, str], account: SimulatedAccount | None
    ) -> SimulatedReply:
        if path not in ENDPOINTS:
            return page(404)
        if method != "GET":
            return page(405)
        if account is None:
            return error(10 if parameters.get("apiKey") else 1, self.options)
        if ENDPOINTS[path] == "credits":
            return credits_left(account, self._time())
        return statistics(account, self._time(), parameters, self.options)

    def _within_limit(self, arrived: float, number: int | None) -> bool:
        limit = self.options.requests_per_minute
        if limit is None:
            return True
        arrivals = self._arrivals.setdefault(number if self.options.limit_per_key else None, deque())
        while arrivals and arrivals[0] <= arrived - 60:
            arrivals.popleft()
        if len(arrivals) >= limit:
            return False
        arrivals.append(arrived)
        return True

    def _fault(self, number: int | None, endpoint: str | None) -> Fault | None:
        for fault in self._faults:
            if fault.account in {None, number} and fault.endpoint in {None, endpoint}:
                if fault.for_requests is not None:
                    fault.for_requests -= 1
                    if fault.for_requests <= 0:
                        self._faults.remove(fault)
                return fault
        return None

    def _spoilt(self, reply: SimulatedReply, fault: Fault, query: str) -> SimulatedReply:
        if code := ERROR_CODES.get(fault.mode):
            return error(code, self.options)
        match fault.mode:
            case "error_list":
                return field_errors(["interval", "from"], self.options)
            case "server_error":
                return page(500)
            case "html":
                return page(200)
            case "empty":
                return SimulatedReply(200, b"")
            case "not_json":
                return SimulatedReply(200, reply.body[: len(reply.body) // 2])
            case "body":
                return SimulatedReply(fault.status, fault.body.encode(errors="replace"))
            case "redirect":
                return replace(page(302), headers=(("Location", f"{fault.redirect_to}?{query}"),))
            case delivery:
                return replace(reply, delivery=delivery, pause=fault.seconds)

    def _time(self) -> float:
        return self._now() + self._offset if self._fixed is None else self._fixed

    def _account(self, key: str) -> SimulatedAccount | None:
        if not key:
            return None
        if self._any_key and len(self._accounts) < _MOST_ACCOUNTS:
            return self._open_account(key)
        return self._accounts.get(key)

    def _named(self, key: str) -> SimulatedAccount:
        if account := self._account(key):
            return account
        raise ValueError("key: there is no such account")

    def _open_account(self, key: str) -> SimulatedAccount:
        return self._accounts.setdefault(key, SimulatedAccount(key, len(self._accounts) + 1, self._seed))


def _check(orders: Mapping[str, Any]) -> None:
    for name, value in orders.items():
        if name not in _ORDERS:
            raise ValueError(f"unknown order; known are {', '.join(_ORDERS)}")
        if isinstance(value, bool) or not isinstance(value, _ORDERS[name]):
            raise ValueError(f"{name}: wrong type")  # noqa: TRY004
        low, high = _RANGES.get(name, (0, 1e9))
        if isinstance(value, _NUMBER) and not low <= value <= high:
            raise ValueError(f"{name}: from {low:g} to {high:g}")
    if orders.keys() & _FAULT_ORDERS and "misbehave" not in orders:
        raise ValueError("misbehave: missing")
    for name, known in (("misbehave", MODES), ("endpoint", ENDPOINTS.values())):
        if name in orders and orders[name] not in known:
            raise ValueError(f"{name}: one of {', '.join(known)}")
    _instant(orders.get("now"))


def _instant(text: str | None) -> float | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if not 2000 <= moment.year < 2100:
        raise ValueError("now: from 2000 to 2099")
    return (moment if moment.tzinfo else moment.replace(tzinfo=PARIS)).timestamp()


def most_in_60s(arrivals: Iterable[float]) -> int:
    """The most of these instants (in seconds, in order) that any sliding 60 s hold."""
    window: deque[float] = deque()
    most = 0
    for arrived in arrivals:
        window.append(arrived)
        while window[0] <= arrived - 60:
            window.popleft()
        most = max(most, len(window))
    return most


@contextmanager
def serve(simulator: Simulator, host: str = "127.0.0.1", port: int = 0) -> Iterator[SimulatedServer]:
    """Answer over HTTP, from daemon threads, until the block ends; port 0 takes a free one. Raises OSError.

    Orders go to the server's `url` followed by `/simulator`; its `base_url` is the API's.
    """
    server = SimulatedServer(simulator.answer, host, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="simulator", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
