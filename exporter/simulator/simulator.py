"""A simulated SMS Partner API: for `--demo`, and by itself: `python -m exporter.simulator`."""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl

from exporter.simulator.api import (
    ENDPOINTS,
    SimulatedReply,
    credits_left,
    json_reply,
    page,
    refusal,
    statistics,
    subaccount_list,
)
from exporter.simulator.history import SimulatedAccount
from exporter.simulator.server import Answer, SimulatedServer

_MOST_ACCOUNTS = 1000


class Simulator:
    """The API without its transport. Safe to use from several threads.

    Every key has an account of its own; if `api_keys` is given, only those keys have one. `requests_per_minute` is the
    most in any sliding 60 s, to any path; None means no limit, and a request that was refused is not counted. The limit
    is for all keys together, or for each key with `limit_per_key` (unknown keys share one). Each main account has
    `subaccounts` sub-accounts. `now` (Unix time) decides on the figures, `monotonic` (seconds) on the limit.
    """

    def __init__(
        self,
        api_keys: Iterable[str] | None = None,
        *,
        requests_per_minute: int | None = 5,
        limit_per_key: bool = False,
        subaccounts: int = 3,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.subaccounts = subaccounts
        self._accounts = {key: SimulatedAccount(key) for key in api_keys or ()}
        self._keys_of_subaccounts: set[str] = set()
        self._any_key = api_keys is None
        self._requests_per_minute = requests_per_minute
        self._limit_per_key = limit_per_key
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._arrivals: dict[str | None, deque[float]] = {}

    def answer(self, method: str, target: str, _body: bytes = b"") -> SimulatedReply:
        """Return the reply to a request for `target` (path and query) that arrives now."""
        path, _, query = target.partition("?")
        parameters = dict(parse_qsl(query))
        key = parameters.get("apiKey", "")
        with self._lock:
            account = self._account(key)
            if not self._within_limit(key if account and self._limit_per_key else None):
                return refusal(429, "Too many requests", status=429)
            if path not in ENDPOINTS:
                return page(404)
            if method != "GET":
                return page(405)
            if account is None:
                return refusal(10, "Incorrect API Key") if key else refusal(1, "API key is required")
            if ENDPOINTS[path] == "credits":
                return json_reply(credits_left(account, self._now()))
            if ENDPOINTS[path] == "subaccounts":
                return subaccount_list(self._subaccounts(account), self._now(), parameters)
            return statistics(account, self._now(), parameters)

    def _within_limit(self, counted_for: str | None) -> bool:
        if self._requests_per_minute is None:
            return True
        now = self._monotonic()
        arrivals = self._arrivals.setdefault(counted_for, deque())
        while arrivals and arrivals[0] <= now - 60:
            arrivals.popleft()
        if len(arrivals) >= self._requests_per_minute:
            return False
        arrivals.append(now)
        return True

    def _subaccounts(self, account: SimulatedAccount) -> list[SimulatedAccount]:
        if account.key in self._keys_of_subaccounts:
            return []
        numbers = range(1, self.subaccounts + 1)
        keys = [hashlib.sha256(f"{account.key} {number}".encode()).hexdigest()[:40] for number in numbers]
        self._keys_of_subaccounts.update(keys)
        return [self._accounts.setdefault(key, SimulatedAccount(key)) for key in keys]

    def _account(self, key: str) -> SimulatedAccount | None:
        if key and self._any_key and len(self._accounts) < _MOST_ACCOUNTS:
            return self._accounts.setdefault(key, SimulatedAccount(key))
        return self._accounts.get(key)


@contextmanager
def serve(answer: Answer, host: str = "127.0.0.1", port: int = 0) -> Iterator[SimulatedServer]:
    """Answer over HTTP, from daemon threads, until the block ends; port 0 takes a free one. Raises OSError."""
    with SimulatedServer(answer, host, port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="simulator", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
