"""What a real Prometheus answers to the Grafana dashboard's queries."""

import json
import math
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exporter.model import Figures, Reason
from exporter.months import month_of, month_start, paris_date
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from exporter.state.store import Store
from tests.support.dashboard import (
    SHOWN,
    TARGETS,
    VARIABLES,
    Past,
    account,
    ask,
    expression,
    interpolate,
    paris,
    prometheus_of,
)
from tests.support.running import Running, Started, eventually

pytestmark = pytest.mark.journey

MID_NOVEMBER = paris(2025, 11, 16)
MONTHS = {"2025-09": (410.0, 9000), "2025-10": (300.0, 6000), "2025-11": (150.0, 3300)}
HALF_PAST_MIDNIGHT = paris(2025, 11, 1, 0, 30)
APRIL = paris(2025, 4, 1, 0, 30)
CURRENCY_KNOWN = paris(2025, 6, 1, 0, 20)
PER_SMS = "Cost per SMS this month"
BACKFILLED = paris(2023, 3, 1)


def pasts() -> Iterator[Past]:
    yield Past(BACKFILLED, (account("shop", {"2023-01": (7.0, 100), "2023-02": (8.0, 110)}, BACKFILLED),))
    both = {"2025-03": (90.0, 2000), "2025-04": (0.1, 2)}
    yield Past(APRIL, (account("shop", both, APRIL),))
    last_hour = paris(2025, 10, 31, 23, 30)
    october = {"2025-10": (300.0, 6000)}
    yield Past(last_hour, (account("late", october, last_hour),))
    yield Past(
        HALF_PAST_MIDNIGHT,
        (
            account("late", october, HALF_PAST_MIDNIGHT, (60.0, "EUR"), budget=400),
            account(
                "prompt", {**october, "2025-11": (0.5, 10)}, HALF_PAST_MIDNIGHT, (60.0, "EUR"), budget=400
            ),
        ),
    )
    yield Past(MID_NOVEMBER - 3600, (account(None, MONTHS, MID_NOVEMBER - 3600, (90.0, "EUR"), budget=400),))
    shop = account("shop", MONTHS, MID_NOVEMBER, (90.0, "EUR"), budget=400)
    yield Past(CURRENCY_KNOWN - 600, (account("new", {}, CURRENCY_KNOWN - 600),))
    yield Past(CURRENCY_KNOWN, (account("new", {"2025-06": (5.0, 90)}, CURRENCY_KNOWN, (9.0, "EUR")),))
    several = (
        shop,
        account("clinic", {"2025-11": (100.0, 2000)}, MID_NOVEMBER, (1000.0, "EUR"), budget=110),
        account("office", {"2025-11": (20.0, 500)}, MID_NOVEMBER, (12.5, "USD"), fails=Reason.KEY_REJECTED),
        account("silent", {"2025-11": (0.0, 0)}, MID_NOVEMBER, (5.0, "EUR")),
        account("unknown", {"2025-11": (3.0, 60)}, MID_NOVEMBER),
    )
    yield Past(MID_NOVEMBER, several)
    yield Past(MID_NOVEMBER, (shop,), instance="b:10035", state_writable=False)


@pytest.fixture(scope="module")
def history(processes: Started, tmp_path_factory: pytest.TempPathFactory) -> Running:
    return prometheus_of(processes, tmp_path_factory.mktemp("history"), [*pasts()])


def answers(
    prometheus: Running,
    title: str,
    label: str = "currency",
    accounts: str = ".*",
    at: float = MID_NOVEMBER,
    index: int = 0,
    currency: str = "EUR",
) -> dict[str, float]:
    promql = interpolate(expression(title, index), accounts, "3600s", currency)
    result = ask(prometheus, promql, at)["data"]["result"]
    found = {sample["metric"].get(label, ""): float(sample["value"][1]) for sample in result}
    assert len(found) == len(result), result
    return found


def test_money_is_that_of_the_chosen_currency_only(history: Running) -> None:
    for currency, spent, left in (("EUR", 250, {"": 1095}), ("USD", 20, {"": 12.5}), ("", 3, {})):
        assert answers(history, "This month so far", currency=currency) == {"": spent}
        assert answers(history, "Left on the account", currency=currency) == left
        assert answers(history, "Forecast for this month", currency=currency) == pytest.approx(
            {"": 2 * spent}
        )
    assert answers(history, "This month so far", accounts="(shop|office)") == {"": 150}
    assert answers(history, "This month so far", accounts="office") == {}


