"""The configuration: YAML and environment in, Settings out, or one message that says what is wrong and where."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal

import msgspec

from exporter.config.api_key import KeySource, describe_key_error
from exporter.config.settings import BASE_URL, AccountSettings, DateRange, Interval, Settings
from exporter.config.yaml_file import read_yaml
from exporter.durations import format_duration, parse_duration, plural
from exporter.ratelimit.decision import MAX_REQUESTS_PER_MINUTE, MAX_TIMEOUT, LimitScope, request_interval
from exporter.secret import Secret
from exporter.validation import SchemaError, convert, known_keys

KEY_VARIABLE = "SMSPARTNER_API_KEY"
KEY_FILE_VARIABLE = "SMSPARTNER_API_KEY_FILE"
_MAX_NAME = 64
_MAX_INTERVAL = 365 * 86_400
_URL = re.compile(
    r"https?://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?:/(?:(?![?#\\])[!-~])*)?",
    re.ASCII | re.IGNORECASE,
)


class ConfigError(Exception):
    """The configuration cannot be used. The text is one line: which file, which key, what would be right."""


class _Account(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: str
    api_key: str | None = None
    api_key_file: str | None = None
    monthly_budget: float | None = None


class _Range(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    first: date = msgspec.field(name="from")
    last: date = msgspec.field(name="to")


class _Config(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    api_key: str | None = None
    api_key_file: str | None = None
    base_url: str = BASE_URL
    poll_interval: str = "15m"
    statistics: Literal["last_twelve_months", "last_month"] | _Range = "last_twelve_months"
    current_month: bool = True
    credits: bool = True
    monthly_budget: float | None = None
    requests_per_minute: int = MAX_REQUESTS_PER_MINUTE
    limit_scope: LimitScope = "all"
    timeout: str = "30s"
    accounts: list[_Account] | None = None


_DEMO = _Config(poll_interval="1m", monthly_budget=500)

_EXPECTED = {
    "": "keys and values, as in config.example.yaml",
    "accounts": "a list of accounts, each with a name and a key",
    "accounts[]": "an account: a name and a key",
    "api_key": "text: put the key in quotes",
    "api_key_file": "the path of a file",
    "base_url": f"a URL such as {BASE_URL}, without user, query or fragment",
    "credits": "true or false",
    "current_month": "true or false",
    "from": "a day such as 2024-01-01",
    "limit_scope": "all or account",
    "monthly_budget": "a number above 0 in the account's currency, such as 500; leave it out where there is no budget",
    "name": "text: put the name in quotes",
    "poll_interval": "a duration such as 30s, 15m, 1h30m or 1d",
    "requests_per_minute": f"a whole number from 1 to {MAX_REQUESTS_PER_MINUTE}, the provider's limit",
    "statistics": "last_twelve_months, last_month, or {from: 2024-01-01, to: 2024-12-31}",
    "timeout": "a duration such as 30s",
    "to": "a day such as 2024-12-31",
}
KEYS: Mapping[str, tuple[str, ...]] = {
    "": _Config.__struct_encode_fields__,
    "accounts": _Account.__struct_encode_fields__,
    "statistics": _Range.__struct_encode_fields__,
}
"""The keys that are accepted at the top, in an account, and in a range of statistics."""


def load(path: Path | None, environment: Mapping[str, str], demo_url: str | None = None) -> Settings:
    """Read the file, where there is one, and the environment. Raises ConfigError.

    With `demo_url`, the simulated API there is polled, and keys are neither needed nor read.
    """
    config = _DEMO if demo_url else _Config()
    try:
        if path:
            config = convert(read_yaml(path), _Config, _EXPECTED)
        return _settings(config, environment, path.parent if path else Path(), demo_url)
    except SchemaError as error:
        parent = error.path.rpartition(".")[0].partition("[")[0]
        hint = known_keys(error.unknown, KEYS.get(parent, ())) if error.unknown is not None else ""
        is_variable = error.path in {KEY_VARIABLE, KEY_FILE_VARIABLE}
        where = "environment: " if is_variable else f"{path}: " if path else ""
        raise ConfigError(f"{where}{error}{hint}") from None


def _settings(
    config: _Config, environment: Mapping[str, str], directory: Path, demo_url: str | None
) -> Settings:
    settings = Settings(
        accounts=_accounts(config, environment, directory, is_demo=demo_url is not None),
        base_url=demo_url or _base_url(config.base_url),
        poll_interval=_duration("poll_interval", config.poll_interval, _MAX_INTERVAL),
        statistics=_statistics(config.statistics),
        current_month=config.current_month,
        credits=config.credits,
        requests_per_minute=_requests_per_minute(config.requests_per_minute),
        limit_scope=config.limit_scope,
        timeout=_duration("timeout", config.timeout, MAX_TIMEOUT),
    )
    _check_interval(settings)
    return settings


def _accounts(
    config: _Config, environment: Mapping[str, str], directory: Path, is_demo: bool
) -> tuple[AccountSettings, ...]:
    if config.accounts is None:
        key = _demo_key(None) if is_demo else _single_key(config, environment, directory)
        return (AccountSettings(None, key, _budget("monthly_budget", config.monthly_budget)),)
    for name in ("api_key", "api_key_file", "monthly_budget"):
        if getattr(config, name) is not None:
            raise SchemaError(name, "cannot stand beside accounts: give each account its own")
    if not config.accounts:
        raise SchemaError("accounts", "is empty: list an account, or leave the key out")
    accounts: dict[str, AccountSettings] = {}
    for index, account in enumerate(config.accounts):
        path = f"accounts[{index}]"
        _check_name(f"{path}.name", account.name)
        if account.name in accounts:
            raise SchemaError(f"{path}.name", "another account has this name")
        key = _demo_key(account.name) if is_demo else _account_key(path, account, directory)
        budget = _budget(f"{path}.monthly_budget", account.monthly_budget)
        accounts[account.name] = AccountSettings(account.name, key, budget)
    return tuple(accounts.values())


def _single_key(config: _Config, environment: Mapping[str, str], directory: Path) -> KeySource:
    key = _key("api_key", config.api_key, "api_key_file", config.api_key_file, directory) or _key(
        KEY_VARIABLE,
        environment.get(KEY_VARIABLE) or None,  # empty is as good as unset
        KEY_FILE_VARIABLE,
        environment.get(KEY_FILE_VARIABLE) or None,
        Path(),
    )
    if key is None:
        raise SchemaError(
            "",
            f"no API key: set api_key_file in the configuration, or {KEY_FILE_VARIABLE} or {KEY_VARIABLE} in the "
            "environment; --demo needs none",
        )
    return key


def _account_key(path: str, account: _Account, directory: Path) -> KeySource:
    key = _key(f"{path}.api_key", account.api_key, f"{path}.api_key_file", account.api_key_file, directory)
    if key is None:
        raise SchemaError(path, "has no key: set api_key_file or api_key")
    return key


def _key(
    key_path: str, key: str | None, file_path: str, file: str | None, directory: Path
) -> KeySource | None:
    """Return the key from a value or a file; None where neither is set."""
    if key is not None and file is not None:
        raise SchemaError(file_path, f"is set beside {key_path.rpartition('.')[2]}: choose one")
    if key is not None:
        try:
            return KeySource(Secret(key.strip()))
        except ValueError as error:
            raise SchemaError(key_path, str(error)) from None
    if file is not None:
        if not file:
            raise SchemaError(file_path, "is empty")
        try:
            return KeySource(directory / file)
        except (OSError, ValueError) as error:
            # Only what is surely a path is shown: somebody may have put the key itself here.
            shown = f"{file}: " if file.startswith("/") and file.isprintable() else ""
            raise SchemaError(file_path, shown + describe_key_error(error)) from None
    return None


def _demo_key(name: str | None) -> KeySource:
    return KeySource(Secret("demo" if name is None else f"demo-{name.encode().hex()}"))


def _check_name(path: str, name: str) -> None:
    if not name or len(name) > _MAX_NAME or not name.isprintable() or name != name.strip():
        raise SchemaError(path, f"expected 1 to {_MAX_NAME} printable characters, without spaces around them")


def _budget(path: str, budget: float | None) -> float | None:
    if budget is not None and not (math.isfinite(budget) and budget > 0):
        raise SchemaError(path, f"expected {_EXPECTED['monthly_budget']}")
    return budget


def _base_url(url: str) -> str:
    match = _URL.fullmatch(url)
    if not match or int(match["port"] or 0) > 65535:
        raise SchemaError("base_url", f"expected {_EXPECTED['base_url']}")
    return url.rstrip("/")


def _duration(path: str, text: str, most: int) -> int:
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise SchemaError(path, f"expected {_EXPECTED[path]}") from None
    if not 0 < seconds <= most:
        raise SchemaError(path, f"must be more than 0 and at most {format_duration(most)}")
    return seconds


def _requests_per_minute(number: int) -> int:
    if not 1 <= number <= MAX_REQUESTS_PER_MINUTE:
        raise SchemaError("requests_per_minute", f"expected {_EXPECTED['requests_per_minute']}")
    return number


def _statistics(statistics: str | _Range) -> Interval:
    if isinstance(statistics, _Range):
        if statistics.last < statistics.first:
            raise SchemaError("statistics.to", "must not be before from")
        return DateRange(statistics.first, statistics.last)
    return "last_month" if statistics == "last_month" else "last_twelve_months"


def shortest_interval(settings: Settings) -> int:
    """Return the least poll_interval that the limit leaves room for, in seconds: whole minutes where it is long."""
    least = (
        _accounts_at_one_pace(settings)
        * len(settings.queries)
        * request_interval(settings.requests_per_minute)
    )
    return math.ceil(least / 60) * 60 if least > 600 else math.ceil(least)


def _check_interval(settings: Settings) -> None:
    least = shortest_interval(settings)
    if settings.poll_interval < least:
        accounts = _accounts_at_one_pace(settings)
        same_key = " with the same key" if settings.limit_scope == "account" and accounts > 1 else ""
        requests = accounts * len(settings.queries)
        possible = int(600 / request_interval(settings.requests_per_minute)) / 10
        raise SchemaError(
            "poll_interval",
            f"{plural(accounts, 'account')}{same_key} {'needs' if accounts == 1 else 'need'} "
            f"{plural(requests, 'request')} a round, {possible} a minute are possible: poll_interval must be at "
            f"least {format_duration(least)}",
        )


def _accounts_at_one_pace(settings: Settings) -> int:
    if settings.limit_scope == "all":
        return len(settings.accounts)
    return max(Counter(account.key.read() for account in settings.accounts).values())
