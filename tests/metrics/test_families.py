"""What is exposed, to the letter."""

import platform
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from types import SimpleNamespace

import msgspec
import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter import __version__
from exporter.metrics.exposition import Exposition, Part
from exporter.metrics.negotiation import OPENMETRICS, Format
from exporter.model import (
    FIGURE_QUERIES,
    Account,
    Credits,
    Endpoint,
    Figures,
    MonthFigures,
    Poll,
    Query,
    Reason,
    RequestStats,
    Status,
)
from exporter.months import PARIS, month_start
from tests.support.fakes import FakeClock
from tests.support.families import collect
from tests.support.running import TOOLS

STATUS = Status(
    poll_interval=900,
    requests_per_minute=5,
    requests_last_minute=2,
    state_writable=True,
    reload_successful=True,
    reload_success_time=1.5e9,
    wall_clock_offset=1.6e9,
)
SAMPLE = Figures(
    history={"2021-10": MonthFigures(49.174, 1210), "2021-11": MonthFigures(67.674, 1409)},
    credits=Credits(10225.119, "EUR", {"sms": 269082, "sms_eco": 444570, "hlr": 2045023}, 0),
    fetched={Query.STATISTICS: 1637000000.0, Query.CURRENT_MONTH: 1637000012.5, Query.CREDITS: 1637000025.0},
)
GOOD = {query: Poll(due=2000.0 + number, succeeded=True) for number, query in enumerate(FIGURE_QUERIES)}
ACCOUNT = Account(None, 500, SAMPLE, GOOD, {})
NOW = datetime(2021, 11, 16, tzinfo=PARIS).timestamp()
NEW = Account(None, None, Figures(), {query: Poll(due=1000) for query in FIGURE_QUERIES}, {})

CONTRACT = {
    "sms_cost_monthly": ("gauge", {"month"}),
    "sms_sent_monthly": ("gauge", {"month"}),
    "smspartner_month_start_timestamp_seconds": ("gauge", {"month"}),
    "smspartner_month_elapsed_ratio": ("gauge", {"month"}),
    "smspartner_account_info": ("gauge", {"currency", "parent"}),
    "smspartner_balance": ("gauge", {"currency"}),
    "smspartner_credits": ("gauge", {"kind"}),
    "smspartner_queued_sms": ("gauge", set()),
    "smspartner_monthly_budget": ("gauge", set()),
    "smspartner_up": ("gauge", {"endpoint"}),
    "smspartner_poll_failing": ("gauge", {"endpoint", "reason"}),
    "smspartner_last_success_timestamp_seconds": ("gauge", {"endpoint"}),
    "smspartner_next_poll_timestamp_seconds": ("gauge", {"endpoint"}),
    "smspartner_poll_interval_seconds": ("gauge", set()),
    "smspartner_api_request_duration_seconds": ("summary", {"endpoint"}),
    "smspartner_api_failures_total": ("counter", {"endpoint", "reason"}),
    "smspartner_api_requests_per_minute_limit": ("gauge", set()),
    "smspartner_api_requests_last_minute": ("gauge", set()),
    "smspartner_state_writable": ("gauge", set()),
    "smspartner_config_last_reload_successful": ("gauge", set()),
    "smspartner_config_last_reload_success_timestamp_seconds": ("gauge", set()),
    "smspartner_exporter_build_info": ("gauge", {"version", "python"}),
}
"""Type and labels of every family. Users' dashboards and alerts rely on them."""
REASONS = [
    "key_rejected",
    "access_denied",
    "rate_limited",
    "server_error",
    "unreachable",
    "timeout",
    "invalid_reply",
]
PER_ACCOUNT = [name for name, _ in zip(CONTRACT, range(13), strict=False)] + [
    "smspartner_api_request_duration_seconds",
    "smspartner_api_failures_total",
]
SHOWS_FIELD = {
    "sms_cost_monthly": ("currency", "cost"),
    "sms_sent_monthly": ("SMS", "nb_send"),
    "smspartner_month_start_timestamp_seconds": ("Unix time", "year and m"),
    "smspartner_account_info": ("currency", "currency of me"),
    "smspartner_balance": ("currency", "balance"),
    "smspartner_credits": ("SMS or HLR", "creditSms", "creditSmsECO", "creditHlr"),
    "smspartner_queued_sms": ("SMS", "toSend"),
    "smspartner_monthly_budget": ("currency", "configuration"),
}


