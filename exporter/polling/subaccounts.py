"""The list of an account's sub-accounts, put together page by page. Pure.

A list counts when it is complete and does not contradict itself. Anything else is a failure, and changes nothing.
"""

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
            raise _contradiction(f"data: an id on page {self.next_page} is there twice")
        if len({subaccount.key for subaccount in subaccounts}) < len(subaccounts):
            raise _contradiction(f"data: a key on page {self.next_page} belongs to two sub-accounts")
        return SubaccountList(subaccounts, page.total, self.pages + 1)


def _contradiction(detail: str) -> Failure:
    return Failure(Reason.INVALID_REPLY, detail)
