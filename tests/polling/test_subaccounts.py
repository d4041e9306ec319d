"""How the pages of the list of sub-accounts come together, and what makes a list count."""

from collections.abc import Sequence

import pytest

from exporter.model import Credits, Failure, Reason, Subaccount, SubaccountPage
from exporter.polling.subaccounts import MAX_SUBACCOUNTS, SubaccountList
from exporter.secret import Secret

CREDITS = Credits(1.0, "EUR", {}, None)


def subaccount(number: int, key: str | None = None) -> Subaccount:
    return Subaccount(number, Secret(key or f"key-of-subaccount-{number}"), CREDITS)


def page(numbers: Sequence[int], total: int) -> SubaccountPage:
    return SubaccountPage(total, tuple(map(subaccount, numbers)))


def assemble(*pages: SubaccountPage) -> SubaccountList:
    listing = SubaccountList()
    for each in pages:
        assert not listing.is_complete
        listing = listing.with_page(each)
    return listing


def test_nothing_is_complete_before_the_first_page() -> None:
    assert not SubaccountList().is_complete
    assert SubaccountList().next_page == 1


def test_an_empty_list_is_complete_after_its_only_page() -> None:
    assert assemble(page([], 0)).is_complete


@pytest.mark.parametrize(("total", "pages"), [(1, 1), (19, 1), (20, 1), (21, 2), (45, 3), (400, 20)])
def test_a_list_is_complete_once_every_page_is_there(total: int, pages: int) -> None:
    numbers = range(1, total + 1)
    listing = assemble(*(page(numbers[start : start + 20], total) for start in range(0, total, 20)))
    assert listing.is_complete
    assert listing.pages == pages
    assert [each.id for each in listing.subaccounts] == list(numbers)


def test_the_pages_need_not_be_of_20() -> None:
    listing = assemble(page([1], 3), page([2], 3))
    assert not listing.is_complete
    assert listing.next_page == 3
    assert listing.with_page(page([3], 3)).is_complete


@pytest.mark.parametrize(
    ("pages", "detail"),
    [
        ([page([], 29)], "data: ends after 0 of 29 sub-accounts"),
        ([page([1, 2], 3), page([], 3)], "data: ends after 2 of 3 sub-accounts"),
        ([page([1, 2], 4), page([3], 3)], "total: page 1 said 4, page 2 says 3"),
        ([page([1, 2], 1)], "data: 2 sub-accounts, but total is 1"),
        ([page([1, 2], 3), page([3, 4], 3)], "data: 4 sub-accounts, but total is 3"),
        ([page([1, 1], 2)], "data: an id on page 1 appears twice"),
        ([page([1, 2], 4), page([1, 2], 4)], "data: an id on page 2 appears twice"),
        (
            [SubaccountPage(2, (subaccount(1, "one-key-for-two"), subaccount(2, "one-key-for-two")))],
            "data: a key on page 1 belongs to two sub-accounts",
        ),
        ([page([1], MAX_SUBACCOUNTS + 1)], f"total: {MAX_SUBACCOUNTS + 1} is more than {MAX_SUBACCOUNTS}"),
    ],
)
def test_a_list_that_is_cut_short_repeats_or_contradicts_itself_is_refused(
    pages: list[SubaccountPage], detail: str
) -> None:
    with pytest.raises(Failure) as caught:
        assemble(*pages)
    assert caught.value.reason is Reason.INVALID_REPLY
    assert caught.value.detail == detail
