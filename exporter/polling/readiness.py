"""What keeps the exporter from being ready, in words."""

from exporter.durations import format_duration
from exporter.model import Account, Snapshot

_NAMES_SHOWN = 5


def not_ready_reason(snapshot: Snapshot, unknown_past: float, limit_per_key: bool) -> str | None:
    """Say which accounts have no figures yet, and why; None once all have.

    `unknown_past` is how many seconds the first request still waits because earlier ones are unknown.
    """
    without = [each for each in snapshot if each.parent is None and not each.has_figures]
    if not without:
        return None
    reasons = sorted({poll.reason for account in without for poll in account.polls.values() if poll.reason})
    missing = f"no figures yet{_whose(without)}"
    if reasons:
        return f"{missing}; polling fails: {', '.join(reasons)}"
    if unknown_past:
        unknown = (
            "earlier requests with a key are unknown, so its first request waits"
            if limit_per_key
            else "requests before this start are unknown, so the first one waits"
        )
        return f"{missing}; {unknown}: {format_duration(unknown_past)} left"
    return missing


def _whose(accounts: list[Account]) -> str:
    names = [account.name for account in accounts if account.name is not None]
    if not names:
        return ""
    if len(names) <= _NAMES_SHOWN:
        return f" of {', '.join(names)}"
    return f" of {', '.join(names[:_NAMES_SHOWN])} and {len(names) - _NAMES_SHOWN} more"
