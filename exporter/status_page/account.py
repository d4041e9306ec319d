"""What the page says of one account: what fails, its figures, its months, its polls. Pure."""

from collections.abc import Collection
from dataclasses import dataclass

from exporter.model import Account, Figures, Query, Reason
from exporter.months import month_of, month_start, next_month, paris_date
from exporter.status_page.chart import Chart, cost_chart
from exporter.status_page.formatting import FromNow, ago, ahead, money, month_name, percent
from exporter.status_page.remedies import REMEDIES, Advice

_QUERY_NAMES = {
    Query.STATISTICS: "months",
    Query.CURRENT_MONTH: "running month",
    Query.CREDITS: "balance and credits",
    Query.SUBACCOUNTS: "list of sub-accounts",
}
_KIND_NAMES = {"sms": "SMS", "sms_eco": "low-cost SMS", "hlr": "HLR look-ups"}


@dataclass(frozen=True)
class OverviewRow:
    """An account in the table of all accounts. `id` is that of its section."""

    id: str
    name: str
    problems: list[str]
    has_figures: bool
    cost: str | None
    has_budget: bool
    budget_used: str | None
    balance: str | None


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and the polls that fail for it."""

    advice: Advice
    detail: str
    polls: list[str]


@dataclass(frozen=True)
class Fact:
    """One figure with its name, and what is said below it."""

    name: str
    value: str
    note: str | None = None
    filled: float | None = None
    """The share that a gauge shows: above 1, it runs over."""


@dataclass(frozen=True)
class MonthRow:
    """A month in the table. `budget_used` is None without a budget."""

    name: str
    unfinished: bool
    cost: str
    sent: str
    budget_used: str | None


@dataclass(frozen=True)
class Months:
    """All months as a chart and as a table, newest first."""

    chart: Chart
    rows: list[MonthRow]
    currency: str | None
    budget: str | None
    any_unfinished: bool


@dataclass(frozen=True)
class PollLine:
    """When a query was last answered, and when it is asked next. `due` is None if only the limit delays it."""

    name: str
    fetched: FromNow | None
    failed: bool
    due: FromNow | None


@dataclass(frozen=True)
class AccountView:
    """What ``account.html`` shows. `id` is unique in the page."""

    id: str
    name: str
    problems: list[Problem]
    has_figures: bool
    facts: list[Fact]
    months: Months | None
    polls: list[PollLine]


def account_fails(account: Account) -> bool:
    """Return whether the last attempt at any of an account's polls failed."""
    return any(poll.reason for poll in account.polls.values())


def overview_row(ident: str, account: Account, now: float) -> OverviewRow:
    """Return the account's row in the table of all accounts. `now` is Unix seconds."""
    running = account.figures.months.get(_month(now))
    currency, budget, balance = _currency(account), account.monthly_budget, _balance(account)
    reasons = dict.fromkeys(poll.reason for poll in account.polls.values() if poll.reason)
    return OverviewRow(
        id=ident,
        name=_name(account),
        problems=[REMEDIES[reason].problem for reason in reasons],
        has_figures=account.has_figures,
        cost=money(running.cost, currency) if running else None,
        has_budget=bool(budget),
        budget_used=percent(running.cost, budget) if running and budget else None,
        balance=money(balance, currency) if balance is not None else None,
    )


def account_view(ident: str, account: Account, now: float, wall_clock_offset: float) -> AccountView:
    """Return everything known of an account.

    `now` is Unix seconds; `wall_clock_offset` turns the monotonic clock into Unix time.
    """
    return AccountView(
        id=ident,
        name=_name(account),
        problems=_problems(account),
        has_figures=bool(account.figures.fetched),
        facts=_facts(account, _month(now)),
        months=_months(ident, account) if account.figures.months else None,
        polls=_polls(account, now, wall_clock_offset),
    )


def _problems(account: Account) -> list[Problem]:
    """Return each problem once, however many polls fail for it."""
    polls: dict[tuple[Reason, str], list[str]] = {}
    for query, poll in account.polls.items():
        if poll.reason:
            polls.setdefault((poll.reason, poll.detail), []).append(_QUERY_NAMES[query])
    return [Problem(REMEDIES[reason], detail, names) for (reason, detail), names in polls.items()]


def _facts(account: Account, month: str) -> list[Fact]:
    currency, budget, balance = _currency(account), account.monthly_budget, _balance(account)
    facts = []
    running = account.figures.months.get(month)
    if running:
        cost = money(running.cost, currency)
        facts.append(Fact(f"{month_name(month)}, so far", cost, f"{running.sent:,} SMS sent"))
    if budget and running:
        facts.append(_budget_used(running.cost, budget, currency))
    elif budget:
        facts.append(Fact("Monthly budget", money(budget, currency)))
    if balance is not None:
        facts.append(Fact("Balance", money(balance, currency)))
    return facts + _credit_facts(account)


def _budget_used(cost: float, budget: float, currency: str | None) -> Fact:
    left = budget - cost
    note = f"{money(abs(left), currency)} {'left' if left >= 0 else 'over'} of {money(budget, currency)}"
    return Fact("Budget used", percent(cost, budget), note, filled=cost / budget)


def _credit_facts(account: Account) -> list[Fact]:
    credit = account.figures.credits
    facts = []
    if credit and credit.remaining:
        first, *others = [f"{count:,} {_KIND_NAMES[kind]}" for kind, count in credit.remaining.items()]
        facts.append(Fact("Balance pays for", first, f"or {', or '.join(others)}" if others else None))
    if credit and credit.queued is not None:
        facts.append(Fact("Waiting to be sent", f"{credit.queued:,} SMS"))
    return facts


def _months(ident: str, account: Account) -> Months:
    months, unfinished = account.figures.months, _unfinished(account.figures)
    currency, budget = _currency(account), account.monthly_budget
    rows = [
        MonthRow(
            name=month_name(month),
            unfinished=month in unfinished,
            cost=money(figures.cost, None, 3),
            sent=f"{figures.sent:,}",
            budget_used=percent(figures.cost, budget) if budget else None,
        )
        for month, figures in sorted(months.items(), reverse=True)
    ]
    return Months(
        chart=cost_chart(ident, months, unfinished, budget, currency),
        rows=rows,
        currency=currency,
        budget=money(budget, currency) if budget else None,
        any_unfinished=bool(unfinished),
    )


def _polls(account: Account, now: float, wall_clock_offset: float) -> list[PollLine]:
    lines = []
    for query, poll in account.polls.items():
        fetched = account.figures.fetched.get(query)
        due = poll.due + wall_clock_offset
        lines.append(
            PollLine(
                name=_QUERY_NAMES[query],
                fetched=ago(fetched, now) if fetched else None,
                failed=bool(poll.reason),
                due=ahead(due, now) if due > now else None,
            )
        )
    return lines


def _unfinished(figures: Figures) -> Collection[str]:
    """Return the months whose figures were fetched before the month ended."""
    fetched = figures.fetched.get(Query.STATISTICS, 0)
    return {
        month
        for month in figures.months
        if month in figures.current_month or fetched < month_start(next_month(month))
    }


def _month(now: float) -> str:
    return month_of(paris_date(now))


def _name(account: Account) -> str:
    return account.name or "Account"


def _currency(account: Account) -> str | None:
    return account.figures.credits.currency if account.figures.credits else None


def _balance(account: Account) -> float | None:
    return account.figures.credits.balance if account.figures.credits else None