def currencies(prometheus: Running, at: float, accounts: str = ".*") -> list[tuple[str, str]]:
    """Return text and value of what can be chosen."""
    variable = VARIABLES["currency"]
    promql = re.fullmatch(r"query_result\((.+)\)\s*", variable["query"]["query"])
    assert promql, "Grafana looks for this pattern, in one line"
    option = re.compile(variable["regex"].strip("/").replace("(?<", "(?P<"))
    found = []
    for sample in ask(prometheus, interpolate(promql[1], accounts, "3600s"), at)["data"]["result"]:
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample["metric"].items()))
        match = option.search(f"{{{labels}}} {sample['value'][1]} {sample['value'][0]}")
        assert match
        found.append((match["text"] or match["value"], match["value"]))
    return sorted(found)


def test_currencies_of_the_chosen_accounts_can_be_chosen_and_that_none_is_known(history: Running) -> None:
    unknown = ("unknown", "^$")
    assert currencies(history, MID_NOVEMBER) == [("EUR", "EUR"), ("USD", "USD"), unknown]
    assert currencies(history, MID_NOVEMBER, "(office|unknown)") == [("USD", "USD"), unknown]
    assert currencies(history, APRIL) == [unknown]
    assert currencies(history, MID_NOVEMBER + 1800) == [("EUR", "EUR"), ("USD", "USD"), unknown], "while down"


def test_a_currency_that_is_known_by_now_is_no_longer_unknown(history: Running) -> None:
    assert currencies(history, CURRENCY_KNOWN, "new") == [("EUR", "EUR")]
    assert cost_bars(history, "new", at=CURRENCY_KNOWN) == {("2025-06", "Spent EUR"): 5}
    assert cost_bars(history, "new", at=CURRENCY_KNOWN, currency="") == {}


def test_the_budget_is_that_of_the_account_nearest_to_it(history: Running) -> None:
    assert answers(history, "Budget", "account") == pytest.approx({"clinic": 100 / 110})
    assert answers(history, "Budget", "account", index=1) == pytest.approx({"clinic": 200 / 110})
    assert answers(history, "Budget", "account", accounts="shop") == pytest.approx({"shop": 0.375})
    assert answers(history, "Budget", "account", accounts="office") == {}


def test_the_balance_lasts_as_long_as_the_last_months_spending_allows(history: Running) -> None:
    since_october = (MID_NOVEMBER - paris(2025, 10, 1)) / 86400
    lasts = answers(history, "Balance lasts", "account")
    expected = {"office": 12.5 / (20 / 15), "shop": 90 / (450 / since_october), "clinic": 1000 / (100 / 15)}
    assert lasts == {account: math.floor(days) for account, days in expected.items()}, (
        "whole days, rounded down"
    )
    assert list(lasts) == ["office", "shop", "clinic"], "the first to run out comes first"
    assert answers(history, "Balance lasts", "account", "(silent|unknown)") == {}


def test_sms_and_what_one_costs(history: Running) -> None:
    assert answers(history, "SMS sent this month") == {"": 3300 + 2000 + 500 + 60}
    assert answers(history, PER_SMS, accounts="shop") == pytest.approx({"": 150 / 3300})
    assert answers(history, PER_SMS, accounts="silent") == {}
    assert answers(history, PER_SMS) == pytest.approx({"": 250 / 5300})
    by_month = answers(history, "Cost per SMS", "month", accounts="(shop|silent)")
    assert by_month == pytest.approx({"2025-09": 410 / 9000, "2025-10": 300 / 6000, "2025-11": 150 / 3300})
    assert answers(history, "Cost per SMS", "month", "office", currency="USD") == {"2025-11": 20 / 500}


def test_the_one_account_without_a_name_needs_no_choice(history: Running) -> None:
    alone = MID_NOVEMBER - 3600
    assert answers(history, "This month so far", at=alone) == {"": 150}
    assert answers(history, "Budget", "account", at=alone) == pytest.approx({"": 0.375})
    assert answers(history, "Balance lasts", "account", at=alone).keys() == {""}


