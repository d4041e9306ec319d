"""Which accounts are polled: those of the configuration, each followed by its sub-accounts."""

import logging
from collections.abc import Mapping, Sequence

from exporter.clock import Clock
from exporter.config.api_key import KeySource
from exporter.config.settings import AccountSettings, Settings
from exporter.durations import format_duration
from exporter.model import Account, Figures, Poll, Query, Subaccount
from exporter.polling.schedule import due_by, stretched_interval
from exporter.polling.subaccounts import SubaccountLists
from exporter.secret import Secret
from exporter.state.store import Store

logger = logging.getLogger(__name__)

SUBACCOUNTS_INTERVAL = 3600.0
"""Seconds between two readings of a list of sub-accounts."""
_PAGE = 20


def subaccount_name(parent: AccountSettings, subaccount: int) -> str:
    """Return what a sub-account is called: ``agency/12``, or ``agency/shop-lyon`` if the configuration names it."""
    names = parent.subaccounts.names if parent.subaccounts else {}
    return f"{parent.name}/{names.get(subaccount, subaccount)}"


def subaccount_settings(parent: AccountSettings, subaccount: int, key: KeySource) -> AccountSettings:
    """Return how a sub-account is polled."""
    budget = parent.subaccounts.budget(subaccount) if parent.subaccounts else None
    return AccountSettings(subaccount_name(parent, subaccount), key, budget, parent=parent.name)


def polled_accounts(
    settings: Settings, lists: Mapping[str | None, Sequence[Subaccount]]
) -> list[AccountSettings]:
    """Return every account that can be asked. `lists` has the sub-accounts of those whose list is known."""
    accounts = []
    for account in settings.accounts:
        accounts.append(account)
        if account.subaccounts:
            accounts += [
                subaccount_settings(account, each.id, KeySource(each.key))
                for each in lists.get(account.name, ())
            ]
    return accounts


def round_interval(settings: Settings, accounts: Sequence[AccountSettings], request_interval: float) -> float:
    """Return the seconds between two polls of an account: the configured ones, or as many as sub-accounts need."""
    subaccounts = [account for account in accounts if account.parent is not None]
    if not subaccounts or settings.limit_scope == "account":
        return settings.poll_interval
    lists = sum(account.subaccounts is not None for account in accounts)
    pages = lists + len(subaccounts) // _PAGE
    requests = sum(len(settings.queries_of(account)) for account in accounts) - lists
    return stretched_interval(settings.poll_interval, requests, pages, request_interval)


def account_now(
    settings: Settings,
    account: AccountSettings,
    known: Account | None,
    saved: Figures,
    now: float,
    poll_interval: float,
) -> Account:
    """Return an account with what is `known` of it, or with the figures that an earlier process `saved`.

    What is due later than the poll interval allows is brought forward; after a failure, the retry stays when it is.
    """
    queries = settings.queries_of(account)
    polls = {query: Poll(due=now) for query in queries}
    if known:
        for query, poll in known.polls.items():
            if query in polls:
                longest = SUBACCOUNTS_INTERVAL if query is Query.SUBACCOUNTS else poll_interval
                polls[query] = poll if poll.reason else due_by(poll, now + longest)
    figures = known.figures if known else saved
    wanted = queries if account.parent is None else (*queries, Query.CREDITS)
    return Account(
        name=account.name,
        monthly_budget=account.monthly_budget,
        figures=figures.only(wanted).asked_with(str(settings.statistics)),
        polls=polls,
        request_stats=known.request_stats if known else {},
        parent=account.parent,
    )


class PolledAccounts:
    """The accounts that are polled now, by name, and the lists of sub-accounts that some of them come from."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.lists = SubaccountLists()
        self.poll_interval = 0.0
        """Seconds between two polls of an account: as configured, or longer if sub-accounts need more."""
        self._store = store
        self._clock = clock
        self._polled: dict[str | None, AccountSettings] = {}

    def __contains__(self, name: str | None) -> bool:
        return name in self._polled

    def __getitem__(self, name: str | None) -> AccountSettings:
        return self._polled[name]

    def keep_lists(self, accounts: Sequence[AccountSettings]) -> None:
        """Keep the lists of these accounts, also if their keys are new ones, and forget all others."""
        self.lists.keep({account.name for account in accounts if account.subaccounts})

    def owner_key(self, name: str | None) -> Secret:
        """Return the key that an account's figures on disk belong to.

        A sub-account's belong to its main account's key: its own is not known until the list is read.
        """
        parent = self._polled[name].parent
        return self._polled[name if parent is None else parent].key.read()

    def apply(self, settings: Settings, request_interval: float, known: Mapping[str | None, Account]) -> None:
        """Show and poll the accounts of the configuration and their sub-accounts, with what is known of them."""
        polled = polled_accounts(settings, self.lists.complete)
        self._polled = {account.name: account for account in polled}
        self._set_interval(settings, round_interval(settings, polled, request_interval))
        accounts = [self._account(settings, each, known.get(each.name)) for each in polled]
        for each in self._saved_subaccounts(settings, accounts):
            accounts.append(self._account(settings, each, known.get(each.name)))
        self._store.replace(tuple(accounts))

    def _set_interval(self, settings: Settings, interval: float) -> None:
        if interval != self.poll_interval and interval > settings.poll_interval:
            logger.info(
                "poll interval stretched to what the rate limit leaves room for",
                extra={"accounts": len(self._polled), "poll_interval": format_duration(interval)},
            )
        self.poll_interval = interval

    def _saved_subaccounts(self, settings: Settings, accounts: Sequence[Account]) -> list[AccountSettings]:
        """Return the sub-accounts that an earlier process knew: shown, but not polled before the list is read."""
        saved = {account.name: account.figures.subaccounts for account in accounts}
        return [
            subaccount_settings(parent, subaccount, parent.key)
            for parent in settings.accounts
            if parent.subaccounts and parent.name not in self.lists.complete
            for subaccount in saved[parent.name]
        ]

    def _account(self, settings: Settings, account: AccountSettings, known: Account | None) -> Account:
        owner = account if account.parent is None else self._polled[account.parent]
        saved = Figures() if known else self._store.load(account.name, owner.key.read())
        return account_now(settings, account, known, saved, self._clock.monotonic(), self.poll_interval)
