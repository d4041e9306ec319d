"""What is asked next: of everything that is due and may be asked now, the most urgent."""

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.figures import Account, Query

Urgency = tuple[float, float, int]


@dataclass
class _Entry:
    urgency: Urgency
    """When it is due; when its answer was fetched last; where it stands in the round."""
    query: Query
    held_until: float = 0.0


class Agenda:
    """The most urgent query of each account. Instants are of the monotonic clock.

    `queries` are those of a round, in their order. Looking through all accounts takes a tenth of a millisecond for a
    thousand of them: no better order has to be kept.
    """

    def __init__(self, queries: Sequence[Query]) -> None:
        self._place = {query: place for place, query in enumerate(queries)}
        self._entries: dict[str | None, _Entry] = {}

    def put(self, account: Account) -> None:
        """Note an account as it stands now."""
        fetched = account.figures.fetched
        urgency, query = min(
            ((poll.due, fetched.get(query, 0.0), self._place[query]), query)
            for query, poll in account.polls.items()
        )
        entry = self._entries.setdefault(account.name, _Entry(urgency, query))
        entry.urgency, entry.query = urgency, query

    def hold(self, name: str | None, until: float) -> None:
        """Leave an account out for a while: it may not be asked."""
        self._entries[name].held_until = until

    def hold_all(self, until: float) -> None:
        """Leave all accounts out for a while."""
        for entry in self._entries.values():
            entry.held_until = until

    def due(self, now: float) -> tuple[str | None, Query] | None:
        """Return what has been due longest; at the same time, what is known least recently. None where nothing is."""
        ready = [
            (entry.urgency, name)
            for name, entry in self._entries.items()
            if entry.urgency[0] <= now and entry.held_until <= now
        ]
        if not ready:
            return None
        name = min(ready, key=lambda one: one[0])[1]
        return name, self._entries[name].query

    def next(self) -> float:
        """Return when there is something to ask next."""
        return min(max(entry.urgency[0], entry.held_until) for entry in self._entries.values())
