"""What keeps the exporter from being ready, in words."""

import msgspec
import pytest

from exporter.model import Account, Figures, Poll, Query, Reason
from exporter.polling.readiness import not_ready_reason

READY = Figures(fetched={Query.STATISTICS: 1.0})


def account(name: str | None = None, reason: Reason | None = None, figures: Figures = Figures()) -> Account:  # noqa: B008
    return Account(name, None, figures, {Query.STATISTICS: Poll(due=0.0, reason=reason)}, {})


@pytest.mark.parametrize(
    ("accounts", "unknown_past", "limit_per_key", "said"),
    [
        ([account()], 0, False, "no figures yet"),
        ([account(figures=READY)], 9, False, None),
        ([account(reason=Reason.TIMEOUT, figures=READY)], 0, False, None),
        ([], 0, False, None),
        ([account(reason=Reason.KEY_REJECTED)], 9, False, "no figures yet; polling fails: key_rejected"),
        (
            [account()],
            9.9,
            False,
            "no figures yet; requests before this start are unknown, so the first one waits: 10s left",
        ),
        (
            [account("a"), account("b", figures=READY)],
            5,
            True,
            "no figures yet of a; earlier requests with a key are unknown, so its first request waits: 5s left",
        ),
        (
            [account("a", Reason.ACCESS_DENIED), account("b", Reason.TIMEOUT), account("c", Reason.TIMEOUT)],
            0,
            False,
            "no figures yet of a, b, c; polling fails: access_denied, timeout",
        ),
        ([account(name) for name in "abcde"], 0, False, "no figures yet of a, b, c, d, e"),
        ([account(name) for name in "abcdefg"], 0, False, "no figures yet of a, b, c, d, e and 2 more"),
    ],
)
def test_it_says_which_accounts_have_no_figures_and_why(
    accounts: list[Account], unknown_past: float, limit_per_key: bool, said: str | None
) -> None:
    assert not_ready_reason(tuple(accounts), unknown_past, limit_per_key) == said


def test_another_query_that_brought_figures_does_not_make_an_account_ready() -> None:
    with_credits = msgspec.structs.replace(account(), figures=Figures(fetched={Query.CREDITS: 1.0}))
    assert not_ready_reason((with_credits,), 0, limit_per_key=False) == "no figures yet"


def test_a_sub_account_without_figures_keeps_nobody_waiting() -> None:
    sub_account = msgspec.structs.replace(account("shop/1"), parent="shop")
    assert not_ready_reason((account("shop", figures=READY), sub_account), 0, limit_per_key=False) is None
