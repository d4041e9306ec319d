"""The configuration: every message a user may get, every form that is accepted, the example beside it."""

import re
from dataclasses import fields
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.config import loader as config
from exporter.config.loader import KEY_FILE_VARIABLE, KEY_VARIABLE, KEYS, ConfigError
from exporter.config.settings import DateRange, Settings
from exporter.model import Query
from tests.support.running import ROOT

CONFIGS = Path(__file__).parents[1] / "configs"
KEY = "S3CR3T-K3Y"
URL = "base_url: expected a URL such as https://api.smspartner.fr/v1, without user, query or fragment"
NO_KEY = (
    "no API key: set api_key_file in the configuration, or SMSPARTNER_API_KEY_FILE or SMSPARTNER_API_KEY in the "
    "environment; --demo needs none"
)
BUDGET = (
    "monthly_budget: expected a number above 0 in the account's currency, such as 500; leave it out where there is "
    "no budget"
)
INTERVAL = "poll_interval: expected a duration such as 30s, 15m, 1h30m or 1d"
REQUESTS = "requests_per_minute: expected a whole number from 1 to 5, the provider's limit"
SCOPE = "limit_scope: expected all or account"
STATISTICS = "statistics: expected last_twelve_months, last_month, or {from: 2024-01-01, to: 2024-12-31}"
FROM = "statistics.from: expected a day such as 2024-01-01"
TIMEOUT = "timeout: expected a duration such as 30s"
NAME = "accounts[0].name: expected 1 to 64 printable characters, without spaces around them"
KNOWN = (
    "known here: api_key, api_key_file, base_url, poll_interval, statistics, current_month, credits, "
    "monthly_budget, requests_per_minute, limit_scope, timeout, accounts"
)
MESSAGES = {
    "account-budget-zero": f"accounts[0].{BUDGET}",
    "account-key-and-key-file": "accounts[0].api_key_file: is set beside api_key: choose one",
    "account-key-file-missing": "accounts[1].api_key_file: no such file or directory",
    "account-key-with-space": "accounts[0].api_key: has white space inside",
    "account-name-empty": NAME,
    "account-name-number": "accounts[0].name: expected text: put the name in quotes",
    "account-name-spaces-around": NAME,
    "account-name-too-long": NAME,
    "account-name-twice": "accounts[1].name: another account has this name",
    "account-name-unprintable": NAME,
    "account-text": "accounts[0]: expected an account: a name and a key",
    "account-without-key": "accounts[0]: has no key: set api_key_file or api_key",
    "account-without-name": "accounts[0].name: is missing",
    "accounts-beside-budget": "monthly_budget: cannot stand beside accounts: give each account its own",
    "accounts-beside-key-file": "api_key_file: cannot stand beside accounts: give each account its own",
    "accounts-beside-key": "api_key: cannot stand beside accounts: give each account its own",
    "accounts-empty": "accounts: is empty: list an account, or leave the key out",
    "accounts-mapping": "accounts: expected a list of accounts, each with a name and a key",
    "accounts-text": "accounts: expected a list of accounts, each with a name and a key",
    "api-key-bool": "api_key: expected text: put the key in quotes",
    "api-key-file-number": "api_key_file: expected the path of a file",
    "api-key-list": "api_key: expected text: put the key in quotes",
    "api-key-number": "api_key: expected text: put the key in quotes",
    "base-url-backslash": URL,
    "base-url-brackets": URL,
    "base-url-control": URL,
    "base-url-empty-query": URL,
    "base-url-empty": URL,
    "base-url-fragment": URL,
    "base-url-host-with-dots": URL,
    "base-url-list": URL,
    "base-url-port-too-high": URL,
    "base-url-port": URL,
    "base-url-query": URL,
    "base-url-scheme": URL,
    "base-url-space": URL,
    "base-url-user": URL,
    "base-url-without-host": URL,
    "base-url-without-scheme": URL,
    "credits": "credits: expected true or false",
    "current-month": "current_month: expected true or false",
    "duplicate-api-key": "line 2, column 1: api_key: given twice",
    "duplicate-key-in-account": "line 5, column 5: monthly_budget: given twice",
    "duplicate-key-in-statistics": "line 2, column 32: from: given twice",
    "duplicate-key": "line 3, column 1: timeout: given twice",
    "duplicate-unknown-key": "line 2, column 1: …: given twice",
    "empty-file": NO_KEY,
    "interval-empty": INTERVAL,
    "interval-endless": "poll_interval: must be more than 0 and at most 365d",
    "interval-fraction": INTERVAL,
    "interval-milliseconds": INTERVAL,
    "interval-negative": INTERVAL,
    "interval-number": INTERVAL,
    "interval-order": INTERVAL,
    "interval-sexagesimal": INTERVAL,
    "interval-too-short-90-accounts": (
        "poll_interval: 90 accounts need 270 requests a round, 4.9 a minute are possible: "
        "poll_interval must be at least 55m"
    ),
    "interval-too-short-lower-limit": (
        "poll_interval: 1 account needs 3 requests a round, 0.9 a minute are possible: "
        "poll_interval must be at least 3m3s"
    ),
    "interval-too-short-one-request": (
        "poll_interval: 1 account needs 1 request a round, 4.9 a minute are possible: "
        "poll_interval must be at least 13s"
    ),
    "interval-too-short": (
        "poll_interval: 1 account needs 3 requests a round, 4.9 a minute are possible: "
        "poll_interval must be at least 37s"
    ),
    "interval-too-short-per-key": (
        "poll_interval: 1 account needs 3 requests a round, 4.9 a minute are possible: "
        "poll_interval must be at least 37s"
    ),
    "interval-too-short-same-key": (
        "poll_interval: 2 accounts with the same key need 6 requests a round, 4.9 a minute are possible: "
        "poll_interval must be at least 1m14s"
    ),
    "interval-unit": INTERVAL,
    "interval-without-unit": INTERVAL,
    "interval-zero": "poll_interval: must be more than 0 and at most 365d",
    "key-and-key-file": "api_key_file: is set beside api_key: choose one",
    "key-as-key": f"…: unknown key; {KNOWN}",
    "key-empty": "api_key: is empty",
    "key-file-absolute": "api_key_file: /no/such/file: no such file or directory",
    "key-file-directory": "api_key_file: is a directory",
    "key-file-empty-text": "api_key_file: is empty",
    "key-file-empty": "api_key_file: is empty",
    "key-file-missing": "api_key_file: no such file or directory",
    "key-file-not-utf-8": "api_key_file: is not UTF-8 text",
    "key-file-too-long": "api_key_file: is too long for a key file",
    "key-file-with-space": "api_key_file: has white space inside",
    "key-in-place-of-key-file": "api_key_file: no such file or directory",
    "key-is-a-list": "line 2, column 1: found unhashable key",
    "key-is-no-text-in-account": "accounts[0]: has a key that is not text: put it in quotes",
    "key-is-no-text": "has a key that is not text: put it in quotes",
    "key-is-null": "has a key that is not text: put it in quotes",
    "key-missing": NO_KEY,
    "key-misspelt": "apikey: unknown key; did you mean api_key?",
    "key-of-top-level-in-account": "accounts[0].poll_interval: unknown key; "
    "known here: name, api_key, api_key_file, monthly_budget",
    "key-with-control-character": "api_key: has an unprintable character inside",
    "key-with-line-break": "api_key: has white space inside",
    "key-with-space": "api_key: has white space inside",
    "limit-scope-bool": SCOPE,
    "limit-scope-list": SCOPE,
    "limit-scope-word": SCOPE,
    "list": "expected keys and values, as in config.example.yaml",
    "monthly-budget-bool": BUDGET,
    "monthly-budget-currency": BUDGET,
    "monthly-budget-exponent": BUDGET,
    "monthly-budget-huge": BUDGET,
    "monthly-budget-infinite": BUDGET,
    "monthly-budget-nan": BUDGET,
    "monthly-budget-negative": BUDGET,
    "monthly-budget-text": BUDGET,
    "monthly-budget-zero": BUDGET,
    "not-utf-8": "is not UTF-8 text",
    "nul": "character U+0000 is not allowed in YAML",
    "null": INTERVAL,
    "requests-per-minute-bool": REQUESTS,
    "requests-per-minute-float": REQUESTS,
    "requests-per-minute-huge": REQUESTS,
    "requests-per-minute-negative": REQUESTS,
    "requests-per-minute-six": REQUESTS,
    "requests-per-minute-text": REQUESTS,
    "requests-per-minute-zero": REQUESTS,
    "statistics-list": STATISTICS,
    "statistics-null": STATISTICS,
    "statistics-number": STATISTICS,
    "statistics-range-empty": "statistics.from: is missing",
    "statistics-range-french-order": FROM,
    "statistics-range-no-such-day": "line 2, column 36: not a valid date",
    "statistics-range-number": FROM,
    "statistics-range-reversed": "statistics.to: must not be before from",
    "statistics-range-text": FROM,
    "statistics-range-time-text": FROM,
    "statistics-range-time": FROM,
    "statistics-range-without-to": "statistics.to: is missing",
    "statistics-range-year-zero": "line 2, column 20: not a valid date",
    "statistics-word": STATISTICS,
    "text": "expected keys and values, as in config.example.yaml",
    "timeout-number": TIMEOUT,
    "timeout-too-long": "timeout: must be more than 0 and at most 5m",
    "timeout-zero": "timeout: must be more than 0 and at most 5m",
    "timeout": TIMEOUT,
    "unknown-key-in-account": "accounts[0].monthly_budge: unknown key; did you mean monthly_budget?",
    "unknown-key-in-statistics": "statistics.til: unknown key; known here: from, to",
    "unknown-key-like-a-known-one": "pol_interval: unknown key; did you mean poll_interval?",
    "unknown-key-of-two-lines": f"…: unknown key; {KNOWN}",
    "unknown-key": "intervall: unknown key; did you mean poll_interval?",
    "utf-16": "is not UTF-8 text",
    "yaml-alias": "line 1, column 10: found undefined alias",
    "yaml-anchor-twice": "line 1, column 22: expected <block end>, but found '<anchor>'",
    "yaml-at": "line 1, column 10: found character '@' that cannot start any token",
    "yaml-bool": "line 2, column 10: not a valid bool",
    "yaml-bracket": "line 2, column 1: expected ',' or '}', but got '<stream end>'",
    "yaml-colon": "line 1, column 20: mapping values are not allowed here",
    "yaml-control-character": "character U+0007 is not allowed in YAML",
    "yaml-date": "line 2, column 20: not a valid date",
    "yaml-deep": "is nested too deeply",
    "yaml-directive": "line 1, column 7: expected a digit, but found 'S'",
    "yaml-escape": "line 1, column 22: found unknown escape character 'q'",
    "yaml-indentation": "line 2, column 10: mapping values are not allowed here",
    "yaml-int": "line 1, column 22: not a valid int",
    "yaml-map": "line 1, column 1: expected a mapping node, but found scalar",
    "yaml-merge-list": "line 1, column 6: expected a mapping for merging, but found scalar",
    "yaml-merge": "line 1, column 5: expected a mapping or list of mappings for merging, but found scalar",
    "yaml-no-colon": "line 2, column 8: mapping values are not allowed here",
    "yaml-percent": "line 1, column 10: found character '%' that cannot start any token",
    "yaml-python-tag": "line 1, column 10: could not determine a constructor for the tag",
    "yaml-quote": "line 3, column 1: found unexpected end of stream",
    "yaml-recursive": "accounts[0]: expected an account: a name and a key",
    "yaml-set": "accounts[0]: expected an account: a name and a key",
    "yaml-tab": "line 1, column 9: found character '\\t' that cannot start any token",
    "yaml-tag": "line 1, column 10: could not determine a constructor for the tag",
    "yaml-two-documents": "line 2, column 1: expected a single document in the stream, but found another document",
    "yaml-unhashable": "line 1, column 3: found unhashable key",
}


