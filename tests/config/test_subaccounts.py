"""What a configuration may say about sub-accounts."""

from pathlib import Path

import pytest

from exporter.config.settings import SubaccountSettings
from exporter.model import Query
from tests.config.files import KEY, assert_safe, complaint, settings_from, written


def account(*lines: str, name: str = "agency") -> str:
    return "accounts:\n" + "\n".join(
        [f"  - name: {name}", f"    api_key: {KEY}", *(f"    {line}" for line in lines)]
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], None),
        (["subaccounts: false"], None),
        (["subaccounts: true"], SubaccountSettings()),
        (["subaccounts: yes"], SubaccountSettings()),
        (["subaccounts: true", "subaccount_names: {12: shop-lyon}"], SubaccountSettings({12: "shop-lyon"})),
        (["subaccounts: true", "subaccount_names:"], SubaccountSettings()),
        (["subaccounts: true", "subaccount_budgets: 200"], SubaccountSettings(budgets=200.0)),
        (
            ["subaccounts: true", "subaccount_budgets: {12: 200, 31: 99.5}"],
            SubaccountSettings(budgets={12: 200.0, 31: 99.5}),
        ),
    ],
)
def test_what_fits_is_accepted(tmp_path: Path, lines: list[str], expected: SubaccountSettings | None) -> None:
    settings = settings_from(tmp_path, account(*lines))
    assert settings.accounts[0].subaccounts == expected
    asked = settings.queries_of(settings.accounts[0])
    assert (Query.SUBACCOUNTS in asked) == (expected is not None)


_ON = "subaccounts: true"
_NAMES = "expected names by the id of the sub-account, such as {12: shop-lyon}"
_BUDGETS = "expected a number above 0 for every sub-account, or numbers by id, such as {12: 200}"
_PLACE = "it belongs to an account with a name: list the account under accounts, and put it there"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"api_key: {KEY}\nsubaccounts: true", f"subaccounts: unknown key; {_PLACE}"),
        (f"api_key: {KEY}\nsubaccount_budgets: 3", f"subaccount_budgets: unknown key; {_PLACE}"),
        (account("subaccounts: maybe"), "accounts[0].subaccounts: expected true or false"),
        (
            account("subaccount_names: {12: a}"),
            "accounts[0].subaccount_names: does nothing without subaccounts: true",
        ),
        (
            account("subaccounts: false", "subaccount_budgets: 3"),
            "accounts[0].subaccount_budgets: does nothing without subaccounts: true",
        ),
        (account(_ON, "subaccount_names: [a]"), f"accounts[0].subaccount_names: {_NAMES}"),
        (account(_ON, "subaccount_names: {shop: lyon}"), f"accounts[0].subaccount_names.shop: {_NAMES}"),
        (account(_ON, "subaccount_names: {0: lyon}"), f"accounts[0].subaccount_names.…: {_NAMES}"),
        (
            account(_ON, "subaccount_names: {12: '31'}"),
            "accounts[0].subaccount_names.12: must not be a number: another sub-account may have that id",
        ),
        (
            account(_ON, "subaccount_names: {12: a, 31: a}"),
            "accounts[0].subaccount_names.31: another sub-account has this name",
        ),
        (
            account(_ON, "subaccount_names: {12: ''}"),
            "accounts[0].subaccount_names.12: expected 1 to 64 printable characters, without spaces around them",
        ),
        (account(_ON, "subaccount_budgets: 0"), f"accounts[0].subaccount_budgets: {_BUDGETS}"),
        (account(_ON, "subaccount_budgets: {12: free}"), f"accounts[0].subaccount_budgets.12: {_BUDGETS}"),
        (account(_ON, "subaccount_budgets: [3]"), f"accounts[0].subaccount_budgets: {_BUDGETS}"),
        (
            account() + f"\n  - {{name: agency/12, api_key: {KEY}-2}}",
            "accounts[1].name: must not contain /, which stands between an account and its sub-account",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would_be_right(
    tmp_path: Path, content: str, message: str
) -> None:
    path = written(tmp_path, content)
    said = complaint(path)
    assert said == f"{path}: {message}"
    assert_safe(said.replace(str(tmp_path), ""))
