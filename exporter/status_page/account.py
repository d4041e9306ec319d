"""One account on the status page: what fails, its figures, its months, its polls. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from exporter.model import Account, MonthFigures, Query, Reason
from exporter.months import month_start, next_month
from exporter.status_page.chart import cost_chart
from exporter.status_page.formatting import ago, ahead, money, month_name
from exporter.status_page.remedies import REMEDIES

_QUERY_NAMES = {
    Query.STATISTICS: "months",
    Query.CURRENT_MONTH: "running month",
    Query.CREDITS: "balance and credits",
}
_KIND_NAMES = {"sms": "SMS", "sms_eco": "low-cost SMS", "hlr": "HLR look-ups"}


@dataclass(frozen=True)
class Present:
    """The moment the page is for: Unix seconds, the month it is in, what turns the monotonic clock into Unix time."""

    now: float
    month: str
    wall_clock_offset: float


def account_fails(account: Account) -> bool:
    """Return whether the last attempt at any of an account's polls failed."""
    return any(poll.reason for poll in account.polls.values())


def overview_row(link: str, account: Account, present: Present) -> str:
    """Return the account's row in the table of all accounts; its name leads to `link`."""
    running = account.figures.months.get(present.month)
    currency, balance = _currency(account), _balance(account)
    share = _share(running, account.monthly_budget) if running and account.monthly_budget else "not known"
    cells = (
        money(running.cost, currency) if running else "not known",
        share if account.monthly_budget else "no budget",
        money(balance, currency) if balance is not None else "not known",
    )
    return (
        f'<tr><th scope="row"><a href="{escape(link)}">{escape(account.name or "Account")}</a> '
        f"<small>{_state(account)}</small></th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>\n"
    )


def account_section(ident: str, account: Account, present: Present) -> str:
    """Return everything known of an account as a section; `ident` is unique in the page."""
    months = account.figures.months
    return f"""<section id="{ident}" aria-labelledby="{ident}-h">
<h2 id="{ident}-h">{escape(account.name or "Account")}</h2>
{_problems(account)}
{_facts(account, present)}
{_months(ident, account, months) if months else "<p>No months are known yet.</p>"}
<h3>Polls</h3>
<ul>
{_polls(account, present)}
</ul>
</section>
"""


def _state(account: Account) -> str:
    reasons = dict.fromkeys(poll.reason for poll in account.polls.values() if poll.reason)
    if reasons:
        return f"fails: {'; '.join(escape(REMEDIES[reason].problem) for reason in reasons)}"
    return "up to date" if account.has_figures else "no figures yet"


def _problems(account: Account) -> str:
    """Say each thing that is wrong once, however many polls it spoils."""
    spoilt: dict[tuple[Reason, str], list[str]] = {}
    for query, poll in account.polls.items():
        if poll.reason:
            spoilt.setdefault((poll.reason, poll.detail), []).append(_QUERY_NAMES[query])
    kept = " The figures shown are the last good ones." if account.figures.fetched else ""
    return "\n".join(
        f"""<div class="problem"><h3>Fails: {escape(REMEDIES[reason].problem)}</h3>
<p>No new figures for {", ".join(names)}: <q>{escape(detail)}</q>.{kept}</p>
<p><strong>What to do:</strong> {escape(REMEDIES[reason].remedy)}</p></div>"""
        for (reason, detail), names in spoilt.items()
    )


