"""The loop that asks the provider, one request at a time, and publishes what comes back."""

import logging
import threading
from collections.abc import Mapping

import msgspec

from exporter.clock import Clock
from exporter.config.settings import Settings
from exporter.durations import format_duration
from exporter.model import Account, Failure, Poll, Query, Reason, RequestStats, SubaccountPage
from exporter.polling.accounts import SUBACCOUNTS_INTERVAL, PolledAccounts, subaccount_name
from exporter.polling.queries import Fetcher, Merge, PollRequest, ask
from exporter.polling.queue import PollQueue
from exporter.polling.schedule import NEEDS_ANOTHER_KEY, after_failure, after_success, due_by, not_before
from exporter.ratelimit.decision import Wait
from exporter.ratelimit.per_key import RateLimiters
from exporter.secret import Secret
from exporter.state.store import Store

logger = logging.getLogger(__name__)

_CHECK_KEYS_SECONDS = 5.0
_LONGEST_SLEEP = 60.0


class Poller:
    """Asks for each account's figures in turn, as fast as the rate limiter permits, and publishes the answers.

    One request is under way at a time, so one that hangs delays everyone by up to the timeout. `PollQueue` bounds what
    failing accounts cost the others.

    `run` and `step` belong to one thread; everything else may be called from any. A lock guards what both sides change;
    it is never held during a request or a write to disk.
    """

    def __init__(
        self, settings: Settings, client: Fetcher, limiters: RateLimiters, store: Store, clock: Clock
    ) -> None:
        self._limiters = limiters
        self._store = store
        self._clock = clock
        self._wake = threading.Event()
        self._stopping = False
        self._lock = threading.RLock()
        self._rejected: dict[tuple[str | None, Query], Secret] = {}
        """The key that the provider rejected last: any other is worth a try at once."""
        self._check_keys_at = clock.monotonic()
        self._asking = client
        """The client of the request under way."""
        self._accounts = PolledAccounts(store, clock)
        self._configure(settings, client)

    def run(self) -> None:
        """Poll until stopped."""
        while not self._stopping:
            seconds = self.step()
            if seconds > 0:
                self._clock.wait(self._wake, seconds)
                self._wake.clear()

    def stop(self) -> None:
        """Let `run` return now: a request under way is cut off, and its answer is not taken."""
        self._stopping = True
        self._wake.set()
        self._asking.cut_off()

    @property
    def poll_interval(self) -> float:
        """Seconds between two polls of an account: as configured, or longer if sub-accounts need more."""
        return self._accounts.poll_interval

    def reconfigure(self, settings: Settings, client: Fetcher) -> None:
        """Go on with other settings at once. Only a request that is under way still ends under the old ones.

        Accounts that stay keep their figures and schedule.
        """
        with self._lock:
            self._configure(settings, client, before=self._settings)
        self._wake.set()

    def step(self) -> float:
        """Send one request if one is due and permitted. Return the seconds until there may be something to do."""
        is_held = False
        while request := self._next_request():
            if self._send(request):
                self._store.save()
                return 0.0
            is_held = True
        with self._lock:
            seconds = self._queue.next() - self._clock.monotonic()
            longest = _CHECK_KEYS_SECONDS if self._rejected else _LONGEST_SLEEP
        if not is_held:
            logger.debug("nothing is due", extra={"next_poll_in": format_duration(seconds)})
        return min(seconds, longest)

    def _next_request(self) -> PollRequest | None:
        with self._lock:
            self._check_changed_keys()
            due = None if self._stopping else self._queue.due(self._clock.monotonic())
            if not due:
                return None
            account, query = due
            self._asking = self._client
            page = self._accounts.lists.next_page(account) if query is Query.SUBACCOUNTS else None
            key = self._accounts[account].key.read()
            limiter = self._limiters.for_key(key)
            return PollRequest(account, query, page, key, limiter, self._client, self._settings)

    def _send(self, request: PollRequest) -> bool:
        """Send a request and record how it ended. Return False if the rate limiter does not permit it yet."""
        merge: Merge | None = None
        page: SubaccountPage | None = None
        failure: Failure | None = None
        started = self._clock.monotonic()
        try:
            with request.limiter.request(request.settings.timeout) as permission:
                if isinstance(permission, Wait):
                    self._hold(request, permission)
                    return False
                logger.debug("polling", extra={"account": request.account, "query": request.query})
                if request.page:
                    page = request.client.fetch_subaccounts(request.page, request.key, permission.deadline)
                else:
                    merge = ask(request.client, request.query, request.key, permission.deadline, self._clock)
        except Failure as error:
            failure = error
        with self._lock:
            if self._is_wanted(request):
                if page:
                    failure = self._take_page(request, page)
                elif request.page:
                    self._accounts.lists.start_over(request.account)
                self._record(request, started, merge, failure)
        return True

    def _hold(self, request: PollRequest, wait: Wait) -> None:
        until = self._clock.monotonic() + wait.seconds
        logger.debug(
            "waiting for the rate limit",
            extra={
                "account": request.account,
                "query": request.query,
                "seconds": round(wait.seconds, 2),
                "reason": wait.reason,
            },
        )
        with self._lock:
            if request.settings.limit_scope == "all":
                self._queue.hold_all(until)
            else:
                self._queue.hold(request.account, until)

    def _is_wanted(self, request: PollRequest) -> bool:
        """Return whether the answer still belongs to what is configured now."""
        asked, now = request.settings, self._settings
        if self._stopping or request.account not in self._accounts or asked.base_url != now.base_url:
            return False
        if request.query not in now.queries_of(self._accounts[request.account]):
            return False
        if request.page and request.page != self._accounts.lists.next_page(request.account):
            return False  # a reload lets the list begin anew
        if request.settings is now:
            return True
        is_other_range = request.query is Query.STATISTICS and asked.statistics != now.statistics
        return not is_other_range and self._accounts[request.account].key.read() == request.key

    def _record(
        self, request: PollRequest, started: float, merge: Merge | None, failure: Failure | None
    ) -> None:
        account, query, now = self._store.account(request.account), request.query, self._clock.monotonic()
        before = account.polls[query]
        polls = dict(account.polls)
        if failure:
            polls[query] = after_failure(before, failure, now)
            if failure.reason is Reason.RATE_LIMITED:
                polls = {each: not_before(poll, polls[query].due) for each, poll in polls.items()}
        else:
            polls[query] = self._after_success(request, before, started)
        self._note_rejection(request, failure)
        if before.failures_in_a_row:
            interval = self._limiters.interval if self._limiters.scope == "all" else 0.0
            self._queue.note_retry(now, wasted_seconds=now - started + interval if failure else 0.0)
        if failure or polls[query].succeeded:
            _log(request, before, polls[query], now)
        known = account.request_stats.get(query.endpoint, RequestStats())
        stats = known.plus(now - started, failure.reason if failure else None)
        updated = msgspec.structs.replace(
            account,
            figures=merge(account.figures) if merge else account.figures,
            polls=polls,
            request_stats={**account.request_stats, query.endpoint: stats},
        )
        self._publish(updated, key=self._accounts.owner_key(request.account))

    def _after_success(self, request: PollRequest, before: Poll, started: float) -> Poll:
        if request.query is not Query.SUBACCOUNTS:
            return after_success(started, self.poll_interval)
        if self._accounts.lists.next_page(request.account) > 1:
            return msgspec.structs.replace(
                before, due=started
            )  # a list has succeeded when its last page is there
        return after_success(started, SUBACCOUNTS_INTERVAL)

    def _take_page(self, request: PollRequest, page: SubaccountPage) -> Failure | None:
        """Take a page of an account's sub-accounts. Once its list is complete, poll exactly those that it has."""
        try:
            if not self._accounts.lists.take(request.account, page):
                return None
        except Failure as failure:
            return failure
        listed = self._accounts.lists.complete[request.account]
        self._apply_accounts({account.name: account for account in self._store.snapshot})
        parent, now = self._accounts[request.account], self._clock.time()
        for subaccount in listed:
            account = self._store.account(subaccount_name(parent, subaccount.id))
            figures = account.figures.with_credits(subaccount.credits, now)
            self._publish(msgspec.structs.replace(account, figures=figures), key=request.key)
        account = self._store.account(parent.name)
        figures = account.figures.with_subaccounts(tuple(each.id for each in listed), now)
        self._publish(msgspec.structs.replace(account, figures=figures), key=request.key)
        return None

    def _note_rejection(self, request: PollRequest, failure: Failure | None) -> None:
        if failure and failure.reason in NEEDS_ANOTHER_KEY:
            self._rejected[request.account, request.query] = request.key
        else:
            self._rejected.pop((request.account, request.query), None)

    def _configure(self, settings: Settings, client: Fetcher, before: Settings | None = None) -> None:
        self._settings = settings
        self._client = client
        self._limiters.configure(settings.requests_per_minute, settings.limit_scope)
        is_other_api = before is not None and before.base_url != settings.base_url
        known = {} if is_other_api else {account.name: account for account in self._store.snapshot}
        self._store.use_api(settings.base_url)
        self._accounts.keep_lists(() if is_other_api else settings.accounts)
        self._apply_accounts(known)
        for account in self._store.snapshot if before else ():
            self._ask_again(account.name, Query.SUBACCOUNTS)
            if before and before.statistics != settings.statistics:
                self._ask_again(account.name, Query.STATISTICS)

    def _apply_accounts(self, known: Mapping[str | None, Account]) -> None:
        self._accounts.apply(self._settings, self._limiters.interval, known)
        self._rejected = {asked: key for asked, key in self._rejected.items() if asked[0] in self._accounts}
        self._queue = PollQueue([*self._settings.queries, Query.SUBACCOUNTS])
        for account in self._store.snapshot:
            self._enqueue(account)

    def _check_changed_keys(self) -> None:
        """Try again at once what was rejected with another key."""
        now = self._clock.monotonic()
        if now < self._check_keys_at:
            return
        self._check_keys_at = now + _CHECK_KEYS_SECONDS
        for (name, query), rejected in tuple(self._rejected.items()):
            if self._accounts[name].key.read() != rejected:
                del self._rejected[name, query]
                self._make_due(name, query)

    def _ask_again(self, name: str | None, query: Query) -> None:
        """Ask a query now, unless the provider asked to wait."""
        poll = self._store.account(name).polls.get(query)
        if poll and poll.reason is not Reason.RATE_LIMITED:
            self._make_due(name, query)

    def _make_due(self, name: str | None, query: Query) -> None:
        account = self._store.account(name)
        if query in account.polls:
            poll = due_by(account.polls[query], self._clock.monotonic())
            poll = msgspec.structs.replace(poll, failures_in_a_row=0)
            self._publish(msgspec.structs.replace(account, polls={**account.polls, query: poll}))

    def _publish(self, account: Account, key: Secret | None = None) -> None:
        """Publish an account. New figures belong to the `key` that brought them."""
        self._store.publish(account, key)
        self._enqueue(account)

    def _enqueue(self, account: Account) -> None:
        if account.name in self._accounts:
            self._queue.put(account)


def _log(request: PollRequest, before: Poll, poll: Poll, now: float) -> None:
    fields = {"account": request.account, "query": request.query.value}
    if poll.reason:
        why = {"reason": poll.reason, "detail": poll.detail, "next_try_in": format_duration(poll.due - now)}
        logger.warning("poll failed", extra={**fields, **why})
    elif before.succeeded is False:
        logger.info("poll succeeded again", extra=fields)
    else:
        level = logging.DEBUG if before.succeeded else logging.INFO
        logger.log(level, "poll succeeded", extra={**fields, "next_poll_in": format_duration(poll.due - now)})
