"""What is asked next: of everything that is due and may be asked now, the most urgent."""

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from exporter.model import Account, Query

_FAILING_TAKE = 1 / 50

_Urgency = tuple[float, float, int]


class _Entry(NamedTuple):
    """A query of an account."""

    name: str | None
    query: Query
    due: float
    urgency: _Urgency
    """When it is due; when it was answered last; where it stands in the round."""
    failed: bool


_Due = tuple[_Urgency, int, _Entry]


class PollQueue:
    """The queries of all accounts, in heaps: those that wait, and those that are due. Instants are monotonic.

    While others are due, all that fail again and again get a fiftieth of the time together. So they cost the others
    next to nothing, however many they are and however long they hang. Where nobody else is due, and as soon as one of
    them succeeds, they are asked as any other.

    `queries` are those of a round, in their order.
    """

    def __init__(self, queries: Sequence[Query]) -> None:
        self._place = {query: place for place, query in enumerate(queries)}
        self._current: dict[tuple[str | None, Query], _Entry] = {}
        """The entries that hold; any other that a heap still has is out of date."""
        self._held: dict[str | None, float] = {}
        self._all_held = 0.0
        self._waiting: list[tuple[float, int, _Entry]] = []
        self._due: list[_Due] = []
        self._due_and_failing: list[_Due] = []
        self._failing_yield_until = 0.0
        self._tie = count()

    def put(self, account: Account) -> None:
        """Note an account as it stands now."""
        for query, poll in account.polls.items():
            urgency = (poll.due, account.figures.fetched.get(query, 0.0), self._place[query])
            entry = _Entry(account.name, query, poll.due, urgency, bool(poll.failures_in_a_row))
            if self._current.get((account.name, query)) != entry:
                self._current[account.name, query] = entry
                heappush(self._waiting, (entry.due, next(self._tie), entry))

    def note_retry(self, now: float, wasted_seconds: float) -> None:
        """Note how long one took that failed before: others go first until what was in vain is a fiftieth."""
        self._failing_yield_until = now + wasted_seconds * (1 / _FAILING_TAKE - 1)

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
            heappush(self._due_and_failing if entry.failed else self._due, (entry.urgency, tie, entry))
        regular, failing = self._first(self._due, now), self._first(self._due_and_failing, now)
        if regular and failing:
            yields = self._failing_yield_until > now or regular.urgency <= failing.urgency
            return (regular if yields else failing)[:2]
        first = regular or failing
        return first[:2] if first else None

    def next(self) -> float:
        """Return when there is something to ask next, where nothing is due now."""
        while self._waiting and not self._holds(self._waiting[0][2]):
            heappop(self._waiting)
        return max(self._all_held, 0.0 if self._due or self._due_and_failing else self._waiting[0][0])

    def _first(self, due: list[_Due], now: float) -> _Entry | None:
        """Return the first that may be asked; those before it that may not go back to those that wait."""
        while due:
            _, tie, entry = due[0]
            held_until = self._held.get(entry.name, 0.0)
            if self._holds(entry):
                if held_until <= now:
                    return entry
                heappush(self._waiting, (held_until, tie, entry))
            heappop(due)
        return None

    def _holds(self, entry: _Entry) -> bool:
        return self._current[entry.name, entry.query] is entry
