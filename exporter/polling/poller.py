"""What to ask next, and when: the loop that turns settings into figures, one request at a time."""

import logging
import threading
from collections import deque
from typing import Protocol

import msgspec

from exporter.clock import Clock
from exporter.config.settings import AccountSettings, Settings
from exporter.durations import format_duration
from exporter.model import Account, Failure, Figures, Poll, Query, Reason, RequestStats
from exporter.polling.queue import PollQueue
from exporter.polling.schedule import NEEDS_ANOTHER_KEY, after_failure, after_success, due_by, not_before
from exporter.ratelimit.limiter import Permission, Wait
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.state.store import Store

logger = logging.getLogger(__name__)

_LOOK_FOR_ANOTHER_KEY_EVERY = 5.0
_LONGEST_SLEEP = 60.0


class Fetcher(Protocol):
    """What the poller needs of a client."""

    def fetch(self, query: Query, key: Secret, figures: Figures, deadline: float) -> Figures:
        """Return `figures` with the answer to `query` in them, before `deadline`. Raises Failure."""

    def cut_off(self) -> None:
        """End a running `fetch` at once, from another thread."""


class Poller:
    """Asks for each account's figures in turn, at their pace, and publishes what comes back to the store.

    One request is under way at a time, so an exchange that hangs delays everyone by up to the timeout: where one pace
    holds for all, beside the pace itself; where each key has its own, in place of all that others could have asked.
    Those that fail again and again take no more than a fiftieth of that time from the others (see `Agenda`).

    `run` and `step` belong to one thread; everything else may be called from any.
    """

    def __init__(
        self, settings: Settings, client: Fetcher, limiters: RateLimiters, store: Store, clock: Clock
    ) -> None:
        self._limiters = limiters
        self._store = store
        self._clock = clock
        self._wake = threading.Event()
        self._stopping = False
        self._reconfigured: deque[tuple[Settings, Fetcher]] = deque()
        self._refused: dict[tuple[str | None, Query], Secret] = {}
        """The key that the provider refused last: any other is worth a try at once."""
        self._look_for_another_key = clock.monotonic()
        self._configure(settings, client)

    def run(self) -> None:
        """Poll until stopped."""
        while not self._stopping:
            seconds = self.step()
            if seconds > 0:
                self._clock.wait(self._wake, seconds)

    def stop(self) -> None:
        """Let `run` return now: an exchange under way is cut off, and nothing of it is taken."""
        self._stopping = True
        self._wake.set()
        self._client.cut_off()

    def reconfigure(self, settings: Settings, client: Fetcher) -> None:
        """Go on with other settings from the next step on. Accounts that stay keep their figures and schedule."""
        self._reconfigured.append((settings, client))
        self._wake.set()

    def step(self) -> float:
        """Ask one question if it is time to. Return the seconds until there may be something to do."""
        if self._reconfigured:
            self._wake.clear()
            settings, client = self._reconfigured.popleft()
            self._configure(settings, client, before=self._settings)
        self._notice_other_keys()
        while due := self._queue.due(self._clock.monotonic()):
            name, query = due
            key = self._accounts[name].key.read()
            limiter = self._limiters.of(key)
            match limiter.try_acquire(self._settings.timeout):
                case Wait(seconds):
                    self._hold(name, seconds)
                case Permission(deadline):
                    answered = False
                    try:
                        answered = self._ask(self._store.account(name), query, key, deadline)
                    finally:
                        limiter.release(answered=answered)
                    return 0.0
        seconds = self._queue.next() - self._clock.monotonic()
        return min(seconds, _LOOK_FOR_ANOTHER_KEY_EVERY if self._refused else _LONGEST_SLEEP)

    def _hold(self, name: str | None, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        if self._limiters.scope == "all":
            self._queue.hold_all(until)
        else:
            self._queue.hold(name, until)

    def _configure(self, settings: Settings, client: Fetcher, before: Settings | None = None) -> None:
        self._settings = settings
        self._client = client
        self._accounts = {account.name: account for account in settings.accounts}
        self._refused = {asked: key for asked, key in self._refused.items() if asked[0] in self._accounts}
        self._limiters.configure(settings.requests_per_minute, settings.limit_scope)
        known = {account.name: account for account in self._store.snapshot}
        if before and before.base_url != settings.base_url:
            known = {}
        self._store.base_url = settings.base_url
        self._store.replace(
            tuple(self._adopt(account, known.get(account.name)) for account in settings.accounts)
        )
        self._queue = PollQueue(settings.queries)
        for adopted in self._store.snapshot:
            self._queue.put(adopted)
        if before and before.statistics != settings.statistics:
            for account in self._store.snapshot:
                if account.polls[Query.STATISTICS].reason is not Reason.RATE_LIMITED:
                    self._make_due(account.name, Query.STATISTICS)

    def _adopt(self, settings: AccountSettings, known: Account | None) -> Account:
        """Start an account with the figures that were kept, or go on with it as it is known."""
        now = self._clock.monotonic()
        polls = {query: Poll(due=now) for query in self._settings.queries}
        if known:
            latest = now + self._settings.poll_interval
            kept = {query: poll for query, poll in known.polls.items() if query in polls}
            polls |= {query: poll if poll.reason else due_by(poll, latest) for query, poll in kept.items()}
        figures = known.figures if known else self._store.load(settings.name, settings.key.read())
        return Account(
            name=settings.name,
            monthly_budget=settings.monthly_budget,
            figures=figures.only(self._settings.queries),
            polls=polls,
            request_stats=known.request_stats if known else {},
        )

    def _notice_other_keys(self) -> None:
        now = self._clock.monotonic()
        if now < self._look_for_another_key:
            return
        self._look_for_another_key = now + _LOOK_FOR_ANOTHER_KEY_EVERY
        for (name, query), refused in tuple(self._refused.items()):
            if self._accounts[name].key.read() != refused:
                del self._refused[name, query]
                self._make_due(name, query)

    def _make_due(self, name: str | None, query: Query) -> None:
        account = self._store.account(name)
        if query in account.polls:
            poll = due_by(account.polls[query], self._clock.monotonic())
            poll = msgspec.structs.replace(poll, failures_in_a_row=0)
            self._publish(msgspec.structs.replace(account, polls={**account.polls, query: poll}))

    def _publish(self, account: Account, key: Secret | None = None) -> None:
        self._store.publish(account, key)
        self._queue.put(account)

    def _ask(self, account: Account, query: Query, key: Secret, deadline: float) -> bool:
        """Ask, and publish what came of it. Return whether there was an answer."""
        started = self._clock.monotonic()
        figures, failure = account.figures, None
        try:
            figures = self._client.fetch(query, key, figures, deadline)
        except Failure as error:
            failure = error
        ended = self._clock.monotonic()
        answered = failure is None or failure.answered
        if self._stopping:
            return answered
        before = account.polls[query]
        polls = dict(account.polls)
        if failure:
            polls[query] = after_failure(before, failure, ended)
            if failure.reason is Reason.RATE_LIMITED:
                polls = {each: not_before(poll, polls[query].due) for each, poll in polls.items()}
        else:
            polls[query] = after_success(started, self._settings.poll_interval)
        if failure and failure.reason in NEEDS_ANOTHER_KEY:
            self._refused[account.name, query] = key
        else:
            self._refused.pop((account.name, query), None)
        if before.failures_in_a_row:
            cost = ended - started + (self._limiters.interval if self._limiters.scope == "all" else 0.0)
            self._queue.note_retry(ended, wasted_seconds=cost if failure else 0.0)
        _log(account.name, query, before, polls[query], ended)
        request_stats = account.request_stats.get(query.endpoint, RequestStats()).plus(
            ended - started, failure.reason if failure else None
        )
        taken = msgspec.structs.replace(
            account,
            figures=figures,
            polls=polls,
            request_stats={**account.request_stats, query.endpoint: request_stats},
        )
        self._publish(taken, key=key)
        return answered


def _log(account: str | None, query: Query, before: Poll, poll: Poll, now: float) -> None:
    fields = {"account": account, "query": query.value}
    if poll.succeeded:
        level = logging.DEBUG if before.succeeded else logging.INFO
        logger.log(
            level, "poll succeeded" if before.succeeded is not False else "poll succeeded again", extra=fields
        )
    else:
        why = {"reason": poll.reason, "detail": poll.detail, "next_try_in": format_duration(poll.due - now)}
        logger.warning("poll failed", extra={**fields, **why})
