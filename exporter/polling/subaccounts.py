"""The list of an account's sub-accounts, put together page by page. Pure.

A list counts when it is complete and does not contradict itself. Anything else is a failure, and changes nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass

from exporter.model import Failure, Reason, Subaccount, SubaccountPage

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
        total = page.total or 0
        if total > MAX_SUBACCOUNTS:
            raise _contradiction(f"total: {total} is more than {MAX_SUBACCOUNTS}")
        if self.total is not None and total != self.total:
            raise _contradiction(f"total: page 1 said {self.total}, page {self.next_page} says {total}")
        subaccounts = (*self.subaccounts, *page.subaccounts)
        if len(subaccounts) > total:
            raise _contradiction(f"data: {len(subaccounts)} sub-accounts, but total is {total}")
        if not page.subaccounts and len(subaccounts) < total:
            raise _contradiction(f"data: ends after {len(subaccounts)} of {total} sub-accounts")
        if len({subaccount.id for subaccount in subaccounts}) < len(subaccounts):
            raise _contradiction(f"data: an id on page {self.next_page} appears twice")
        if len({subaccount.key for subaccount in subaccounts}) < len(subaccounts):
            raise _contradiction(f"data: a key on page {self.next_page} belongs to two sub-accounts")
        return SubaccountList(subaccounts, total, self.pages + 1)


class SubaccountLists:
    """The last complete list of each account, and the pages of lists that are being fetched."""

    def __init__(self) -> None:
        self.complete: dict[str | None, tuple[Subaccount, ...]] = {}
        """The last complete list of each account that has one."""
        self._partial: dict[str | None, SubaccountList] = {}

    def next_page(self, account: str | None) -> int:
        """Return the page of an account's list to fetch next, counted from 1."""
        return self._partial.get(account, SubaccountList()).next_page

    def take(self, account: str | None, page: SubaccountPage) -> bool:
        """Take the next page of an account's list. Return whether the list is complete with it.

        Raises Failure if the page contradicts those before it; then the list is fetched anew.
        """
        listing = self._partial.pop(account, SubaccountList()).with_page(page)
        if self.complete.get(account):
            if not page.permitted:
                raise Failure(Reason.ACCESS_DENIED, "code 4: the list of sub-accounts is no longer permitted")
            if page.total is None:
                raise _contradiction("total and data: are missing, but there were sub-accounts before")
        if not listing.is_complete:
            self._partial[account] = listing
            return False
        self.complete[account] = listing.subaccounts
        return True

    def start_over(self, account: str | None) -> None:
        """Forget the pages of a list that is being fetched."""
        self._partial.pop(account, None)

    def keep(self, accounts: Collection[str | None]) -> None:
        """Keep the complete lists of these accounts, and forget all else."""
        self._partial = {}
        self.complete = {name: listed for name, listed in self.complete.items() if name in accounts}


def _contradiction(detail: str) -> Failure:
    return Failure(Reason.INVALID_REPLY, detail)
