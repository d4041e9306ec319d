"""What the configuration says about the sub-accounts of an account: text in, checked settings out. Pure."""

import re
from collections.abc import Mapping

from exporter.config import values
from exporter.config.schema import EXPECTED, AccountConfig
from exporter.config.settings import SubaccountSettings
from exporter.validation import SchemaError, boolean, showable

_MAX_NAME = 64
_ID = re.compile(r"[1-9][0-9]{0,14}")


def read_subaccounts(path: str, account: AccountConfig) -> SubaccountSettings | None:
    """Return how to name the sub-accounts and what each may spend; None if they are not asked for.

    Raises SchemaError. `path` is that of the account.
    """
    if not boolean(f"{path}.subaccounts", account.subaccounts):
        for key in ("subaccount_names", "subaccount_budgets"):
            if getattr(account, key) is not None:
                raise SchemaError(f"{path}.{key}", "does nothing without subaccounts: true")
        return None
    names = _names(f"{path}.subaccount_names", account.subaccount_names or {})
    return SubaccountSettings(names, _budgets(f"{path}.subaccount_budgets", account.subaccount_budgets))


def check_name(path: str, name: str) -> None:
    """Refuse what cannot be the name of an account."""
    if not name or len(name) > _MAX_NAME or not name.isprintable() or name != name.strip():
        raise SchemaError(path, f"expected 1 to {_MAX_NAME} printable characters, without spaces around them")


def _names(path: str, names: Mapping[str, str]) -> dict[int, str]:
    read: dict[int, str] = {}
    for number, name in names.items():
        subaccount = _id(path, number)
        check_name(f"{path}.{subaccount}", name)
        if name.isdecimal():
            raise SchemaError(
                f"{path}.{subaccount}", "must not be a number: another sub-account may have that id"
            )
        if name in read.values():
            raise SchemaError(f"{path}.{subaccount}", "another sub-account has this name")
        read[subaccount] = name
    return read


def _budgets(path: str, budgets: str | Mapping[str, str] | None) -> float | dict[int, float] | None:
    if budgets is None or isinstance(budgets, str):
        return values.budget(path, budgets)
    read: dict[int, float] = {}
    for number, text in budgets.items():
        subaccount = _id(path, number)
        budget = values.budget(f"{path}.{subaccount}", text)
        if budget is not None:
            read[subaccount] = budget
    return read


def _id(path: str, text: str) -> int:
    if not _ID.fullmatch(text):
        raise SchemaError(f"{path}.{showable(text)}", f"expected {EXPECTED[path.rpartition('.')[2]]}")
    return int(text)
