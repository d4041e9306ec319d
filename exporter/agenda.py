"""What is asked next: of everything that is due and may be asked now, the most urgent."""

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from exporter.figures import Account, Query


class _Entry(NamedTuple):
    """A query of an account."""

    name: str | None
    query: Query
    due: float
    urgency: tuple[float, float, int]
    """When it is due; when it was answered last; where it stands in the round."""


class Agenda:
    """The queries of all accounts, in two heaps: those that wait, and those that are due. Instants are monotonic.

    `queries` are those of a round, in their order.
    """

    def __init__(self, queries: Sequence[Query]) -> None:
        self._place = {query: place for place, query in enumerate(queries)}
        self._current: dict[tuple[str | None, Query], _Entry] = {}
        """The entries that hold; any other that a heap still has is out of date."""
        self._held: dict[str | None, float] = {}
        self._all_held = 0.0
        self._waiting: list[tuple[float, int, _Entry]] = []
        self._due: list[tuple[tuple[float, float, int], int, _Entry]] = []
        self._tie = count()

    def put(self, account: Account) -> None:
        """Note an account as it stands now."""
        for query, poll in account.polls.items():
            urgency = (poll.due, account.figures.fetched.get(query, 0.0), self._place[query])
            entry = _Entry(account.name, query, poll.due, urgency)
            if self._current.get((account.name, query)) != entry:
                self._current[account.name, query] = entry
                heappush(self._waiting, (entry.due, next(self._tie), entry))

    def hold(self, name: str | None, until: float) -> None:
        """Leave an account out for a while: it may not be asked."""
        self._held[name] = until

    def hold_all(self, until: float) -> None:
        """Leave all accounts out for a while."""
        self._all_held = until

    def due(self, now: float) -> tuple[str | None, Query] | None:
        """Return what has been due longest, and of that what is known least recently; None where nothing is due."""
        if self._all_held > now:
            return None
        while self._waiting and self._waiting[0][0] <= now:
            _, tie, entry = heappop(self._waiting)
            heappush(self._due, (entry.urgency, tie, entry))
        while self._due:
            _, tie, entry = self._due[0]
            held_until = self._held.get(entry.name, 0.0)
            if self._holds(entry) and held_until <= now:
                return entry.name, entry.query
            heappop(self._due)
            if self._holds(entry):
                heappush(self._waiting, (held_until, tie, entry))
        return None

    def next(self) -> float:
        """Return when there is something to ask next, where nothing is due now."""
        while self._waiting and not self._holds(self._waiting[0][2]):
            heappop(self._waiting)
        return max(self._all_held, 0.0 if self._due else self._waiting[0][0])

    def _holds(self, entry: _Entry) -> bool:
        return self._current[entry.name, entry.query] is entry