def settings_of(name: str, **environment: str) -> Settings:
    return config.load(CONFIGS / f"{name}.yml", environment)


def complaint(path: Path | None, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config.load(path, environment)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


def written(directory: Path, text: str) -> Path:
    path = directory / "config.yml"
    path.write_text(text, encoding="utf-8")
    return path


def assert_safe(message: str) -> None:
    assert message.isprintable()
    parts = (KEY[start : start + 3] for start in range(len(KEY) - 2))
    assert not [part for part in parts if part in message]


@pytest.mark.parametrize("name", MESSAGES)
def test_refuses(name: str) -> None:
    path = CONFIGS / f"invalid-{name}.yml"
    message = complaint(path)
    assert message == f"{path}: {MESSAGES[name]}"
    assert_safe(message)


def test_every_file_has_its_place() -> None:
    invalid = {path.stem.removeprefix("invalid-") for path in CONFIGS.glob("invalid-*.yml")}
    assert invalid == set(MESSAGES)
    assert {path.stem.removeprefix("valid-") for path in CONFIGS.glob("valid-*.yml")} == set(VALID)
    assert len(list(CONFIGS.glob("*.yml"))) == len(MESSAGES) + len(VALID)


VALID = {
    "accounts": {"base_url": "https://[::1]:8443"},
    "accounts-merged": {},
    "bom": {},
    "boolean-words": {"credits": False, "current_month": False},
    "crlf": {"poll_interval": 3600},
    "everything": {
        "base_url": "http://127.0.0.1:8080/api/v1",
        "poll_interval": 5400,
        "statistics": DateRange(date(2024, 1, 1), date(2024, 12, 31)),
        "current_month": False,
        "credits": False,
        "requests_per_minute": 2,
        "limit_scope": "account",
        "timeout": 300,
    },
    "key-file": {},
    "key-file-with-bom": {},
    "key-with-line-break-behind": {},
    "minimal": {},
    "no-key-but-null": {},
    "shortest-interval": {"poll_interval": 37},
    "shortest-interval-of-90-accounts": {"poll_interval": 3300},
    "shortest-interval-per-key": {"poll_interval": 74, "limit_scope": "account"},
    "statistics-last-month": {"statistics": "last_month"},
    "statistics-one-day": {"statistics": DateRange(date(2024, 2, 29), date(2024, 2, 29))},
    "statistics-quoted-days": {"statistics": DateRange(date(2024, 1, 1), date(2024, 12, 31))},
}


@pytest.mark.parametrize("name", VALID)
def test_accepts(name: str) -> None:
    settings = settings_of(f"valid-{name}")
    assert settings.accounts[0].key.read().reveal() == KEY
    other = {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if field.name not in {"accounts", "queries"} and getattr(settings, field.name) != field.default
    }
    assert other == VALID[name]


def test_asks_for_what_is_turned_on() -> None:
    assert settings_of("valid-minimal").queries == (Query.STATISTICS, Query.CURRENT_MONTH, Query.CREDITS)
    assert settings_of("valid-everything").queries == (Query.STATISTICS,)


def test_a_single_account_has_no_name() -> None:
    (account,) = settings_of("valid-everything").accounts
    assert (account.name, account.monthly_budget) == (None, 499.5)


def test_accounts_have_name_key_and_budget() -> None:
    accounts = settings_of("valid-accounts").accounts
    assert [(one.name, one.key.read().reveal(), one.monthly_budget) for one in accounts] == [
        ("marketing", KEY, 200),
        ("Équipe 2", f"{KEY}-2", None),
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yml"
    assert complaint(missing) == f"{missing}: no such file or directory"
    assert complaint(tmp_path) == f"{tmp_path}: is a directory"


def test_key_files_are_relative_to_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(KEY)
    path = written(tmp_path, "api_key_file: key\n")
    monkeypatch.chdir("/")
    assert config.load(path, {}).accounts[0].key.read().reveal() == KEY


@pytest.mark.parametrize(
    "environment",
    [
        {KEY_VARIABLE: KEY},
        {KEY_VARIABLE: f"{KEY}\n"},
        {KEY_VARIABLE: KEY, KEY_FILE_VARIABLE: ""},
        {KEY_FILE_VARIABLE: str(CONFIGS / "keys" / "plain")},
        {KEY_FILE_VARIABLE: str(CONFIGS / "keys" / "bom"), KEY_VARIABLE: ""},
    ],
)
def test_takes_the_key_from_the_environment(environment: dict[str, str]) -> None:
    settings = config.load(None, environment)
    assert settings.accounts[0].key.read().reveal() == KEY
    assert settings == Settings(settings.accounts)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, NO_KEY),
        ({KEY_VARIABLE: "", KEY_FILE_VARIABLE: ""}, NO_KEY),
        ({KEY_VARIABLE: "S3CR3T K3Y"}, f"environment: {KEY_VARIABLE}: has white space inside"),
        ({KEY_VARIABLE: " "}, f"environment: {KEY_VARIABLE}: is empty"),
        (
            {KEY_FILE_VARIABLE: "/no/file"},
            f"environment: {KEY_FILE_VARIABLE}: /no/file: no such file or directory",
        ),
        ({KEY_FILE_VARIABLE: KEY}, f"environment: {KEY_FILE_VARIABLE}: no such file or directory"),
        (
            {KEY_VARIABLE: KEY, KEY_FILE_VARIABLE: "/no/file"},
            f"environment: {KEY_FILE_VARIABLE}: is set beside {KEY_VARIABLE}: choose one",
        ),
    ],
)
def test_refuses_the_environment(environment: dict[str, str], message: str) -> None:
    assert complaint(None, **environment) == message
    assert_safe(message)