def cost_bars(
    history: Running, accounts: str, at: float = MID_NOVEMBER, currency: str = "EUR"
) -> dict[tuple[str, str], float]:
    bars = {}
    for index in (0, 1):
        promql = interpolate(expression("Cost per month", index), accounts, "3600s", currency)
        for sample in ask(history, promql, at)["data"]["result"]:
            bars[sample["metric"]["month"], sample["metric"]["part"]] = float(sample["value"][1])
    return bars


def test_bars_tell_what_is_spent_from_what_is_to_come(history: Running) -> None:
    assert cost_bars(history, "shop") == pytest.approx(
        {
            ("2025-09", "Spent EUR"): 410,
            ("2025-10", "Spent EUR"): 300,
            ("2025-11", "Spent EUR"): 150,
            ("2025-11", "To come EUR"): 150,
        }
    )
    assert cost_bars(history, "unknown", currency="") == pytest.approx(
        {("2025-11", "Spent unknown"): 3, ("2025-11", "To come unknown"): 3}
    )
    assert cost_bars(history, "(clinic|office)", currency="USD") == pytest.approx(
        {("2025-11", "Spent USD"): 20, ("2025-11", "To come USD"): 20}
    )
    assert answers(history, "SMS per month", "month", "shop", index=1) == pytest.approx({"2025-11": 3300})


def test_budgets_are_told_account_by_account(history: Running) -> None:
    used = answers(history, "Budget used, by account", "account")
    assert used == pytest.approx({"clinic": 100 / 110, "shop": 0.375})
    assert list(used) == ["clinic", "shop"], "the nearest to its budget is on top"
    forecast = answers(history, "Budget forecast, by account", "account")
    assert forecast == pytest.approx({"clinic": 200 / 110, "shop": 0.75})


def test_a_longer_time_range_brings_up_older_months(history: Running) -> None:
    query = interpolate(expression("SMS per month"), "shop", "100000000s")
    months = {sample["metric"]["month"] for sample in ask(history, query, MID_NOVEMBER)["data"]["result"]}
    assert months == {"2023-01", "2023-02", "2025-03", "2025-04", *MONTHS}


def test_without_an_exporter_months_stay_and_nothing_is_foretold(history: Running) -> None:
    down = MID_NOVEMBER + 1800
    bars = cost_bars(history, "shop", at=down)
    assert bars == {(month, "Spent EUR"): cost for month, (cost, _) in MONTHS.items()}
    assert answers(history, "Forecast for this month", accounts="shop", at=down) == {}
    assert answers(history, "Cost per SMS", "month", "shop", down).keys() == MONTHS.keys()


def test_a_month_that_is_over_is_not_the_running_one(history: Running) -> None:
    last_hour = paris(2025, 10, 31, 23, 30)
    so_far = "This month so far"
    assert answers(history, so_far, accounts="late", at=last_hour, currency="") == {"": 300}
    assert answers(history, so_far, accounts="late", at=HALF_PAST_MIDNIGHT) == {}
    assert answers(history, so_far, accounts="prompt", at=HALF_PAST_MIDNIGHT) == {"": 0.5}
    assert answers(history, so_far, accounts="shop", at=APRIL, currency="") == {"": 0.1}


def test_the_first_days_have_no_forecast(history: Running) -> None:
    assert answers(history, "Forecast for this month", accounts="prompt", at=HALF_PAST_MIDNIGHT) == {}
    assert answers(history, "Budget", "account", "prompt", HALF_PAST_MIDNIGHT).keys() == {"prompt"}
    assert answers(history, "Budget", "account", "prompt", HALF_PAST_MIDNIGHT, 1) == {}
    lasts = answers(history, "Balance lasts", "account", "prompt", HALF_PAST_MIDNIGHT)
    assert lasts["prompt"] == math.floor(60 / (300.5 / 31.02)), "the month before is enough to tell"


