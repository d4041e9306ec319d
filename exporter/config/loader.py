"""The configuration: YAML and environment in, Settings out, or one message that says what is wrong and where."""

import math
from collections.abc import Mapping
from pathlib import Path

from exporter.config import values
from exporter.config.accounts import KEY_FILE_VARIABLE, KEY_VARIABLE, demo_accounts, read_accounts
from exporter.config.schema import EXPECTED, KEYS, SUBACCOUNT_KEYS, FileConfig, RangeConfig
from exporter.config.settings import Settings
from exporter.config.yaml_file import read_yaml
from exporter.durations import format_duration, plural
from exporter.ratelimit.decision import MAX_REQUESTS_PER_MINUTE, MAX_TIMEOUT, request_interval
from exporter.validation import SchemaError, boolean, convert, known_keys

_MAX_INTERVAL = 365 * 86_400
_DEMO = FileConfig(poll_interval="1m", monthly_budget="500")


class ConfigError(Exception):
    """The configuration cannot be used. The text is one line: which file, which key, what would be right."""


def load(path: Path | None, environment: Mapping[str, str], demo_url: str | None = None) -> Settings:
    """Read the file, if there is one, and the environment. Raises ConfigError.

    With `demo_url`, the simulated API there is polled, and keys are neither needed nor read.
    """
    config = _DEMO if demo_url else FileConfig()
    try:
        if path:
            config = convert(read_yaml(path), FileConfig, EXPECTED)
        return _settings(config, environment, path.parent if path else Path(), demo_url)
    except SchemaError as error:
        parent = error.path.rpartition(".")[0].partition("[")[0]
        hint = ""
        if error.unknown in SUBACCOUNT_KEYS and not parent:
            hint = "; it belongs to an account with a name: list the account under accounts, and put it there"
        elif error.unknown is not None:
            hint = known_keys(error.unknown, KEYS.get(parent, ()))
        is_variable = error.path in {KEY_VARIABLE, KEY_FILE_VARIABLE}
        where = "environment: " if is_variable else f"{path}: " if path else ""
        raise ConfigError(f"{where}{error}{hint}") from None


def _settings(
    config: FileConfig, environment: Mapping[str, str], directory: Path, demo_url: str | None
) -> Settings:
    months = config.statistics
    settings = Settings(
        accounts=demo_accounts(config) if demo_url else read_accounts(config, environment, directory),
        base_url=demo_url or values.base_url("base_url", config.base_url),
        poll_interval=values.duration("poll_interval", config.poll_interval, _MAX_INTERVAL),
        statistics=values.month_range("statistics", months) if isinstance(months, RangeConfig) else months,
        current_month=boolean("current_month", config.current_month),
        credits=boolean("credits", config.credits),
        requests_per_minute=values.whole_number(
            "requests_per_minute", config.requests_per_minute, MAX_REQUESTS_PER_MINUTE
        ),
        limit_scope=config.limit_scope,
        timeout=values.duration("timeout", config.timeout, MAX_TIMEOUT),
    )
    _check_interval(settings)
    return settings


def shortest_interval(settings: Settings) -> int:
    """Return the least poll_interval that the limit leaves room for, in seconds: whole minutes if it is long."""
    least = (
        _accounts_per_limit(settings) * len(settings.queries) * request_interval(settings.requests_per_minute)
    )
    return math.ceil(least / 60) * 60 if least > 600 else math.ceil(least)


def _check_interval(settings: Settings) -> None:
    least = shortest_interval(settings)
    if settings.poll_interval < least:
        accounts = _accounts_per_limit(settings)
        need = "needs" if accounts == 1 else "need"
        requests = plural(accounts * len(settings.queries), "request")
        possible = int(600 / request_interval(settings.requests_per_minute)) / 10
        raise SchemaError(
            "poll_interval",
            f"{plural(accounts, 'account')} {need} {requests} a round, {possible} a minute are possible: "
            f"poll_interval must be at least {format_duration(least)}",
        )


def _accounts_per_limit(settings: Settings) -> int:
    return len(settings.accounts) if settings.limit_scope == "all" else 1
