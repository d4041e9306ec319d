"""How much of the limit is used, and how old figures get, as accounts become more: ``python -m benchmarks.limit``.

In virtual time, before a simulated API that takes 0.3 s on average; asked as often as the configuration lets.
"""

import logging
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks import growth
from benchmarks.table import number, table
from benchmarks.virtual import Outcome, play, settings_for
from exporter.durations import format_duration
from exporter.model import Reason
from exporter.ratelimit.decision import LimitScope

ACCOUNTS = (1, 10, 100, 1000)
HOURS: dict[LimitScope, float] = {"all": 24, "account": 3}
_FAILING = (Reason.KEY_REJECTED, Reason.SERVER_ERROR, Reason.TIMEOUT)
_TEXTS = (
    """Each number of accounts was asked as often as its configuration lets, by the real poller, in virtual time, before
a simulated API that takes 0.3 s on average. With `all`, requests are those of all accounts; with `account`, those of
the key that had most, and beyond 40 accounts the one exchange at a time is what limits them.
""",
    """The same with accounts that fail for good, each question of theirs. “Oldest figure” leaves the first quarter of
the time out, in which all are asked as if they were well until they have failed twice.
""",
    """What accounts weigh, in a real exporter that begins with their figures and is scraped once a second.
""",
)
_MEMORY = Path("/dev/shm")  # noqa: S108 - a disk would be measured, and it is not what this is about


def run(
    accounts: int, scope: LimitScope, hours: float, failing: int = 0, reason: Reason = Reason.TIMEOUT
) -> Outcome:
    """Poll so many accounts for so many virtual hours."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as directory:
        return play(Path(directory), settings_for(accounts, scope), hours, failing, reason)


def of_sizes(sizes: Iterable[int] = ACCOUNTS, hours: dict[LimitScope, float] = HOURS) -> list[Outcome]:
    """Poll each number of accounts with each scope."""
    return [run(accounts, scope, duration) for scope, duration in hours.items() for accounts in sizes]


def of_failures(
    accounts: int = 100, hours: dict[LimitScope, float] = HOURS, failing: Iterable[int] = (1, 10)
) -> list[tuple[Reason | None, Outcome]]:
    """Poll with no failing account, and then with some that fail in each way."""
    found: list[tuple[Reason | None, Outcome]] = []
    for scope, duration in hours.items():
        found.append((None, run(accounts, scope, duration)))
        found += [
            (reason, run(accounts, scope, duration, count, reason))
            for count in failing
            for reason in _FAILING
        ]
    return found


def sizes_table(outcomes: Iterable[Outcome]) -> str:
    """Return the table of how it grows."""
    rows = []
    for one in outcomes:
        accounts = len(one.settings.accounts)
        rows.append(
            [
                f"`{one.settings.limit_scope}`",
                f"{accounts:,}",
                format_duration(one.settings.poll_interval),
                one.most_in_60s,
                f"{one.used:.1%}",
                format_duration(one.round_took),
                f"{one.round_took / accounts:.1f} s",
                format_duration(one.oldest),
                f"{one.polls[0]:,} to {one.polls[1]:,}",
                f"{number(one.hours)} h in {number(one.took)} s",
            ]
        )
    head = [
        "`limit_scope`",
        "accounts",
        "`poll_interval`",
        "most requests in 60 s",
        "of the limit used",
        "first round",
    ]
    return table(
        [*head, "an account", "oldest figure", "answers to each question", "virtual time in real time"], rows
    )


def failures_table(outcomes: Iterable[tuple[Reason | None, Outcome]]) -> str:
    """Return the table of what failing accounts cost the others."""
    rows = []
    undisturbed: dict[LimitScope, Outcome] = {}
    for reason, one in outcomes:
        without = undisturbed.setdefault(one.settings.limit_scope, one)
        rows.append(
            [
                f"`{one.settings.limit_scope}`",
                f"{one.failing} of {len(one.settings.accounts)}: `{reason}`" if reason else "none",
                one.most_in_60s,
                format_duration(one.oldest),
                f"{one.oldest / without.oldest - 1:+.0%}",
                f"{one.answers / without.answers - 1:+.0%}",
                f"{one.polls[0]:,} to {one.polls[1]:,}",
            ]
        )
    head = ["`limit_scope`", "accounts that fail", "most requests in 60 s", "oldest figure of the others"]
    return table([*head, "against none failing", "answers to an account", "answers to each question"], rows)


def report() -> str:
    """Measure everything. Return the tables."""
    logging.disable(logging.CRITICAL)
    try:
        measured = (sizes_table(of_sizes()), failures_table(of_failures()), growth.report(ACCOUNTS))
    finally:
        logging.disable(logging.NOTSET)
    return "\n".join(f"{text}\n{shown}" for text, shown in zip(_TEXTS, measured, strict=True))


def main() -> None:
    """Print the tables."""
    sys.stdout.write(report())


if __name__ == "__main__":
    main()