def test_blames_the_environment_also_where_there_is_a_file(tmp_path: Path) -> None:
    path = written(tmp_path, "credits: false\n")
    assert complaint(path, **{KEY_VARIABLE: "a b"}) == f"environment: {KEY_VARIABLE}: has white space inside"


@pytest.mark.parametrize("name", ["valid-minimal", "valid-key-file", "valid-accounts"])
def test_the_file_wins_over_the_environment(name: str) -> None:
    settings = settings_of(name, **{KEY_VARIABLE: "another", KEY_FILE_VARIABLE: "/no/such/file"})
    assert settings.accounts[0].key.read().reveal() == KEY


def test_an_account_does_not_fall_back_on_the_environment() -> None:
    path = CONFIGS / "invalid-account-without-key.yml"
    assert complaint(path, **{KEY_VARIABLE: KEY}) == f"{path}: {MESSAGES['account-without-key']}"


def test_a_demo_needs_no_key_and_reads_none(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/v1"
    settings = config.load(None, {KEY_VARIABLE: KEY}, url)
    assert (settings.base_url, settings.poll_interval) == (url, 60)
    assert settings.accounts[0].key.read().reveal() == "demo"
    settings = config.load(written(tmp_path, "accounts: [{name: a}, {name: é}]"), {}, url)
    keys = [account.key.read().reveal() for account in settings.accounts]
    assert len(set(keys)) == 2
    assert all(key.isascii() for key in keys)


EVERYTHING = (CONFIGS / "valid-everything.yml").read_text() + (
    CONFIGS / "valid-accounts-merged.yml"
).read_text()
FRAGMENTS = [
    *"\t\n\r\0 -:,[]{}'\"|>?!&*%@#`\\~\x85\u2028\ufeff",
    *(
        "- ",
        ": ",
        "? ",
        "\n- ",
        "\n  ",
        "---\n",
        "...",
        "<<: ",
        "*a ",
        "&a ",
        "!!",
        "%YAML 1.1\n---\n",
        "%TAG ! K3Y\n",
    ),
    *(
        f"!!{kind} "
        for kind in ("bool", "float", "int", "map", "null", "omap", "pairs", "seq", "set", "str", "timestamp")
    ),
    *(
        "!<'K3Y'> ",
        "!!binary ",
        "!!python/name:os ",
        "0",
        "1e999",
        "2024-02-30",
        ".nan",
        "0x",
        "1_0",
        "1:60",
        KEY,
    ),
]


@given(
    st.lists(
        st.tuples(st.integers(0, len(EVERYTHING)), st.sampled_from(FRAGMENTS), st.integers(0, 12)), max_size=6
    )
)
@example([(0, "!!set ", 0)])
@example([(9, "!!timestamp ", 0)])
def test_damaged_files_are_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, damages: list[tuple[int, str, int]]
) -> None:
    text = EVERYTHING
    for at, fragment, lost in damages:
        text = text[:at] + fragment + text[at + lost :]
    path = written(tmp_path_factory.getbasetemp(), text)
    try:
        assert config.load(path, {}).accounts
    except ConfigError as error:
        assert_safe(str(error).removeprefix(f"{path}: "))


