"""The configuration: YAML and environment in, Settings out, or one message that says what is wrong and where."""

import difflib
import math
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import yaml

from exporter.durations import format_duration, parse_duration
from exporter.pace import MAX_REQUESTS_PER_MINUTE, MAX_TIMEOUT, pace_interval
from exporter.schema import SchemaError, convert
from exporter.secret import Secret
from exporter.settings import (
    BASE_URL,
    AccountSettings,
    DateRange,
    Interval,
    KeySource,
    Settings,
    describe_key_error,
)

KEY_VARIABLE = "SMSPARTNER_API_KEY"
KEY_FILE_VARIABLE = "SMSPARTNER_API_KEY_FILE"
_MAX_NAME = 64


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
    timeout: str = "30s"
    accounts: list[_Account] | None = None


_DEMO = _Config(poll_interval="1m", monthly_budget=500)

_EXPECTED = {
    "": "keys and values, as in config.example.yaml",
    "accounts": "a list of accounts, each with a name and a key",
    "api_key": "text: put the key in quotes",
    "api_key_file": "the path of a file",
    "base_url": f"a URL such as {BASE_URL}",
    "credits": "true or false",
    "current_month": "true or false",
    "from": "a day such as 2024-01-01",
    "monthly_budget": "a number in the account's currency, such as 500",
    "name": "text: put the name in quotes",
    "poll_interval": "a duration such as 30s, 15m, 1h30m or 1d",
    "requests_per_minute": f"a whole number from 1 to {MAX_REQUESTS_PER_MINUTE}",
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
            config = convert(_read_yaml(path), _Config, _EXPECTED)
        return _settings(config, environment, demo_url)
    except SchemaError as error:
        hint = _known_keys(error.path, error.unknown) if error.unknown else ""
        raise ConfigError(f"{path or 'environment'}: {error}{hint}") from None


def _read_yaml(path: Path) -> Any:
    try:
        with path.open(encoding="utf-8-sig") as file:
            content = yaml.load(file, Loader=_Loader)  # noqa: S506 - it is a SafeLoader
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        problem = re.sub("'[^']{2,}'", "…", error.problem or "is not YAML")  # it may be a part of a key
        raise ConfigError(f"{path}:{where} {problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ConfigError(f"{path}: is not YAML") from None
    return {} if content is None else content


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, which YAML forbids and PyYAML lets pass."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{name}: given twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _known_keys(path: str, unknown: str) -> str:
    parent = path.removesuffix(unknown).rstrip(".").partition("[")[0]
    known = KEYS.get(parent, ())
    near = difflib.get_close_matches(unknown, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(known)}"


def _settings(config: _Config, environment: Mapping[str, str], demo_url: str | None) -> Settings:
    settings = Settings(
        accounts=_accounts(config, environment, is_demo=demo_url is not None),
        base_url=demo_url or _base_url(config.base_url),
        poll_interval=_duration("poll_interval", config.poll_interval),
        statistics=_statistics(config.statistics),
        current_month=config.current_month,
        credits=config.credits,
        requests_per_minute=_requests_per_minute(config.requests_per_minute),
        timeout=_timeout(config.timeout),
    )
    _check_interval(settings)
    return settings


def _accounts(config: _Config, environment: Mapping[str, str], is_demo: bool) -> tuple[AccountSettings, ...]:
    if config.accounts is None:
        key = _demo_key(None) if is_demo else _single_key(config, environment)
        return (AccountSettings(None, key, _budget("monthly_budget", config.monthly_budget)),)
    for name in ("api_key", "api_key_file", "monthly_budget"):
        if getattr(config, name) is not None:
            raise SchemaError(name, "belongs into each of the accounts where there are accounts")
    if not config.accounts:
        raise SchemaError("accounts", "is empty: list an account, or leave the key out")
    accounts: dict[str, AccountSettings] = {}
    for index, account in enumerate(config.accounts):
        path = f"accounts[{index}]"
        _check_name(f"{path}.name", account.name)
        if account.name in accounts:
            raise SchemaError(f"{path}.name", "another account has this name")
        key = _demo_key(account.name) if is_demo else _account_key(path, account)
        budget = _budget(f"{path}.monthly_budget", account.monthly_budget)
        accounts[account.name] = AccountSettings(account.name, key, budget)
    return tuple(accounts.values())


def _single_key(config: _Config, environment: Mapping[str, str]) -> KeySource:
    key = _key("", config.api_key, config.api_key_file) or _key(
        "",
        environment.get(KEY_VARIABLE),
        environment.get(KEY_FILE_VARIABLE),
        (KEY_VARIABLE, KEY_FILE_VARIABLE),
    )
    if key is None:
        raise SchemaError(
            "",
            f"no API key: set api_key_file in the configuration, or {KEY_FILE_VARIABLE} or {KEY_VARIABLE} in the "
            "environment; --demo needs none",
        )
    return key


def _account_key(path: str, account: _Account) -> KeySource:
    key = _key(f"{path}.", account.api_key, account.api_key_file)
    if key is None:
        raise SchemaError(path, "has no key: set api_key_file or api_key")
    return key


def _key(
    path: str, value: str | None, file: str | None, names: tuple[str, str] = ("api_key", "api_key_file")
) -> KeySource | None:
    """Return the key from a value or a file; None where neither is set."""
    if value and file:
        raise SchemaError(path + names[1], f"is set beside {names[0]}: choose one")
    if not file:
        if value is None or (value == "" and names[0] == KEY_VARIABLE):
            return None
        try:
            return KeySource(Secret(value))
        except ValueError as error:
            raise SchemaError(path + names[0], str(error)) from None
    try:
        return KeySource(Path(file))
    except (OSError, ValueError) as error:
        raise SchemaError(path + names[1], f"{file}: {describe_key_error(error)}") from None


def _demo_key(name: str | None) -> KeySource:
    return KeySource(Secret("demo" if name is None else f"demo-{name.encode().hex()}"))


def _check_name(path: str, name: str) -> None:
    if not name or len(name) > _MAX_NAME or not name.isprintable() or name != name.strip():
        raise SchemaError(path, f"expected 1 to {_MAX_NAME} printable characters, without spaces around them")


def _budget(path: str, budget: float | None) -> float | None:
    if budget is not None and not (math.isfinite(budget) and budget > 0):
        raise SchemaError(path, "expected more than 0; leave it out where there is no budget")
    return budget


def _base_url(url: str) -> str:
    problem = f"expected {_EXPECTED['base_url']}"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise SchemaError("base_url", problem) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or any(map(str.isspace, url)):
        raise SchemaError("base_url", problem)
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise SchemaError("base_url", f"{problem}, without user, query or fragment")
    return url.rstrip("/")


def _duration(path: str, text: str) -> int:
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = 0
    if not seconds:
        raise SchemaError(path, f"expected {_EXPECTED[path]}")
    return seconds


def _timeout(text: str) -> int:
    seconds = _duration("timeout", text)
    if seconds > MAX_TIMEOUT:
        raise SchemaError("timeout", f"must be at most {format_duration(MAX_TIMEOUT)}")
    return seconds


def _requests_per_minute(number: int) -> int:
    if not 1 <= number <= MAX_REQUESTS_PER_MINUTE:
        raise SchemaError(
            "requests_per_minute", f"expected {_EXPECTED['requests_per_minute']}: the provider's limit"
        )
    return number


def _statistics(statistics: str | _Range) -> Interval:
    if isinstance(statistics, _Range):
        if statistics.last < statistics.first:
            raise SchemaError("statistics.to", "must not be before from")
        return DateRange(statistics.first, statistics.last)
    return "last_month" if statistics == "last_month" else "last_twelve_months"


def _check_interval(settings: Settings) -> None:
    accounts = len(settings.accounts)
    requests = accounts * len(settings.queries)
    pace = pace_interval(settings.requests_per_minute)
    least = requests * pace
    if settings.poll_interval < least:
        rounded = -int(-least // 60) * 60 if least > 600 else least
        raise SchemaError(
            "poll_interval",
            f"{accounts} account{'s' * (accounts > 1)} need{'s' * (accounts == 1)} {requests} "
            f"request{'s' * (requests > 1)} a round, {int(600 / pace) / 10} a minute are possible: poll_interval "
            f"must be at least {format_duration(rounded)}",
        )
