"""How figures of several replies make up what is known."""

import msgspec
import pytest

from exporter.model import (
    Account,
    Credits,
    Endpoint,
    Failure,
    Figures,
    MonthFigures,
    Poll,
    Query,
    Reason,
    RequestStats,
)

SEPTEMBER, OCTOBER, HALF, FULL = (MonthFigures(float(cost), cost * 20) for cost in (900, 1000, 500, 1100))
CREDITS = Credits(10.5, "EUR", {"sms": 200}, 0)


def test_the_reply_for_the_running_month_alone_knows_it_best() -> None:
    figures = Figures().with_history({"2026-10": OCTOBER, "2026-11": HALF}, "2026-11", 1)
    figures = figures.with_current_month("2026-11", FULL, 2)
    assert list(figures.months.items()) == [("2026-10", OCTOBER), ("2026-11", FULL)]
    figures = figures.with_history({"2026-10": OCTOBER, "2026-11": HALF}, "2026-11", 3)
    assert figures.months["2026-11"] == FULL
    assert figures.fetched == {Query.STATISTICS: 3, Query.CURRENT_MONTH: 2}


def test_a_month_that_is_over_is_taken_from_the_history_again() -> None:
    figures = (
        Figures().with_current_month("2026-11", HALF, 1).with_history({"2026-10": OCTOBER}, "2026-11", 2)
    )
    assert figures.months == {"2026-10": OCTOBER, "2026-11": HALF}
    figures = figures.with_history({"2026-10": OCTOBER, "2026-11": FULL}, "2026-12", 3)
    assert figures.months == {"2026-10": OCTOBER, "2026-11": FULL}


def test_the_first_poll_of_a_new_month_does_not_lose_the_one_before() -> None:
    december = MonthFigures(1.0, 20)
    figures = (
        Figures().with_history({"2026-10": OCTOBER}, "2026-11", 1).with_current_month("2026-11", HALF, 2)
    )
    figures = figures.with_current_month("2026-12", december, 3)
    assert figures.months == {"2026-10": OCTOBER, "2026-11": HALF, "2026-12": december}
    figures = figures.with_history({"2026-10": OCTOBER, "2026-11": FULL}, "2026-12", 4)
    assert figures.months == {"2026-10": OCTOBER, "2026-11": FULL, "2026-12": december}


def test_months_that_a_new_reply_no_longer_has_are_gone() -> None:
    figures = Figures().with_history({"2026-09": SEPTEMBER, "2026-10": OCTOBER}, "2026-10", 1)
    figures = figures.with_current_month("2026-10", HALF, 2).with_current_month("2026-11", HALF, 3)
    assert list(figures.months) == ["2026-09", "2026-10", "2026-11"]
    assert figures.with_history({"2025-01": OCTOBER}, "2026-11", 4).months == {
        "2025-01": OCTOBER,
        "2026-11": HALF,
    }


def test_a_month_that_has_not_come_goes_with_the_clock_that_was_ahead() -> None:
    ahead = Figures().with_current_month("2027-05", MonthFigures(0, 0), 1)
    assert list(ahead.with_current_month("2026-11", HALF, 2).months) == ["2026-11"]
    assert list(ahead.with_history({"2026-10": OCTOBER}, "2026-11", 2).months) == ["2026-10"]


def test_parts_that_are_no_longer_asked_for_are_left_out() -> None:
    figures = (
        Figures().with_history({"2026-10": OCTOBER}, "2026-11", 1).with_current_month("2026-11", HALF, 2)
    ).with_credits(CREDITS, 3)
    assert figures.only(list(Query)) == figures
    assert figures.only([]) == Figures()
    assert figures.only([Query.CREDITS]) == Figures(credits=CREDITS, fetched={Query.CREDITS: 3})
    without_month = figures.only([Query.STATISTICS, Query.CREDITS])
    assert without_month.months == {"2026-10": OCTOBER}
    assert without_month.fetched == {Query.STATISTICS: 1, Query.CREDITS: 3}


def test_what_is_known_never_changes() -> None:
    before = Figures()
    before.with_history({"2026-10": OCTOBER}, "2026-10", 1)
    before.with_current_month("2026-10", HALF, 1)
    before.with_credits(CREDITS, 1)
    assert before == Figures()
    with pytest.raises(AttributeError):
        before.credits = CREDITS  # type: ignore[misc]


def test_figures_survive_being_written_down() -> None:
    figures = Figures().with_history({"2026-10": OCTOBER}, "2026-10", 1.5).with_credits(CREDITS, 2.5)
    assert msgspec.json.decode(msgspec.json.encode(figures), type=Figures) == figures


def test_exchanges_are_counted() -> None:
    request_stats = RequestStats().plus(0.5, None).plus(30, Reason.TIMEOUT).plus(30, Reason.TIMEOUT)
    assert request_stats.plus(1, Reason.RATE_LIMITED) == RequestStats(
        4, 61.5, {Reason.TIMEOUT: 2, Reason.RATE_LIMITED: 1}
    )
    assert request_stats == RequestStats(3, 60.5, {Reason.TIMEOUT: 2})


def test_an_account_knows_what_is_asked_of_which_endpoint() -> None:
    polls = {query: Poll(due=number) for number, query in enumerate(Query)}
    account = Account(None, None, Figures(), polls, {})
    assert account.endpoints == [Endpoint.STATISTICS, Endpoint.CREDITS]
    assert list(account.polls_of(Endpoint.STATISTICS)) == [Query.STATISTICS, Query.CURRENT_MONTH]
    assert list(account.polls_of(Endpoint.CREDITS)) == [Query.CREDITS]


def test_an_account_has_figures_once_the_history_is_there() -> None:
    def has_figures(figures: Figures) -> bool:
        return Account(None, None, figures, {}, {}).has_figures

    assert not has_figures(Figures())
    assert not has_figures(Figures().with_current_month("2026-11", HALF, 1).with_credits(CREDITS, 1))
    assert has_figures(Figures().with_history({}, "2026-11", 1))


def test_a_failure_says_what_happened() -> None:
    failure = Failure(Reason.RATE_LIMITED, "code 429", 90)
    assert str(failure) == "rate_limited: code 429"
    assert failure.retry_after == 90