def text(*accounts: Account, status: Status = STATUS, now: float = NOW) -> str:
    families = SimpleNamespace(collect=lambda: collect(accounts, status, now))
    return generate_latest(families).decode()


def lines(prefix: str, *accounts: Account, status: Status = STATUS, now: float = NOW) -> list[str]:
    return [line for line in text(*accounts, status=status, now=now).splitlines() if line.startswith(prefix)]


def named(name: str, account: Account = ACCOUNT) -> Account:
    return msgspec.structs.replace(account, name=name)


def polled(account: Account = ACCOUNT, **polls: Poll) -> Account:
    changed = {Query(query): poll for query, poll in polls.items()}
    return msgspec.structs.replace(account, polls={**account.polls, **changed})


# --- the figures


def test_the_unnamed_account_of_the_documented_sample() -> None:
    assert lines("sms_", ACCOUNT) == [
        'sms_cost_monthly{month="2021-10"} 49.174',
        'sms_cost_monthly{month="2021-11"} 67.674',
        'sms_sent_monthly{month="2021-10"} 1210.0',
        'sms_sent_monthly{month="2021-11"} 1409.0',
    ]
    assert lines("smspartner_month_start", ACCOUNT) == [
        'smspartner_month_start_timestamp_seconds{month="2021-10"} 1.6330392e+09',
        'smspartner_month_start_timestamp_seconds{month="2021-11"} 1.6357212e+09',
    ]
    assert lines("smspartner_balance", ACCOUNT) == ['smspartner_balance{currency="EUR"} 10225.119']
    assert lines("smspartner_credits", ACCOUNT) == [
        'smspartner_credits{kind="sms"} 269082.0',
        'smspartner_credits{kind="sms_eco"} 444570.0',
        'smspartner_credits{kind="hlr"} 2.045023e+06',
    ]
    assert lines("smspartner_queued", ACCOUNT) == ["smspartner_queued_sms 0.0"]
    assert lines("smspartner_monthly_budget", ACCOUNT) == ["smspartner_monthly_budget 500.0"]


def test_several_accounts_carry_their_names() -> None:
    accounts = [named("marketing"), named('a"b\\c\nd é')]
    assert lines("sms_cost_monthly", *accounts) == [
        'sms_cost_monthly{account="marketing",month="2021-10"} 49.174',
        'sms_cost_monthly{account="marketing",month="2021-11"} 67.674',
        r'sms_cost_monthly{account="a\"b\\c\nd é",month="2021-10"} 49.174',
        r'sms_cost_monthly{account="a\"b\\c\nd é",month="2021-11"} 67.674',
    ]
    assert lines("smspartner_queued", *accounts) == [
        'smspartner_queued_sms{account="marketing"} 0.0',
        r'smspartner_queued_sms{account="a\"b\\c\nd é"} 0.0',
    ]


def test_every_series_of_a_named_account_and_no_other_has_its_name() -> None:
    for family in parse_text(text(named("marketing"))):
        for sample in family.samples:
            is_of_account = sample.name.removesuffix("_count").removesuffix("_sum") in PER_ACCOUNT
            assert ("account" in sample.labels) is is_of_account, sample
            assert sample.labels.get("account", "marketing") == "marketing"


# --- the families


def families(exposition: str, parse: object) -> dict[str, Metric]:
    assert callable(parse)
    parsed: Iterator[Metric] = parse(exposition)
    return {family.name: family for family in parsed}


def openmetrics() -> str:
    exposition = Exposition(lambda: [Part("all", lambda: collect((ACCOUNT,), STATUS, NOW))], FakeClock())
    return exposition.render(Format(OPENMETRICS, compressed=False)).decode()


@pytest.mark.parametrize(
    ("exposition", "parse"), [(text(ACCOUNT), parse_text), (openmetrics(), parse_openmetrics)]
)
def test_every_family_is_as_promised(exposition: str, parse: object) -> None:
    parsed = families(exposition, parse)
    suffixed = {name + "_total" * (family.type == "counter"): family for name, family in parsed.items()}
    assert {name: family.type for name, family in suffixed.items()} == {
        name: kind for name, (kind, _) in CONTRACT.items()
    }
    for name, family in suffixed.items():
        assert {frozenset(sample.labels) for sample in family.samples} == {frozenset(CONTRACT[name][1])}
        assert all(sample.timestamp is None for sample in family.samples)


