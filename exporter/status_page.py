"""The page at ``/`` for people: every account, what is known of it, what fails. Pure."""

from datetime import datetime
from html import escape

from exporter import __version__
from exporter.durations import format_duration
from exporter.figures import Account, Snapshot
from exporter.months import PARIS

_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;"
    "padding:0 1rem}table{border-collapse:collapse}th,td{text-align:left;padding:.15rem 1rem .15rem 0}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}"
)


def render(snapshot: Snapshot, telemetry_path: str, monotonic: float) -> str:
    """Return the page as HTML. `monotonic` is now, on the clock on which polls are due."""
    accounts = "\n".join(_account(account, monotonic) for account in snapshot)
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>SMS Partner exporter</title><style>{_STYLE}</style></head>
<body>
<h1>SMS Partner exporter</h1>
<p>Version {escape(__version__)} · <a href="{escape(telemetry_path)}">Metrics</a> ·
<a href="/-/healthy">Health</a> · <a href="/-/ready">Readiness</a></p>
{accounts}
</body>
</html>
"""


def _account(account: Account, monotonic: float) -> str:
    rows = "\n".join(
        f'<tr><th scope="row">{month}</th>'
        f'<td class="n">{figures.cost:,.2f}</td><td class="n">{figures.sent:,}</td></tr>'
        for month, figures in reversed(account.figures.months.items())
    )
    months = f"""<table><thead><tr><th scope="col">Month</th><th scope="col">Cost</th><th scope="col">SMS sent</th></tr>
</thead><tbody>
{rows}
</tbody></table>"""
    polls = "\n".join(f"<li>{line}</li>" for line in _polls(account, monotonic))
    return f"""<section>
<h2>{escape(account.name or "Account")}</h2>
<p>{_money(account)}</p>
<ul>
{polls}
</ul>
{months if rows else "<p>No figures yet.</p>"}
</section>"""


def _money(account: Account) -> str:
    credit, parts = account.figures.credits, []
    currency = escape(credit.currency or "") if credit else ""
    if credit and credit.balance is not None:
        parts.append(f"Balance {credit.balance:,.2f} {currency}")
    if account.monthly_budget is not None:
        parts.append(f"Monthly budget {account.monthly_budget:,.2f} {currency}")
    return " · ".join(parts)


def _polls(account: Account, monotonic: float) -> list[str]:
    lines = []
    for query, poll in account.polls.items():
        fetched = account.figures.fetched.get(query)
        last = (
            f"figures of {datetime.fromtimestamp(fetched, PARIS):%Y-%m-%d %H:%M %Z}"
            if fetched
            else "no figures yet"
        )
        again = format_duration(max(0.0, poll.due - monotonic))
        failure = f" — fails: {escape(poll.reason)}, {escape(poll.detail)}" if poll.reason else ""
        lines.append(f"{escape(query.replace('_', ' '))}: {last}, next poll in {again}{failure}")
    return lines
