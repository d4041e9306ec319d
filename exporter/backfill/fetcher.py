"""Past months of every account: asked for one by one within the limit, and kept as they come."""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TypeVar

import msgspec

from exporter.api.client import Client
from exporter.clock import Clock
from exporter.config.api_key import KeySource
from exporter.config.settings import AccountSettings, Settings
from exporter.durations import format_duration
from exporter.model import Failure, MonthFigures, Poll
from exporter.months import month_of, months_between, paris_date
from exporter.polling.accounts import subaccount_settings
from exporter.polling.schedule import NEEDS_ANOTHER_KEY, after_failure, not_before
from exporter.polling.subaccounts import SubaccountList
from exporter.ratelimit.decision import Wait
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from exporter.state.files import FiguresFiles

logger = logging.getLogger(__name__)

COMPLETE_AFTER = 3 * 3600.0
"""Seconds from a month's end until it is taken as complete. A block of Prometheus that ends in the future breaks its
server; this keeps the blocks of the newest month in the past."""
_EARLIEST = "2000-01"
_REDRAW_EVERY = 1.0
_T = TypeVar("_T")

Progress = Callable[[int, int, float], object]
"""Is told every second how many months are fetched, how many there are, and how many seconds the rest takes."""


class BackfillError(Exception):
    """The backfill cannot go on. The text is one line: why, and what to do."""


class AskedMonth(msgspec.Struct, frozen=True):
    """The answer for one month: its figures, or None if the API has none, and when it was asked (Unix seconds)."""

    figures: MonthFigures | None
    asked: float


def latest_complete_month(now: float) -> str:
    """Return the newest month that is over, at a Unix time."""
    first_of_running = paris_date(now - COMPLETE_AFTER).replace(day=1)
    return month_of(first_of_running - timedelta(days=1))


def choose_months(first: str, last: str | None, now: float) -> list[str]:
    """Return the months from `first` to `last`, by default the newest complete one. Raises ValueError."""
    latest = latest_complete_month(now)
    for flag, month in (("--from", first), ("--to", last or latest)):
        if month < _EARLIEST:
            raise ValueError(f"{flag}: the earliest month is {_EARLIEST}")
        if month > latest:
            raise ValueError(
                f"{flag}: the latest complete month is {latest}; a month is complete 3 h after its end"
            )
    if last and first > last:
        raise ValueError("--from: must not be after --to")
    return months_between(first, last or latest)