def test_every_family_is_explained() -> None:
    for family in collect((ACCOUNT,), STATUS, NOW):
        assert re.fullmatch(r"[A-Z01].{15,}\.", family.documentation), family.name
        for word in SHOWS_FIELD.get(family.name, ()):
            assert word in family.documentation


def test_no_series_is_there_twice() -> None:
    series = [line.rpartition(" ")[0] for line in lines("s", named("a"), named("b"))]
    assert len(series) == len(set(series)) > 100


def test_before_the_first_poll_nothing_is_made_up() -> None:
    shown = {line.partition("{")[0].partition(" ")[0] for line in lines("s", NEW)}
    assert shown == set(CONTRACT) - {
        "sms_cost_monthly",
        "sms_sent_monthly",
        "smspartner_month_start_timestamp_seconds",
        "smspartner_balance",
        "smspartner_credits",
        "smspartner_queued_sms",
        "smspartner_monthly_budget",
        "smspartner_up",
        "smspartner_last_success_timestamp_seconds",
        "smspartner_api_request_duration_seconds",
    } | {"smspartner_api_request_duration_seconds_count", "smspartner_api_request_duration_seconds_sum"}


def test_what_a_reply_did_not_name_is_absent() -> None:
    credit = Credits(None, None, {"hlr": 3}, None)
    account = msgspec.structs.replace(ACCOUNT, figures=SAMPLE.with_credits(credit, 1))
    assert lines("smspartner_balance", account) + lines("smspartner_queued", account) == []
    assert lines("smspartner_credits", account) == ['smspartner_credits{kind="hlr"} 3.0']


def test_the_running_month_alone_has_an_elapsed_ratio_known_or_not() -> None:
    november = 'smspartner_month_elapsed_ratio{month="2021-11"} 0.5'
    assert lines("smspartner_month_elapsed", ACCOUNT) == [november]
    assert lines("smspartner_month_elapsed", NEW) == [november]
    assert lines("smspartner_month_elapsed", ACCOUNT, now=month_start("2022-01")) == [
        'smspartner_month_elapsed_ratio{month="2022-01"} 0.0'
    ]
    assert lines("smspartner_month_elapsed", named("a"), named("b", NEW)) == [
        'smspartner_month_elapsed_ratio{account="a",month="2021-11"} 0.5',
        'smspartner_month_elapsed_ratio{account="b",month="2021-11"} 0.5',
    ]


def test_an_account_has_a_currency_that_is_empty_while_unknown() -> None:
    assert lines("smspartner_account_info", ACCOUNT) == [
        'smspartner_account_info{currency="EUR",parent=""} 1.0'
    ]
    assert lines("smspartner_account_info", NEW) == ['smspartner_account_info{currency="",parent=""} 1.0']
    unnamed = msgspec.structs.replace(ACCOUNT, figures=SAMPLE.with_credits(Credits(3.5, None, {}, 0), 1))
    assert lines("smspartner_account_info", named("a"), named("b", unnamed)) == [
        'smspartner_account_info{account="a",currency="EUR",parent=""} 1.0',
        'smspartner_account_info{account="b",currency="",parent=""} 1.0',
    ]


# --- how polling goes


def test_every_failure_is_counted_from_zero() -> None:
    zeros = [
        f'smspartner_api_failures_total{{endpoint="{endpoint}",reason="{reason}"}} 0.0'
        for endpoint in ("statistics", "credits")
        for reason in REASONS
    ]
    assert lines("smspartner_api_failures_total", NEW) == zeros
    request_stats = RequestStats().plus(0.5, None).plus(30, Reason.TIMEOUT)
    account = msgspec.structs.replace(NEW, request_stats={Endpoint.CREDITS: request_stats})
    timeouts = 'smspartner_api_failures_total{endpoint="credits",reason="timeout"}'
    assert lines("smspartner_api_failures_total", account) == [
        f"{timeouts} 1.0" if line.startswith(timeouts) else line for line in zeros
    ]
    assert lines("smspartner_api_request_duration", account) == [
        'smspartner_api_request_duration_seconds_count{endpoint="statistics"} 0.0',
        'smspartner_api_request_duration_seconds_sum{endpoint="statistics"} 0.0',
        'smspartner_api_request_duration_seconds_count{endpoint="credits"} 2.0',
        'smspartner_api_request_duration_seconds_sum{endpoint="credits"} 30.5',
    ]


