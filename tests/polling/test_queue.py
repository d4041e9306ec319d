import msgspec
import pytest

from exporter.model import Account, Figures, Poll, Query
from exporter.polling.queue import PollQueue

QUERIES = (Query.STATISTICS, Query.CREDITS)


def account(name: str, *dues: float, fetched: float | None = None) -> Account:
    figures = Figures(fetched=dict.fromkeys(QUERIES, fetched) if fetched else {})
    polls = {query: Poll(due=due) for query, due in zip(QUERIES, dues, strict=True)}
    return Account(name=name, monthly_budget=None, figures=figures, polls=polls, request_stats={})


@pytest.fixture
def queue() -> PollQueue:
    queue = PollQueue(QUERIES)
    for each in (account("a", 30, 20), account("b", 10, 10), account("c", 10, 10, fetched=7)):
        queue.put(each)
    return queue


def test_nothing_is_asked_before_it_is_due(queue: PollQueue) -> None:
    assert queue.due(9.9) is None
    assert queue.next() == 10


def test_what_has_been_due_longest_comes_first_then_what_is_known_least_recently(queue: PollQueue) -> None:
    assert queue.due(40) == ("b", Query.STATISTICS)
    queue.put(account("b", 100, 10))
    assert queue.due(40) == ("b", Query.CREDITS)
    queue.put(account("b", 100, 100))
    assert queue.due(40) == ("c", Query.STATISTICS)
    queue.put(account("c", 100, 100))
    assert queue.due(40) == ("a", Query.CREDITS)


def test_who_may_not_be_asked_yet_is_left_out_and_not_forgotten(queue: PollQueue) -> None:
    queue.hold("b", 50)
    assert queue.due(40) == ("c", Query.STATISTICS)
    queue.put(account("b", 5, 5))
    assert queue.due(40) == ("c", Query.STATISTICS)
    assert queue.due(50) == ("b", Query.STATISTICS)


def test_all_may_be_left_out_together(queue: PollQueue) -> None:
    queue.hold_all(15)
    assert queue.due(14) is None
    assert queue.next() == 15
    assert queue.due(15) == ("b", Query.STATISTICS)


def failed(name: str, due: float) -> Account:
    before = account(name, due, due)
    polls = {
        query: msgspec.structs.replace(poll, failures_in_a_row=1) for query, poll in before.polls.items()
    }
    return msgspec.structs.replace(before, polls=polls)


def test_who_failed_takes_a_fiftieth_of_the_time_from_others_that_are_due(queue: PollQueue) -> None:
    queue.put(failed("a", 5))
    assert queue.due(40) == ("a", Query.STATISTICS)
    queue.note_retry(40, wasted_seconds=30)
    assert queue.due(40 + 1469) == ("b", Query.STATISTICS)
    assert queue.due(40 + 1470) == ("a", Query.STATISTICS)
    queue.note_retry(41, wasted_seconds=0)
    assert queue.due(42) == ("a", Query.STATISTICS), "it heals"


def test_who_failed_is_asked_where_nobody_else_is_due(queue: PollQueue) -> None:
    for name in ("b", "c"):
        queue.put(account(name, 1000, 1000))
    queue.put(failed("a", 50))
    queue.note_retry(40, wasted_seconds=30)
    assert queue.due(49) is None
    assert queue.next() == 50
    assert queue.due(50) == ("a", Query.STATISTICS)


def test_who_failed_is_asked_by_its_due_time_among_others(queue: PollQueue) -> None:
    queue.put(failed("a", 10.1))
    assert queue.due(40) == ("b", Query.STATISTICS)
