"""A provider that answers each key well, then as the table says, then well again."""

import socket
import threading
from collections import Counter
from urllib.parse import parse_qs, urlsplit

from exporter.api.client import CREDITS_PATH, STATISTICS_PATH
from exporter.model import Credits, MonthFigures, Query
from tests.stress.hostile import BAD, UNUSUAL, Wire, http
from tests.support.bodies import me, october
from tests.support.peer import Peer

_QUERIES = {STATISTICS_PATH: Query.STATISTICS, CREDITS_PATH: Query.CREDITS}


def good_months(number: int) -> dict[str, MonthFigures]:
    """The months of the good reply to the first, second or any later request with a key."""
    return {f"2021-{number:02d}": MonthFigures(number + 0.5, number)}


def good_credits(number: int) -> Credits:
    return Credits(number + 0.25, "EUR", {"sms": 20, "sms_eco": 37, "hlr": 180}, 0)


class Provider(Peer):
    """The second reply to a key's query is that of the table; an unusual one stays, after a bad one all is well."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}
        self._counts: Counter[tuple[str, Query]] = Counter()
        super().__init__(self._answer)

    def key(self, name: str) -> str:
        """Return a new key, whose second reply is the one of that name in the table."""
        key = f"scripted-{len(self._names):04d}"
        self._names[key] = name
        return key

    def _answer(self, connection: socket.socket) -> None:
        if request := self.read_request(connection):
            url = urlsplit(request.split()[1])
            key, query = parse_qs(url.query)["apiKey"][0], _QUERIES[url.path]
            with self._lock:
                self._counts[key, query] += 1
                number = min(self._counts[key, query], 3)
            _reply(self._names[key], query, number).play(connection)


def _reply(name: str, query: Query, number: int) -> Wire:
    if number == 2 and name in BAD and BAD[name].query is query:
        return BAD[name].wire
    if number >= 2 and name in UNUSUAL and UNUSUAL[name].query is query:
        return UNUSUAL[name].wire
    if query is Query.CREDITS:
        return http(me(balance=good_credits(number).balance))
    ((month, figures),) = good_months(number).items()
    return http(october(m=month[5:], cost=figures.cost, nb_send=figures.sent))
