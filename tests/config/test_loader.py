"""The configuration file: every message a user may get, and every form that is accepted."""

from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.config import loader
from exporter.config.accounts import KEY_VARIABLE
from exporter.config.loader import ConfigError
from exporter.config.settings import DateRange
from exporter.model import Query
from tests.config import invalid_keys, invalid_values, invalid_yaml
from tests.config.files import KEY, accounts_in_yaml, assert_safe, complaint, settings_from, written

EVERYTHING = f"""\
api_key: {KEY}
base_url: http://127.0.0.1:8080/api/v1/
poll_interval: 1h30m
statistics: {{from: 2024-01-01, to: 2024-12-31}}
current_month: false
credits: false
monthly_budget: 499.5
requests_per_minute: 2
limit_scope: account
timeout: 5m
"""
TWO_ACCOUNTS = f"""\
accounts:
  - name: marketing
    api_key_file: keys/plain
    monthly_budget: 200
  - name: "Équipe 2"
    api_key: {KEY}-2
"""
MERGED_ACCOUNTS = f"""\
accounts:
  - &common
    name: marketing
    api_key: {KEY}
    monthly_budget: 200
  - <<: *common
    name: support
    api_key: {KEY}-2
"""


def cases(*tables: list[tuple[str, Any, Any]]) -> pytest.MarkDecorator:
    """Run a test with each row of some tables: content and what is expected, named by the row's first column."""
    rows = [row for table in tables for row in table]
    return pytest.mark.parametrize(
        ("content", "expected"), [row[1:] for row in rows], ids=[row[0] for row in rows]
    )


@cases(
    invalid_values.INVALID_URLS,
    invalid_values.INVALID_DURATIONS,
    invalid_values.INVALID_NUMBERS,
    invalid_values.INVALID_WORDS,
    invalid_values.INVALID_MONTHS,
)
def test_a_value_that_does_not_fit_is_refused_with_what_would_be_right(
    tmp_path: Path, content: str, expected: str
) -> None:
    path = written(tmp_path, f"api_key: {KEY}\n{content}\n")
    message = complaint(path)
    assert message == f"{path}: {expected}"
    assert_safe(message.replace(str(tmp_path), ""))


@cases(
    invalid_keys.INVALID_API_KEYS,
    invalid_keys.INVALID_ACCOUNTS,
    invalid_keys.UNKNOWN_KEYS,
    invalid_keys.KEYS_GIVEN_TWICE,
    invalid_values.TOO_SHORT_INTERVALS,
    invalid_yaml.NO_MAPPING,
    invalid_yaml.WRONG_BYTES,
)
def test_a_file_that_does_not_fit_is_refused_with_what_would_be_right(
    tmp_path: Path, content: str | bytes, expected: str
) -> None:
    path = written(tmp_path, content)
    message = complaint(path)
    assert message == f"{path}: {expected.replace('{directory}', str(tmp_path))}"
    assert_safe(message.replace(str(tmp_path), ""))


@cases(invalid_yaml.BROKEN_YAML)
def test_broken_yaml_is_refused_with_its_place(tmp_path: Path, content: str, expected: str) -> None:
    path = written(tmp_path, content)
    message = complaint(path)
    assert message.startswith(f"{path}: {expected}: ")
    assert_safe(message.replace(str(tmp_path), ""))


VALID: list[tuple[str, str | bytes, dict[str, Any]]] = [
    ("a key alone", f"api_key: {KEY}", {}),
    ("a line break after the key", f"api_key: |\n  {KEY}\n", {}),
    ("a key file", "api_key_file: keys/plain", {}),
    ("a key file with a byte order mark", "api_key_file: keys/bom", {}),
    ("null for what is optional", f"api_key: {KEY}\napi_key_file:\nmonthly_budget:\naccounts:\n", {}),
    ("a byte order mark", f"\ufeffapi_key: {KEY}", {}),
    ("line ends of Windows", f"api_key: {KEY}\r\npoll_interval: 1h\r\n", {"poll_interval": 3600}),
    (
        "YAML's other words for false",
        f"api_key: {KEY}\ncredits: No\ncurrent_month: 'off'",
        {"credits": False, "current_month": False},
    ),
    ("a number in quotes", f"api_key: {KEY}\nrequests_per_minute: '2'", {"requests_per_minute": 2}),
    ("an IPv6 address", f"api_key: {KEY}\nbase_url: https://[::1]:8443", {"base_url": "https://[::1]:8443"}),
    ("accounts", TWO_ACCOUNTS, {}),
    ("accounts that share values", MERGED_ACCOUNTS, {}),
    (
        "all options",
        EVERYTHING,
        {
            "base_url": "http://127.0.0.1:8080/api/v1",
            "poll_interval": 5400,
            "statistics": DateRange(date(2024, 1, 1), date(2024, 12, 31)),
            "current_month": False,
            "credits": False,
            "requests_per_minute": 2,
            "limit_scope": "account",
            "timeout": 300,
        },
    ),
    ("the shortest interval", f"api_key: {KEY}\npoll_interval: 37s", {"poll_interval": 37}),
    (
        "the shortest interval of 90 accounts",
        f"poll_interval: 55m\n{accounts_in_yaml(90)}",
        {"poll_interval": 3300},
    ),
    (
        "the shortest interval if each key has its own limit",
        f"poll_interval: 37s\nlimit_scope: account\naccounts: [{{name: a, api_key: {KEY}}}, "
        f"{{name: b, api_key: {KEY}-2}}]",
        {"poll_interval": 37, "limit_scope": "account"},
    ),
    ("the last month", f"api_key: {KEY}\nstatistics: last_month", {"statistics": "last_month"}),
    (
        "a range of one month",
        f"api_key: {KEY}\nstatistics: {{from: 2024-02-01, to: 2024-02-29}}",
        {"statistics": DateRange(date(2024, 2, 1), date(2024, 2, 29))},
    ),
    (
        "days in quotes",
        f'api_key: {KEY}\nstatistics: {{from: "2024-01-01", to: "2024-12-31"}}',
        {"statistics": DateRange(date(2024, 1, 1), date(2024, 12, 31))},
    ),
]


