"""The list of an account's sub-accounts, put together page by page. Pure.

A list counts when it is complete and does not contradict itself. Anything else is a failure, and changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.model import Failure, Reason, Subaccount, SubaccountPage
from exporter.secret import Secret

MAX_SUBACCOUNTS = 5_000


@dataclass(frozen=True)
class SubaccountList:
    """The pages fetched so far, in order from page 1."""

    subaccounts: tuple[Subaccount, ...] = ()
    total: int | None = None
    """How many sub-accounts there are by the first page; None before it."""
    pages: int = 0

    @property
    def next_page(self) -> int:
        """The number of the page to fetch next."""
        return self.pages + 1

    @property
    def is_complete(self) -> bool:
        """Whether every sub-account is here."""
        return len(self.subaccounts) == self.total

    def with_page(self, page: SubaccountPage) -> "SubaccountList":
        """Return the list with its next page. Raises Failure if the page contradicts those before it."""
        if page.total > MAX_SUBACCOUNTS:
            raise _contradiction(f"total: {page.total} is more than {MAX_SUBACCOUNTS}")
        if self.total is not None and page.total != self.total:
            raise _contradiction(f"total: page 1 said {self.total}, page {self.next_page} says {page.total}")
        subaccounts = (*self.subaccounts, *page.subaccounts)
        if len(subaccounts) > page.total:
            raise _contradiction(f"data: {len(subaccounts)} sub-accounts, but total is {page.total}")
        if not page.subaccounts and len(subaccounts) < page.total:
            raise _contradiction(f"data: ends after {len(subaccounts)} of {page.total} sub-accounts")
        if len({subaccount.id for subaccount in subaccounts}) < len(subaccounts):
            raise _contradiction(f"data: an id on page {self.next_page} appears twice")
        if len({subaccount.key for subaccount in subaccounts}) < len(subaccounts):
            raise _contradiction(f"data: a key on page {self.next_page} belongs to two sub-accounts")
        return SubaccountList(subaccounts, page.total, self.pages + 1)


class SubaccountLists:
    """The last complete list of each account, and the pages of lists that are being fetched."""

    def __init__(self) -> None:
        self._complete: dict[str | None, tuple[Secret, tuple[Subaccount, ...]]] = {}
        self._partial: dict[str | None, SubaccountList] = {}

    @property
    def complete(self) -> dict[str | None, tuple[Subaccount, ...]]:
        """The last complete list of each account that has one."""
        return {account: subaccounts for account, (_, subaccounts) in self._complete.items()}

    def next_page(self, account: str | None) -> int:
        """Return the page of an account's list to fetch next, counted from 1."""
        return self._partial.get(account, SubaccountList()).next_page

    def take(self, account: str | None, key: Secret, page: SubaccountPage) -> bool:
        """Take the next page, fetched with the account's `key`. Return whether the list is complete with it.

        Raises Failure if the page contradicts those before it; then the list is fetched anew.
        """
        listing = self._partial.pop(account, SubaccountList()).with_page(page)
        if not page.permitted and self.complete.get(account):
            raise Failure(Reason.ACCESS_DENIED, "code 4: the list of sub-accounts is no longer permitted")
        if not listing.is_complete:
            self._partial[account] = listing
            return False
        self._complete[account] = key, listing.subaccounts
        return True

    def start_over(self, account: str | None) -> None:
        """Forget the pages of a list that is being fetched."""
        self._partial.pop(account, None)

    def keep(self, keys: Mapping[str | None, Secret]) -> None:
        """Keep the complete lists of these accounts, if they were fetched with these keys. Fetch all others anew."""
        self._partial = {}
        self._complete = {name: kept for name, kept in self._complete.items() if keys.get(name) == kept[0]}


def _contradiction(detail: str) -> Failure:
    return Failure(Reason.INVALID_REPLY, detail)
