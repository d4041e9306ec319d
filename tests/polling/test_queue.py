import msgspec
import pytest

from exporter.model import Account, Figures, Poll, Query
from exporter.polling.queue import Agenda

QUERIES = (Query.STATISTICS, Query.CREDITS)


def account(name: str, *dues: float, fetched: float | None = None) -> Account:
    figures = Figures(fetched=dict.fromkeys(QUERIES, fetched) if fetched else {})
    polls = {query: Poll(due=due) for query, due in zip(QUERIES, dues, strict=True)}
    return Account(name=name, monthly_budget=None, figures=figures, polls=polls, exchanges={})


@pytest.fixture
def agenda() -> Agenda:
    agenda = Agenda(QUERIES)
    for each in (account("a", 30, 20), account("b", 10, 10), account("c", 10, 10, fetched=7)):
        agenda.put(each)
    return agenda


def test_nothing_is_asked_before_it_is_due(agenda: Agenda) -> None:
    assert agenda.due(9.9) is None
    assert agenda.next() == 10


def test_what_has_been_due_longest_comes_first_then_what_is_known_least_recently(agenda: Agenda) -> None:
    assert agenda.due(40) == ("b", Query.STATISTICS)
    agenda.put(account("b", 100, 10))
    assert agenda.due(40) == ("b", Query.CREDITS)
    agenda.put(account("b", 100, 100))
    assert agenda.due(40) == ("c", Query.STATISTICS)
    agenda.put(account("c", 100, 100))
    assert agenda.due(40) == ("a", Query.CREDITS)


def test_who_may_not_be_asked_yet_is_left_out_and_not_forgotten(agenda: Agenda) -> None:
    agenda.hold("b", 50)
    assert agenda.due(40) == ("c", Query.STATISTICS)
    agenda.put(account("b", 5, 5))
    assert agenda.due(40) == ("c", Query.STATISTICS)
    assert agenda.due(50) == ("b", Query.STATISTICS)


def test_all_may_be_left_out_together(agenda: Agenda) -> None:
    agenda.hold_all(15)
    assert agenda.due(14) is None
    assert agenda.next() == 15
    assert agenda.due(15) == ("b", Query.STATISTICS)


def failed(name: str, due: float) -> Account:
    before = account(name, due, due)
    polls = {
        query: msgspec.structs.replace(poll, failures_in_a_row=1) for query, poll in before.polls.items()
    }
    return msgspec.structs.replace(before, polls=polls)


def test_who_failed_takes_a_fiftieth_of_the_time_from_others_that_are_due(agenda: Agenda) -> None:
    agenda.put(failed("a", 5))
    assert agenda.due(40) == ("a", Query.STATISTICS)
    agenda.tried_again(40, in_vain=30)
    assert agenda.due(40 + 1469) == ("b", Query.STATISTICS)
    assert agenda.due(40 + 1470) == ("a", Query.STATISTICS)
    agenda.tried_again(41, in_vain=0)
    assert agenda.due(42) == ("a", Query.STATISTICS), "it heals"


def test_who_failed_is_asked_where_nobody_else_is_due(agenda: Agenda) -> None:
    for name in ("b", "c"):
        agenda.put(account(name, 1000, 1000))
    agenda.put(failed("a", 50))
    agenda.tried_again(40, in_vain=30)
    assert agenda.due(49) is None
    assert agenda.next() == 50
    assert agenda.due(50) == ("a", Query.STATISTICS)


def test_who_failed_is_asked_by_its_due_time_among_others(agenda: Agenda) -> None:
    agenda.put(failed("a", 10.1))
    assert agenda.due(40) == ("b", Query.STATISTICS)
