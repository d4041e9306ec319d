"""What to ask next: of everything that is due and may be asked now, the most urgent. Instants are monotonic."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from exporter.model import Account, Query

_FAILING_SHARE = 1 / 50


class _Entry(NamedTuple):
    account: str | None
    query: Query
    urgency: tuple[float, float, int]
    """When it is due, when it was last answered, and its position in the round."""
    is_failing: bool

    @property
    def due(self) -> float:
        return self.urgency[0]


class PollQueue:
    """The queries of all accounts.

    Under full load, failing accounts get at most 2 % of the request time together. So they cost the others next to
    nothing, however many they are and however long they hang. As long as nothing else is due, they are asked like any
    other.

    `queries` are those of a round, in order.
    """

    def __init__(self, queries: Sequence[Query]) -> None:
        self._position = {query: position for position, query in enumerate(queries)}
        self._entries: dict[tuple[str | None, Query], _Entry] = {}
        self._held_until: dict[str | None, float] = {}
        self._all_held_until = 0.0
        self._failing_held_until = 0.0

    def put(self, account: Account) -> None:
        """Take an account as it is now."""
        for query, poll in account.polls.items():
            urgency = (poll.due, account.figures.fetched.get(query, 0.0), self._position[query])
            self._entries[account.name, query] = _Entry(
                account.name, query, urgency, poll.failures_in_a_row > 0
            )

    def note_retry(self, now: float, wasted_seconds: float) -> None:
        """Take into account how much time the retry of a failing query wasted: 0 if it succeeded."""
        self._failing_held_until = now + wasted_seconds * (1 / _FAILING_SHARE - 1)

    def hold(self, account: str | None, until: float) -> None:
        """Ask nothing of an account before an instant."""
        self._held_until[account] = until

    def hold_all(self, until: float) -> None:
        """Ask nothing at all before an instant."""
        self._all_held_until = until

    def due(self, now: float) -> tuple[str | None, Query] | None:
        """Return the account and query that have been due longest, or None if nothing may be asked now."""
        if self._all_held_until > now:
            return None
        due = [entry for entry in self._entries.values() if self._earliest(entry) <= now]
        regular = _most_urgent(entry for entry in due if not entry.is_failing)
        failing = _most_urgent(entry for entry in due if entry.is_failing)
        first = regular or failing
        if regular and failing and self._failing_held_until <= now and failing.urgency < regular.urgency:
            first = failing
        return (first.account, first.query) if first else None

    def next(self) -> float:
        """Return the instant from which something is due."""
        return max(self._all_held_until, min(map(self._earliest, self._entries.values())))

    def _earliest(self, entry: _Entry) -> float:
        return max(entry.due, self._held_until.get(entry.account, 0.0))


def _most_urgent(entries: Iterable[_Entry]) -> _Entry | None:
    return min(entries, key=lambda entry: entry.urgency, default=None)
