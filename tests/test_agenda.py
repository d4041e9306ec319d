import pytest

from exporter.agenda import Agenda
from exporter.figures import Account, Figures, Poll, Query

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
