"""How figures of several replies make up what is known."""

import msgspec
import pytest

from exporter.model import (
    FIGURE_QUERIES,
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


def test_the_current_month_reply_takes_precedence_for_the_running_month() -> None:
    figures = Figures().with_history({"2026-10": OCTOBER, "2026-11": HALF}, "2026-11", 1)
    figures = figures.with_current_month("2026-11", FULL, 2)
    assert list(figures.months.items()) == [("2026-10", OCTOBER), ("2026-11", FULL)]
    figures = figures.with_history({"2026-10": OCTOBER, "2026-11": HALF}, "2026-11", 3)
    assert figures.months["2026-11"] == FULL
    assert figures.fetched == {Query.STATISTICS: 3, Query.CURRENT_MONTH: 2}


def test_once_a_month_is_over_the_statistics_reply_takes_precedence() -> None:
    figures = (
        Figures().with_current_month("2026-11", HALF, 1).with_history({"2026-10": OCTOBER}, "2026-11", 2)
    )
    assert figures.months == {"2026-10": OCTOBER, "2026-11": HALF}
    figures = figures.with_history({"2026-10": OCTOBER, "2026-11": FULL}, "2026-12", 3)
    assert figures.months == {"2026-10": OCTOBER, "2026-11": FULL}


def test_the_first_poll_of_a_new_month_keeps_the_previous_month() -> None:
    december = MonthFigures(1.0, 20)
    figures = (
        Figures().with_history({"2026-10": OCTOBER}, "2026-11", 1).with_current_month("2026-11", HALF, 2)
    )
    figures = figures.with_current_month("2026-12", december, 3)
    assert figures.months == {"2026-10": OCTOBER, "2026-11": HALF, "2026-12": december}
    figures = figures.with_history({"2026-10": OCTOBER, "2026-11": FULL}, "2026-12", 4)
    assert figures.months == {"2026-10": OCTOBER, "2026-11": FULL, "2026-12": december}


def test_months_missing_from_a_new_reply_disappear() -> None:
    figures = Figures().with_history({"2026-09": SEPTEMBER, "2026-10": OCTOBER}, "2026-10", 1)
    figures = figures.with_current_month("2026-10", HALF, 2).with_current_month("2026-11", HALF, 3)
    assert list(figures.months) == ["2026-09", "2026-10", "2026-11"]
    assert figures.with_history({"2025-01": OCTOBER}, "2026-11", 4).months == {
        "2025-01": OCTOBER,
        "2026-11": HALF,
    }


def test_a_future_month_disappears_once_the_clock_is_corrected() -> None:
    ahead = Figures().with_current_month("2027-05", MonthFigures(0, 0), 1)
    assert list(ahead.with_current_month("2026-11", HALF, 2).months) == ["2026-11"]
    assert list(ahead.with_history({"2026-10": OCTOBER}, "2026-11", 2).months) == ["2026-10"]


def test_figures_of_disabled_queries_are_left_out() -> None:
    figures = (
        Figures().with_history({"2026-10": OCTOBER}, "2026-11", 1).with_current_month("2026-11", HALF, 2)
    ).with_credits(CREDITS, 3)
    assert figures.only(list(FIGURE_QUERIES)) == figures
    assert figures.only([]) == Figures()
    assert figures.only([Query.CREDITS]) == Figures(credits=CREDITS, fetched={Query.CREDITS: 3})
    without_month = figures.only([Query.STATISTICS, Query.CREDITS])
    assert without_month.months == {"2026-10": OCTOBER}
    assert without_month.fetched == {Query.STATISTICS: 1, Query.CREDITS: 3}


def test_figures_and_accounts_are_immutable() -> None:
    before = Figures()
    before.with_history({"2026-10": OCTOBER}, "2026-10", 1)
    before.with_current_month("2026-10", HALF, 1)
    before.with_credits(CREDITS, 1)
    assert before == Figures()
    with pytest.raises(AttributeError):
        before.credits = CREDITS  # type: ignore[misc]


def test_figures_survive_encoding_and_decoding() -> None:
    figures = Figures().with_history({"2026-10": OCTOBER}, "2026-10", 1.5).with_credits(CREDITS, 2.5)
    assert msgspec.json.decode(msgspec.json.encode(figures), type=Figures) == figures


def test_request_stats_count_requests_and_failures() -> None:
    request_stats = RequestStats().plus(0.5, None).plus(30, Reason.TIMEOUT).plus(30, Reason.TIMEOUT)
    assert request_stats.plus(1, Reason.RATE_LIMITED) == RequestStats(
        4, 61.5, {Reason.TIMEOUT: 2, Reason.RATE_LIMITED: 1}
    )
    assert request_stats == RequestStats(3, 60.5, {Reason.TIMEOUT: 2})


def test_an_account_lists_its_endpoints_and_their_polls() -> None:
    polls = {query: Poll(due=number) for number, query in enumerate(FIGURE_QUERIES)}
    account = Account(None, None, Figures(), polls, {})
    assert account.endpoints == [Endpoint.STATISTICS, Endpoint.CREDITS]
    assert list(account.polls_of(Endpoint.STATISTICS)) == [Query.STATISTICS, Query.CURRENT_MONTH]
    assert list(account.polls_of(Endpoint.CREDITS)) == [Query.CREDITS]


def test_an_account_has_figures_once_statistics_were_fetched() -> None:
    def has_figures(figures: Figures) -> bool:
        return Account(None, None, figures, {}, {}).has_figures

    assert not has_figures(Figures())
    assert not has_figures(Figures().with_current_month("2026-11", HALF, 1).with_credits(CREDITS, 1))
    assert has_figures(Figures().with_history({}, "2026-11", 1))


def test_a_failure_carries_its_reason_detail_and_retry_after() -> None:
    failure = Failure(Reason.RATE_LIMITED, "code 429", 90)
    assert str(failure) == "rate_limited: code 429"
    assert failure.retry_after == 90