class Backfill:
    """Fetches `months` of each account. `run` belongs to one thread, everything else may be called from any."""

    def __init__(
        self,
        settings: Settings,
        months: Sequence[str],
        client: Client,
        limiters: RateLimiters,
        directory: StateDirectory | None,
        clock: Clock,
        show: Progress | None = None,
    ) -> None:
        self._settings = settings
        self._months = months
        self._client = client
        self._limiters = limiters
        self._directory = directory
        self._clock = clock
        self._show = show
        self._stop = threading.Event()
        self._files = FiguresFiles(directory, "backfill", dict[str, AskedMonth], settings.base_url)
        self._accounts = list(settings.accounts)
        self._asked = {account.name: self._load(account) for account in settings.accounts}

    @property
    def missing(self) -> list[tuple[AccountSettings, str]]:
        """What is yet to be asked for."""
        return [
            (account, month)
            for account in self._accounts
            for month in self._months
            if month not in self._asked[account.name]
        ]

    @property
    def total(self) -> int:
        """How many months there are, those of all accounts counted."""
        return len(self._accounts) * len(self._months)

    @property
    def seconds_left(self) -> float:
        """How long the rest takes within the limit, if nothing fails and nobody else asks."""
        return len(self.missing) * self._limiters.interval

    def figures(self) -> dict[str | None, dict[str, MonthFigures]]:
        """Return what the API has of the months, by account."""
        return {
            name: {
                month: figures
                for month in self._months
                if month in asked and (figures := asked[month].figures)
            }
            for name, asked in self._asked.items()
        }

    def run(self) -> None:
        """Ask for what is missing, and before that for the accounts' sub-accounts. Raises BackfillError."""
        for account in self._settings.accounts:
            if account.subaccounts:
                self._find_subaccounts(account)
        for account, month in self.missing:
            answer, key = self._obtain(account, month, partial(self._ask_month, month))
            self._take(account, month, answer, key)

    def stop(self) -> None:
        """Let `run` end now: an exchange under way is cut off, and nothing of it is taken."""
        self._stop.set()
        self._client.cut_off()

    def _load(self, account: AccountSettings) -> dict[str, AskedMonth]:
        kept = self._files.load(account.name, account.key.read()) or {}
        now = self._clock.time()
        # A clock that was wrong may have let a month seem complete.
        return {
            month: answer
            for month, answer in kept.items()
            if answer.asked <= now and month <= latest_complete_month(answer.asked)
        }

    def _ask_month(self, month: str, key: Secret, deadline: float) -> AskedMonth:
        asked = self._clock.time()
        return AskedMonth(self._client.fetch_month(month, key, deadline), asked)

    def _find_subaccounts(self, account: AccountSettings) -> None:
        """Read the list of an account's sub-accounts, and fetch their months, too."""
        listing = SubaccountList()

        def next_page(key: Secret, deadline: float) -> SubaccountList:
            nonlocal listing
            try:
                return listing.with_page(self._client.fetch_subaccounts(listing.next_page, key, deadline))
            except Failure:
                listing = SubaccountList()
                raise

        while not listing.is_complete:
            listing, _ = self._obtain(account, "sub-accounts", next_page)
        for subaccount in listing.subaccounts:
            found = subaccount_settings(account, subaccount.id, KeySource(subaccount.key))
            self._asked[found.name] = self._load(found)
            self._accounts.append(found)
        logger.info(
            "sub-accounts found",
            extra={
                "account": account.name,
                "subaccounts": len(listing.subaccounts),
                "requests": len(self.missing),
                "takes": format_duration(self.seconds_left),
            },
        )

    def _obtain(
        self, account: AccountSettings, what: str, ask: Callable[[Secret, float], _T]
    ) -> tuple[_T, Secret]:
        """Ask until there is an answer. Return it with the key that brought it. `ask` takes a key and a deadline."""
        poll = Poll(due=self._clock.monotonic())
        while True:
            self._wait_until(poll.due)
            key = account.key.read()
            try:
                with self._limiters.for_key(key).request(self._settings.timeout) as permission:
                    self._check_limit_is_shared()
                    if isinstance(permission, Wait):
                        poll = not_before(poll, self._clock.monotonic() + permission.seconds)
                        logger.debug(
                            "waiting for the rate limit",
                            extra={"seconds": round(permission.seconds, 2), "reason": permission.reason},
                        )
                        continue
                    return ask(key, permission.deadline), key
            except Failure as failure:
                poll = self._failed(account, what, poll, failure)

    def _check_limit_is_shared(self) -> None:
        if self._directory and not self._directory.writable:
            raise BackfillError(
                f"{self._directory.path}: cannot be written, so this command and the exporter cannot keep to "
                "the limit together: run it as the exporter's user, with its --state.dir"
            )

    def _wait_until(self, due: float) -> None:
        while not self._stop.is_set():
            seconds = max(0.0, due - self._clock.monotonic())
            if not seconds:
                return
            self._draw(seconds)
            self._clock.wait(self._stop, min(seconds, _REDRAW_EVERY))
        raise BackfillError("stopped")

    def _failed(self, account: AccountSettings, what: str, poll: Poll, failure: Failure) -> Poll:
        if self._stop.is_set():
            raise BackfillError("stopped")
        if failure.reason in NEEDS_ANOTHER_KEY:
            of_account = f" of {account.name}" if account.name else ""
            raise BackfillError(f"{what}{of_account}: {failure.reason}: {failure.detail}")
        now = self._clock.monotonic()
        failed = after_failure(poll, failure, now)
        logger.warning(
            "not fetched",
            extra={
                "account": account.name,
                "what": what,
                "reason": failure.reason,
                "detail": failure.detail,
                "next_try_in": format_duration(failed.due - now),
            },
        )
        return failed

    def _take(self, account: AccountSettings, month: str, answer: AskedMonth, key: Secret) -> None:
        asked = self._asked[account.name]
        asked[month] = answer
        self._files.save(account.name, asked, key)
        logger.log(
            logging.DEBUG if self._show else logging.INFO,
            "month fetched" if answer.figures else "month not known to the API",
            extra={
                "account": account.name,
                "month": month,
                "months_left": len(self.missing),
                "time_left": format_duration(self.seconds_left),
            },
        )

    def _draw(self, seconds_to_next: float) -> None:
        if self._show:
            left = len(self.missing)
            seconds_left = seconds_to_next + (left - 1) * self._limiters.interval
            self._show(self.total - left, self.total, seconds_left)