def failing(history: Running, at: float) -> set[object]:
    """Return what the panel names, by its labels or its fixed name."""
    found: set[object] = set()
    for target in SHOWN["Failing now"]["targets"]:
        for sample in ask(history, interpolate(target["expr"]), at)["data"]["result"]:
            assert float(sample["value"][1]) == (target["legendFormat"] != "nothing")
            found.add(tuple(sorted(sample["metric"].items())) or target["legendFormat"])
    return found


def test_failures_are_named_and_their_absence_too(history: Running) -> None:
    assert failing(history, MID_NOVEMBER) == {
        (("account", "office"), ("endpoint", "statistics"), ("reason", "key_rejected")),
        (("account", "office"), ("endpoint", "credits"), ("reason", "key_rejected")),
        "state directory",
    }
    assert failing(history, MID_NOVEMBER - 3600) == {"nothing"}
    assert failing(history, APRIL + 86400) == {"no exporter answers"}


def test_the_age_is_that_of_the_oldest_figures(history: Running) -> None:
    assert answers(history, "Age of the figures", "endpoint") == {"statistics": 60, "credits": 60}


NAMES = ("marketing", "customer support", "operations")


def scraping(processes: Started, exporter: Running, directory: Path) -> Running:
    target = exporter.url.removeprefix("http://")
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "smspartner", "static_configs": [{"targets": [target]}]}],
    }
    return processes.prometheus(directory, json.dumps(config))


def keep_figures(directory: Path, base_url: str) -> None:
    """Leave behind what an exporter that ran until now would have left."""
    store = Store(StateDirectory(directory))
    store.use_api(base_url)
    today = paris_date(time.time())
    last_month = today.replace(day=1) - timedelta(days=1)
    months = {month_of(last_month): (80.0, 1900), month_of(today): (90.0, 2000)}
    for name in NAMES:
        known = account(name, months, time.time(), (400.0, "EUR"))
        store.replace((msgspec.structs.replace(known, figures=Figures()),))
        store.publish(known, key=Secret(f"key-{name.encode().hex()}"))


@pytest.fixture(scope="module")
def one_account(processes: Started, tmp_path_factory: pytest.TempPathFactory) -> Running:
    exporter = processes.exporter("--demo")
    return scraping(processes, exporter, tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def three_accounts(processes: Started, tmp_path_factory: pytest.TempPathFactory) -> Running:
    directory = tmp_path_factory.mktemp("three")
    simulator = processes.simulator()
    keep_figures(directory / "state", simulator.url)
    accounts = [
        {"name": name, "api_key": f"key-{name.encode().hex()}", "monthly_budget": 500} for name in NAMES
    ]
    config = directory / "config.yaml"
    config.write_text(json.dumps({"base_url": simulator.url, "accounts": accounts}))
    exporter = processes.exporter(f"--config.file={config}", f"--state.dir={directory / 'state'}")
    return scraping(processes, exporter, directory)


def always_answered() -> list[dict[str, Any]]:
    """All queries but those for failures, and those without answer in a month's first days, if it is one now."""
    now = time.time()
    is_early = now - month_start(month_of(paris_date(now))) <= 2 * 86400
    return [
        target
        for title, target in TARGETS
        if (title != "Failing now" or target["legendFormat"] == "nothing")
        and not (is_early and ("> 0.05" in target["expr"] or "per SMS" in title))
    ]


def wait_for_answer(prometheus: Running, promql: str) -> None:
    eventually(lambda: ask(prometheus, promql)["data"]["result"], within=90)


def account_names(prometheus: Running) -> list[str]:
    query: str = VARIABLES["account"]["query"]["query"]
    metric, label = query.removeprefix("label_values(").removesuffix(")").split(", ")
    reply = prometheus.get(f"/api/v1/label/{label}/values?match[]={metric}").json()
    names: list[str] = reply["data"]
    return names


def test_every_query_is_answered_for_one_account_without_a_name(one_account: Running) -> None:
    for target in always_answered():
        wait_for_answer(one_account, interpolate(target["expr"]))
    assert account_names(one_account) == []


@pytest.mark.parametrize("chosen", [".*", "(marketing|customer support|operations)"])
def test_every_query_is_answered_for_several_accounts(three_accounts: Running, chosen: str) -> None:
    for target in always_answered():
        wait_for_answer(three_accounts, interpolate(target["expr"], chosen))
    assert account_names(three_accounts) == sorted(NAMES)