def _facts(account: Account, present: Present) -> str:
    currency, budget, balance = _currency(account), account.monthly_budget, _balance(account)
    credit, facts = account.figures.credits, []
    running = account.figures.months.get(present.month)
    if running:
        cost = money(running.cost, currency)
        facts.append((f"{month_name(present.month)}, so far", cost, f"{running.sent:,} SMS sent"))
    if budget and running:
        left = budget - running.cost
        rest = f"{money(abs(left), currency)} {'left' if left >= 0 else 'over'} of {money(budget, currency)}"
        facts.append(("Budget used", _share(running, budget), _gauge(running.cost / budget) + rest))
    elif budget:
        facts.append(("Monthly budget", money(budget, currency), ""))
    if balance is not None:
        facts.append(("Balance", money(balance, currency), ""))
    if credit and credit.remaining:
        first, *others = [f"{count:,} {_KIND_NAMES[kind]}" for kind, count in credit.remaining.items()]
        facts.append(("Balance pays for", first, f"or {', or '.join(others)}" if others else ""))
    if credit and credit.queued is not None:
        facts.append(("Waiting to go out", f"{credit.queued:,} SMS", ""))
    items = "\n".join(
        f"<div><dt>{name}</dt><dd>{value}{f'<small>{more}</small>' if more else ''}</dd></div>"
        for name, value, more in facts
    )
    return f"<dl>\n{items}\n</dl>" if facts else ""


def _gauge(share: float) -> str:
    """Draw what the text beside it says."""
    over = ' class="over"' if share > 1 else ""
    return f'<svg class="gauge" aria-hidden="true"><rect{over} width="{100 * min(share, 1):.4g}%"/></svg>'


def _months(ident: str, account: Account, months: Mapping[str, MonthFigures]) -> str:
    so_far = _not_over(account, months)
    currency, budget = _currency(account), account.monthly_budget
    legend = [f"Cost of each month{f' in {escape(currency)}' if currency else ''}."]
    if so_far:
        legend.append("A pale bar with a dashed edge is a month so far.")
    if budget:
        legend.append(f"The dashed line is the monthly budget, {money(budget, currency)}.")
    rows = "".join(
        f'<tr><th scope="row">{month_name(month)}{", so far" * (month in so_far)}</th>'
        f"<td>{money(figures.cost, None, 3)}</td><td>{figures.sent:,}</td>"
        f"{f'<td>{_share(figures, budget)}</td>' if budget else ''}</tr>\n"
        for month, figures in sorted(months.items(), reverse=True)
    )
    cost = f"Cost{f', {escape(currency)}' if currency else ''}"
    columns = ["Month", cost, "SMS sent", *(["Of budget"] if budget else [])]
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    return f"""<figure>
{cost_chart(ident, months, so_far, budget, currency)}
<figcaption>{" ".join(legend)}</figcaption>
</figure>
<details><summary>All months in figures</summary>
<div class="scroll" role="group" aria-label="All months in figures" tabindex="0">
<table><thead><tr>{head}</tr></thead>
<tbody>
{rows}</tbody></table>
</div>
</details>"""


def _polls(account: Account, present: Present) -> str:
    lines = []
    for query, poll in account.polls.items():
        fetched = account.figures.fetched.get(query)
        last = f"fetched {ago(fetched, present.now)}" if fetched else "not fetched yet"
        due = poll.due + present.wall_clock_offset
        next_time = ahead(due, present.now) if due > present.now else "as soon as its turn comes"
        again = (
            f"the last attempt failed, tried again {next_time}" if poll.reason else f"asked next {next_time}"
        )
        lines.append(f"<li>{_QUERY_NAMES[query].capitalize()}: {last}; {again}</li>")
    return "\n".join(lines)


def _not_over(account: Account, months: Mapping[str, MonthFigures]) -> set[str]:
    """Return the months that were not over when they were fetched."""
    figures = account.figures
    fetched = {
        month: figures.fetched.get(
            Query.CURRENT_MONTH if month in figures.current_month else Query.STATISTICS, 0
        )
        for month in months
    }
    return {month for month in months if fetched[month] < month_start(next_month(month))}


def _currency(account: Account) -> str | None:
    return account.figures.credits.currency if account.figures.credits else None


def _balance(account: Account) -> float | None:
    return account.figures.credits.balance if account.figures.credits else None


def _share(figures: MonthFigures, budget: float) -> str:
    return f"{100 * figures.cost / budget:,.1f} %"
