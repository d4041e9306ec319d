"""What a configuration file may contain: its keys, their defaults, and what would be right for each.

Every value is the text in the file: YAML 1.1 reads 0500 as 320 and a key of digits as a number.
"""

from collections.abc import Mapping
from datetime import date
from typing import Literal

import msgspec

from exporter.config.settings import BASE_URL
from exporter.ratelimit.decision import MAX_REQUESTS_PER_MINUTE, LimitScope


class AccountConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One of several accounts."""

    name: str
    api_key: str | None = None
    api_key_file: str | None = None
    monthly_budget: str | None = None
    subaccounts: str = "false"
    subaccount_names: dict[str, str] | None = None
    subaccount_budgets: str | dict[str, str] | None = None


class RangeConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """First and last day of a range of months."""

    first: date = msgspec.field(name="from")
    last: date = msgspec.field(name="to")


class FileConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    api_key: str | None = None
    api_key_file: str | None = None
    base_url: str = BASE_URL
    poll_interval: str = "15m"
    statistics: Literal["last_twelve_months", "last_month"] | RangeConfig = "last_twelve_months"
    current_month: str = "true"
    credits: str = "true"
    monthly_budget: str | None = None
    requests_per_minute: str = str(MAX_REQUESTS_PER_MINUTE)
    limit_scope: LimitScope = "all"
    timeout: str = "30s"
    accounts: list[AccountConfig] | None = None


EXPECTED: Mapping[str, str] = {
    "": "keys and values, as in config.example.yaml",
    "accounts": "a list of accounts, each with a name and a key",
    "accounts[]": "an account: a name and a key",
    "api_key": "the key as text",
    "api_key_file": "the path of a file",
    "base_url": f"a URL such as {BASE_URL}, without user, query or fragment",
    "credits": "true or false",
    "current_month": "true or false",
    "from": "a day such as 2024-01-01",
    "limit_scope": "all or account",
    "monthly_budget": "a number above 0 in the account's currency, such as 500 or 499.50; leave it out if there is "
    "no budget",
    "name": "the name as text",
    "poll_interval": "a duration such as 30s, 15m, 1h30m or 1d",
    "requests_per_minute": f"a whole number from 1 to {MAX_REQUESTS_PER_MINUTE}, the provider's limit",
    "statistics": "last_twelve_months, last_month, or {from: 2024-01-01, to: 2024-12-31}",
    "subaccounts": "true or false",
    "subaccount_names": "names by the id of the sub-account, such as {12: shop-lyon}",
    "subaccount_budgets": "a number above 0 for every sub-account, or numbers by id, such as {12: 200}",
    "timeout": "a duration such as 30s",
    "to": "a day such as 2024-12-31",
}
"""What would be right, by the name of a key."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "": FileConfig.__struct_encode_fields__,
    "accounts": AccountConfig.__struct_encode_fields__,
    "statistics": RangeConfig.__struct_encode_fields__,
}
"""The keys that are accepted at the top, in an account, and in a range of statistics."""

SUBACCOUNT_KEYS = tuple(key for key in AccountConfig.__struct_encode_fields__ if key.startswith("subaccount"))
"""The keys of an account that are about its sub-accounts."""
