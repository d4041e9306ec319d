"""The page at ``/`` for people: every account, what is known of it, what fails and what helps. Pure."""

import base64
import hashlib
from html import escape
from importlib.resources import files
from urllib.parse import quote

from exporter import __version__
from exporter.model import Snapshot, Status
from exporter.months import month_of, paris_date
from exporter.status_page.account import Present, account_fails, account_section, overview_row
from exporter.status_page.formatting import instant
from exporter.status_page.remedies import RELOAD_FAILED, STATE_NOT_WRITABLE

MOST_SHOWN_AT_ONCE = 10
"""With more accounts than that, the page lists them and shows one at a time."""

SCRIPT = files(__package__).joinpath("page.js").read_bytes()
"""Shows instants in the reader's time zone. Served at `SCRIPT_PATH`: the policy allows none inside the page."""
SCRIPT_PATH = "/-/page.js"

_STYLE = files(__package__).joinpath("page.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_ICON = (
    "data:image/svg+xml,"
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath fill='%232f6fb5' d='M1 9h4v6H1zM6 5h4v10H6zM11 1h4v14h-4z'/%3E%3C/svg%3E"
)
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; script-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def render(
    snapshot: Snapshot,
    status: Status,
    now: float,
    telemetry_path: str,
    not_ready_reason: str = "",
    chosen: str | None = None,
) -> str:
    """Return the page as HTML.

    `now` is Unix seconds, `not_ready_reason` what keeps the exporter from being ready, and `chosen` the account to show
    where there are too many to show all.
    """
    present = Present(now, month_of(paris_date(now)), status.wall_clock_offset)
    all_shown = len(snapshot) <= MOST_SHOWN_AT_ONCE
    sections = [
        account_section(f"a{number}", account, present)
        for number, account in enumerate(snapshot, 1)
        if all_shown or account.name == chosen
    ]
    state = _state(snapshot)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{state} · SMS Partner exporter</title>
<link rel="icon" href="{_ICON}">
<style>{_STYLE}</style>
<script src=".{SCRIPT_PATH}" defer></script>
</head>
<body>
<header>
<h1>SMS Partner exporter</h1>
<p>{state}. As of {instant(now)}; reload the page for newer figures.</p>
</header>
<nav aria-label="What this exporter serves">
<ul>
<li><a href=".{escape(telemetry_path)}">Metrics</a></li>
<li><a href="./-/healthy">Health</a></li>
<li><a href="./-/ready">Readiness</a></li>
</ul>
</nav>
<main>
{_own_problems(status, not_ready_reason)}
{_overview(snapshot, present, all_shown) if len(snapshot) > 1 else ""}
{"".join(sections)}
</main>
<footer>
<p>Version {escape(__version__)}. {_requests(status)}. Opening this page sends none. Months are those of
Europe/Paris.</p>
</footer>
</body>
</html>
"""


def _state(snapshot: Snapshot) -> str:
    count = len(snapshot)
    failing = sum(account_fails(account) for account in snapshot)
    without = sum(not account.has_figures for account in snapshot)
    if count == 1:
        return "Polling fails" if failing else "No figures yet" if without else "Up to date"
    if failing:
        return f"{failing} of {count} accounts {'fails' if failing == 1 else 'fail'}"
    if without:
        return f"{without} of {count} accounts {'has' if without == 1 else 'have'} no figures yet"
    return f"All {count} accounts are up to date"


def _requests(status: Status) -> str:
    most = f"{status.requests_last_minute} of at most {status.requests_per_minute} requests to the API"
    return f"{most} in the last minute{', with the key most in use' * status.limit_per_key}"


def _own_problems(status: Status, not_ready_reason: str) -> str:
    """Say what is wrong with the exporter itself, not with one account."""
    problems = []
    if not status.state_writable:
        problems.append(STATE_NOT_WRITABLE)
    if not status.reload_successful:
        problems.append(RELOAD_FAILED)
    texts = [f"<h2>{escape(title)}</h2><p>{escape(remedy)}</p>" for title, remedy in problems]
    if not_ready_reason:
        texts.append(
            f"<h2>Not ready</h2><p>{escape(not_ready_reason[0].upper() + not_ready_reason[1:])}.</p>"
        )
    return "\n".join(f'<div class="problem">{text}</div>' for text in texts)


def _overview(snapshot: Snapshot, present: Present, all_shown: bool) -> str:
    rows = []
    # Those that fail stand first.
    for number, account in sorted(enumerate(snapshot, 1), key=lambda one: not account_fails(one[1])):
        page = "" if all_shown else f"?account={quote(account.name or '')}"
        rows.append(overview_row(f"{page}#a{number}", account, present))
    hint = "" if all_shown else "<p>Choose an account to see its months.</p>"
    return f"""<section aria-labelledby="accounts">
<h2 id="accounts">Accounts</h2>
{hint}
<div class="scroll" role="group" aria-labelledby="accounts" tabindex="0">
<table><thead><tr><th scope="col">Account</th><th scope="col">This month</th><th scope="col">Of budget</th>
<th scope="col">Balance</th></tr></thead>
<tbody>
{"".join(rows)}
</tbody></table>
</div>
</section>"""