def test_an_endpoint_is_up_where_all_that_was_asked_of_it_succeeded() -> None:
    bad = Poll(due=2060, succeeded=False, reason=Reason.TIMEOUT, detail="secret detail", failures_in_a_row=1)
    up, down = ('smspartner_up{endpoint="statistics"} 1.0', 'smspartner_up{endpoint="statistics"} 0.0')
    assert lines('smspartner_up{endpoint="statistics"}', ACCOUNT) == [up]
    assert lines('smspartner_up{endpoint="statistics"}', polled(current_month=bad)) == [down]
    assert lines('smspartner_up{endpoint="statistics"}', polled(statistics=bad)) == [down]
    assert lines('smspartner_up{endpoint="statistics"}', polled(NEW, statistics=GOOD[Query.STATISTICS])) == [
        up
    ]
    assert lines('smspartner_up{endpoint="credits"}', polled(statistics=bad)) == [
        'smspartner_up{endpoint="credits"} 1.0'
    ]
    failing = polled(statistics=bad, current_month=msgspec.structs.replace(bad, reason=Reason.RATE_LIMITED))
    ones = [line for line in lines("smspartner_poll_failing", failing) if line.endswith(" 1.0")]
    assert ones == [
        'smspartner_poll_failing{endpoint="statistics",reason="rate_limited"} 1.0',
        'smspartner_poll_failing{endpoint="statistics",reason="timeout"} 1.0',
    ]
    assert len(lines("smspartner_poll_failing", failing)) == 14
    assert lines("sms_", failing) == lines("sms_", ACCOUNT)
    assert "secret detail" not in text(failing)


def test_the_age_of_an_endpoint_is_that_of_its_oldest_part() -> None:
    assert lines("smspartner_last_success", ACCOUNT) == [
        'smspartner_last_success_timestamp_seconds{endpoint="statistics"} 1.637e+09',
        'smspartner_last_success_timestamp_seconds{endpoint="credits"} 1.637000025e+09',
    ]
    partly = msgspec.structs.replace(ACCOUNT, figures=SAMPLE.only([Query.STATISTICS]))
    assert lines("smspartner_last_success", partly) == []


def test_the_next_poll_is_the_first_of_its_endpoint() -> None:
    assert lines("smspartner_next_poll", ACCOUNT) == [
        'smspartner_next_poll_timestamp_seconds{endpoint="statistics"} 1.600002e+09',
        'smspartner_next_poll_timestamp_seconds{endpoint="credits"} 1.600002002e+09',
    ]


def test_endpoints_that_are_not_asked_have_no_series() -> None:
    account = msgspec.structs.replace(
        ACCOUNT,
        polls={Query.STATISTICS: GOOD[Query.STATISTICS]},
        figures=SAMPLE.only([Query.STATISTICS]),
    )
    assert 'endpoint="credits"' not in text(account)
    assert lines("smspartner_last_success", account) == [
        'smspartner_last_success_timestamp_seconds{endpoint="statistics"} 1.637e+09'
    ]


def test_the_exporter_itself() -> None:
    status = Status(
        60, 2, 1, state_writable=False, reload_successful=False, reload_success_time=3, wall_clock_offset=0
    )
    python = platform.python_version()
    assert lines("smspartner_", ACCOUNT, status=status)[-7:] == [
        "smspartner_poll_interval_seconds 60.0",
        "smspartner_api_requests_per_minute_limit 2.0",
        "smspartner_api_requests_last_minute 1.0",
        "smspartner_state_writable 0.0",
        "smspartner_config_last_reload_successful 0.0",
        "smspartner_config_last_reload_success_timestamp_seconds 3.0",
        f'smspartner_exporter_build_info{{python="{python}",version="{__version__}"}} 1.0',
    ]
    assert lines("smspartner_state_writable", ACCOUNT) == ["smspartner_state_writable 1.0"]


@pytest.mark.journey
@pytest.mark.parametrize("exposition", [text(ACCOUNT), text(NEW), text(named("a"), named("b"))])
def test_promtool_finds_nothing_wrong(exposition: str) -> None:
    checked = subprocess.run(
        [TOOLS / "promtool", "check", "metrics"],
        input=exposition,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