@cases(VALID)
def test_what_fits_is_accepted(tmp_path: Path, content: str | bytes, expected: dict[str, Any]) -> None:
    settings = settings_from(tmp_path, content)
    assert settings.accounts[0].key.read().reveal() == KEY
    changed = {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if field.name != "accounts" and getattr(settings, field.name) != field.default
    }
    assert changed == expected


def test_each_round_asks_for_what_is_turned_on(tmp_path: Path) -> None:
    everything = (Query.STATISTICS, Query.CURRENT_MONTH, Query.CREDITS)
    assert settings_from(tmp_path, f"api_key: {KEY}").queries == everything
    assert settings_from(tmp_path, EVERYTHING).queries == (Query.STATISTICS,)


def test_a_single_account_has_no_name(tmp_path: Path) -> None:
    (account,) = settings_from(tmp_path, EVERYTHING).accounts
    assert (account.name, account.monthly_budget) == (None, 499.5)


@pytest.mark.parametrize(
    ("written_so", "amount"),
    [("500", 500), ("499.50", 499.5), ("0500", 500), ("'500'", 500), ("0.1", 0.1), ("+500", None)],
)
def test_a_budget_is_the_decimal_number_that_is_written(
    tmp_path: Path, written_so: str, amount: float | None
) -> None:
    """YAML 1.1 would read 0500 as 320."""
    content = f"api_key: {KEY}\nmonthly_budget: {written_so}"
    if amount is None:
        assert "monthly_budget: expected a number" in complaint(written(tmp_path, content))
    else:
        assert settings_from(tmp_path, content).accounts[0].monthly_budget == amount


@pytest.mark.parametrize(
    "text", ["12345678", "0777777777", "1234567e8", "2024-01-01", "0x1234abcd", "12:34:56"]
)
def test_a_key_or_a_name_that_looks_like_a_number_is_the_text_that_is_written(
    tmp_path: Path, text: str
) -> None:
    (account,) = settings_from(tmp_path, f"accounts: [{{name: {text}, api_key: {text}}}]").accounts
    assert (account.name, account.key.read().reveal()) == (text, text)


def test_accounts_have_name_key_and_budget(tmp_path: Path) -> None:
    accounts = settings_from(tmp_path, TWO_ACCOUNTS).accounts
    assert [(one.name, one.key.read().reveal(), one.monthly_budget) for one in accounts] == [
        ("marketing", KEY, 200),
        ("Équipe 2", f"{KEY}-2", None),
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yml"
    assert complaint(missing) == f"{missing}: no such file or directory"
    assert complaint(tmp_path) == f"{tmp_path}: is a directory"


def test_key_files_are_relative_to_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "api_key_file: keys/plain\n")
    monkeypatch.chdir("/")
    assert loader.load(path, {}).accounts[0].key.read().reveal() == KEY


def test_a_demo_needs_no_key_and_reads_none(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/v1"
    settings = loader.load(None, {KEY_VARIABLE: KEY}, url)
    assert (settings.base_url, settings.poll_interval) == (url, 60)
    assert settings.accounts[0].key.read().reveal() == "demo"
    settings = loader.load(written(tmp_path, "accounts: [{name: a}, {name: é}]"), {}, url)
    keys = [account.key.read().reveal() for account in settings.accounts]
    assert len(set(keys)) == 2
    assert all(key.isascii() for key in keys)


FRAGMENTS = [
    *"\t\n\r\0 -:,[]{}'\"|>?!&*%@#`\\~\x85\u2028\ufeff",
    *("- ", ": ", "? ", "\n- ", "\n  ", "---\n", "...", "<<: ", "*a ", "&a ", "!!"),
    *("%YAML 1.1\n---\n", "%TAG ! K3Y\n", "!<'K3Y'> ", "!!binary ", "!!python/name:os "),
    *(
        f"!!{kind} "
        for kind in ("bool", "float", "int", "map", "null", "omap", "pairs", "seq", "set", "str", "timestamp")
    ),
    *("0", "1e999", "2024-02-30", ".nan", "0x", "1_0", "1:60", KEY),
]


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(EVERYTHING + MERGED_ACCOUNTS)),
            st.sampled_from(FRAGMENTS),
            st.integers(0, 12),
        ),
        max_size=6,
    )
)
@example([(0, "!!set ", 0)])
@example([(9, "!!timestamp ", 0)])
def test_a_damaged_file_is_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, damages: list[tuple[int, str, int]]
) -> None:
    text = EVERYTHING + MERGED_ACCOUNTS
    for at, fragment, lost in damages:
        text = text[:at] + fragment + text[at + lost :]
    path = written(tmp_path_factory.getbasetemp(), text)
    try:
        assert loader.load(path, {}).accounts
    except ConfigError as error:
        assert_safe(str(error).removeprefix(f"{path}: "))