EXAMPLE = ROOT / "config.example.yaml"


def uncommented(*keys: str) -> str:
    """The example with the commented lines of some keys, and what is indented below them, made active."""
    lines, active = [], False
    for line in EXAMPLE.read_text().splitlines():
        bare = line.removeprefix("# ")
        if line.startswith("# ") and not bare.startswith(" "):
            active = bare.partition(":")[0] in keys
        lines.append(bare if active else line)
    return "\n".join(lines)


def test_the_example_names_every_key() -> None:
    found = {
        depth: set(re.findall(rf"^(?:# )?{indent}([a-z_]+):(?: |$)", EXAMPLE.read_text(), re.MULTILINE))
        for depth, indent in {"": "", "accounts": "  (?:- |  )"}.items()
    }
    assert found == {"": set(KEYS[""]), "accounts": set(KEYS["accounts"])}
    first, last = KEYS["statistics"]
    assert re.search(rf"\{{{first}: \S+, {last}: \S+}}", EXAMPLE.read_text())


def test_the_example_holds_the_defaults() -> None:
    given_there = yaml.safe_load(EXAMPLE.read_text())
    assert set(given_there) == set(KEYS[""]) - {"api_key", "api_key_file", "monthly_budget", "accounts"}
    settings = config.load(EXAMPLE, {KEY_VARIABLE: KEY})
    assert settings == Settings(settings.accounts)
    assert settings.accounts[0].monthly_budget is None


def test_the_example_needs_a_key() -> None:
    assert complaint(EXAMPLE) == f"{EXAMPLE}: {NO_KEY}"


@pytest.mark.parametrize("keys", [("api_key_file", "monthly_budget"), ("api_key",), ("accounts",)])
def test_what_is_commented_out_in_the_example_is_valid(tmp_path: Path, keys: tuple[str, ...]) -> None:
    for name in ("smspartner_api_key", "marketing"):
        (tmp_path / name).write_text(KEY)
    text = uncommented(*keys).replace("/run/secrets", str(tmp_path))
    assert set(yaml.safe_load(text)) >= set(keys)
    settings = config.load(written(tmp_path, text), {})
    assert [account.name for account in settings.accounts] == (
        ["marketing", "support"] if keys == ("accounts",) else [None]
    )
