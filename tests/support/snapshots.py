"""Made-up snapshots for the status page."""

from dataclasses import replace

from exporter.model import (
    FIGURE_QUERIES,
    Account,
    Credits,
    Figures,
    MonthFigures,
    Poll,
    Query,
    Reason,
    Snapshot,
    Status,
)
from exporter.months import next_month
from tests.support.fakes import START

NOW = START
UPTIME = 1000.0
RUNNING = "2026-11"
HOSTILE = """</title><script>alert(1)</script>&quot;"' onload=x <b>"""
STATUS = Status(
    poll_interval=900,
    requests_per_minute=5,
    requests_last_minute=3,
    state_writable=True,
    reload_successful=True,
    reload_success_time=NOW - 9999,
    wall_clock_offset=NOW - UPTIME,
)
BROKEN = replace(STATUS, state_writable=False, reload_successful=False)


def months(count: int, first: str = "2025-11", scale: float = 100.0) -> dict[str, MonthFigures]:
    result = {}
    month = first
    for number in range(count):
        result[month] = MonthFigures(cost=round(scale * (3 + number % 5) + 0.125, 3), sent=1000 + number)
        month = next_month(month)
    return result


def fresh(name: str | None = None) -> Account:
    return Account(name, None, Figures(), {query: Poll(due=UPTIME) for query in FIGURE_QUERIES}, {})


def account(
    name: str | None = None,
    history: dict[str, MonthFigures] | None = None,
    budget: float | None = None,
    balance: float | None = 1234.567,
) -> Account:
    """An account whose three queries were answered 3, 2 and 1 minutes ago."""
    known = months(13) if history is None else history
    credit = Credits(balance, "EUR", {"sms": 26000, "sms_eco": 52000, "hlr": 246000}, queued=7)
    figures = Figures(
        history=known,
        current_month={RUNNING: known[RUNNING]} if RUNNING in known else {},
        credits=credit,
        fetched={query: NOW - 60 * (3 - index) for index, query in enumerate(FIGURE_QUERIES)},
    )
    polls = {
        query: Poll(due=UPTIME + 720 + 60 * index, succeeded=True)
        for index, query in enumerate(FIGURE_QUERIES)
    }
    return Account(name, budget, figures, polls, {})


def failing(healthy: Account, reason: Reason, detail: str) -> Account:
    failed = {query: Poll(UPTIME + 3540, False, reason, detail, 1) for query in healthy.polls}
    return Account(healthy.name, healthy.monthly_budget, healthy.figures, failed, {})


def without_credits() -> Account:
    whole = account()
    asked = (Query.STATISTICS, Query.CURRENT_MONTH)
    polls = {query: whole.polls[query] for query in asked}
    return Account(None, None, whole.figures.only(asked), polls, {})


CASES: dict[str, Snapshot] = {
    "fresh": (fresh(),),
    "one": (account(budget=600),),
    "three": (
        account("marketing", budget=600),
        failing(account("shop"), Reason.KEY_REJECTED, "code 10: Incorrect API Key"),
        account("Versandbestätigungen und Terminerinnerungen der Filialen im Süden", budget=5000),
    ),
    "failing_from_the_start": (failing(fresh(), Reason.UNREACHABLE, "it refused the connection"),),
    "without_credits": (without_credits(),),
    "budget_exceeded": (account(budget=300, history=months(13, scale=1e6)),),
    "three_years": (account(history=months(36, "2023-12"), budget=550),),
    "hostile": (
        failing(account(HOSTILE), Reason.SERVER_ERROR, f"code 9: {HOSTILE}"),
        account("x" * 64),
        account("?account=a&b#c/é%41"),
    ),
    "hundred": tuple(account(f"account {number} & co") for number in range(1, 101)),
}
