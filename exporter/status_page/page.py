"""The page at ``/`` for people: every account, what is known of it, what fails and what helps. Pure.

Import it when somebody asks for the page: Jinja2 costs memory that an exporter nobody looks at does not need.
"""

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter import __version__
from exporter.durations import plural
from exporter.model import Snapshot, Status
from exporter.status_page.account import account_fails, account_view, overview_row
from exporter.status_page.assets import SCRIPT_PATH, STYLE
from exporter.status_page.formatting import instant
from exporter.status_page.remedies import RELOAD_FAILED, STATE_NOT_WRITABLE, Advice

MOST_SHOWN_AT_ONCE = 10
"""With more accounts than that, the page lists them and shows one at a time."""

TEMPLATES = Environment(
    loader=PackageLoader(__package__),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["position"] = "{:.4g}".format


def render(
    snapshot: Snapshot,
    status: Status,
    now: float,
    telemetry_path: str,
    not_ready_reason: str | None = None,
    chosen: str | None = None,
) -> str:
    """Return the page as HTML.

    `now` is Unix seconds, `not_ready_reason` what keeps the exporter from being ready, and `chosen` the name of the
    account to show if there are too many to show all.
    """
    accounts = [(f"a{number}", account) for number, account in enumerate(snapshot, 1)]
    failing_first = sorted(accounts, key=lambda one: not account_fails(one[1]))
    all_shown = len(snapshot) <= MOST_SHOWN_AT_ONCE
    return TEMPLATES.get_template("page.html").render(
        style=STYLE,
        script_path=SCRIPT_PATH,
        telemetry_path=telemetry_path,
        version=__version__,
        state=_state(snapshot),
        now=instant(now),
        problems=_problems(status, not_ready_reason),
        all_shown=all_shown,
        overview=[overview_row(ident, account, now) for ident, account in failing_first],
        accounts=[
            account_view(ident, account, now, status.wall_clock_offset)
            for ident, account in accounts
            if all_shown or account.name == chosen
        ],
        status=status,
    )


def _state(snapshot: Snapshot) -> str:
    count = len(snapshot)
    failing = sum(account_fails(account) for account in snapshot)
    without = sum(not account.has_figures for account in snapshot)
    if count == 1:
        return "Polling fails" if failing else "No figures yet" if without else "Up to date"
    if failing:
        return f"{failing} of {plural(count, 'account')} {'fails' if failing == 1 else 'fail'}"
    if without:
        return f"{without} of {plural(count, 'account')} {'has' if without == 1 else 'have'} no figures yet"
    return f"All {plural(count, 'account')} are up to date"


def _problems(status: Status, not_ready_reason: str | None) -> list[Advice]:
    """Return what is wrong with the exporter itself, not with one account."""
    problems = []
    if not status.state_writable:
        problems.append(STATE_NOT_WRITABLE)
    if not status.reload_successful:
        problems.append(RELOAD_FAILED)
    if not_ready_reason is not None:
        problems.append(Advice("Not ready", f"{not_ready_reason[0].upper()}{not_ready_reason[1:]}."))
    return problems
