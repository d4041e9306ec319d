"""The dashboard in the packages that Grafana publishes. `make check-dashboard` installs them and runs this."""

import json
import random
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.test_dashboard import units_of
from tests.support.dashboard import (
    DASHBOARD,
    FILE,
    SHOWN,
    Past,
    account,
    ask,
    expression,
    interpolate,
    paris,
    prometheus_of,
)
from tests.support.running import Running, Started

HERE = Path(__file__).parent
DATA = ("data-10", "data-12", "data-13")
NOW = paris(2025, 11, 16)
UNITS = sorted(set(units_of(DASHBOARD["panels"])))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    started = Started()
    months = {"2025-09": (410.0, 9000), "2025-10": (300.0, 6000), "2025-11": (150.0, 3300)}
    accounts = (
        account("shop", months, NOW, (90.0, "EUR")),
        account("office", {"2025-10": (50.0, 800), "2025-11": (20.0, 500)}, NOW, (12.0, "USD")),
    )
    yield prometheus_of(started, tmp_path_factory.mktemp("prometheus"), [Past(NOW, accounts)])
    started.end()


def node(script: str, *arguments: str | Path, stdin: object = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", HERE / script, *arguments],
        input=json.dumps(stdin),
        capture_output=True,
        text=True,
        check=False,
    )


def replies(prometheus: Running, title: str, accounts: str = ".*", currency: str = "EUR") -> list[Any]:
    """What Prometheus replies to a panel's queries, the series of each in an order of their own."""
    found = []
    for index in range(len(SHOWN[title]["targets"])):
        promql = interpolate(expression(title, index), accounts, currency=currency)
        found.append(ask(prometheus, promql, NOW))
        random.Random(7).shuffle(found[-1]["data"]["result"])
    return found


def shown(package: str, title: str, of_queries: list[Any], units: Sequence[str] = ()) -> dict[str, Any]:
    """What one of Grafana's packages makes of the replies to a panel's queries."""
    asked = {"transformations": SHOWN[title]["transformations"], "replies": of_queries, "units": [*units]}
    done = node("transform.mjs", package, stdin=asked)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def columns(result: dict[str, Any]) -> dict[str, list[Any]]:
    (frame,) = result["frames"]
    assert sorted(field["type"] for field in frame) == ["number"] * (len(frame) - 1) + ["string"]
    return {field["name"]: field["values"] for field in frame}


@pytest.mark.parametrize("package", DATA)
def test_cost_bars_are_months_in_order_stacked_from_what_is_spent_and_to_come(
    prometheus: Running, package: str
) -> None:
    bars = columns(shown(package, "Cost per month", replies(prometheus, "Cost per month", "shop")))
    assert bars == {
        "Month": ["2025-09", "2025-10", "2025-11"],
        "Spent EUR": [410, 300, 150],
        "To come EUR": [None, None, pytest.approx(150)],
    }
    assert [name for name in bars if name != "Month"] == ["Spent EUR", "To come EUR"], "stacked in this order"


@pytest.mark.parametrize("package", DATA)
def test_bars_are_of_one_currency(prometheus: Running, package: str) -> None:
    of_dollars = replies(prometheus, "Cost per month", currency="USD")
    assert columns(shown(package, "Cost per month", of_dollars)) == {
        "Month": ["2025-10", "2025-11"],
        "Spent USD": [50, 20],
        "To come USD": [None, pytest.approx(20)],
    }


@pytest.mark.parametrize("package", DATA)
def test_sms_bars_tell_what_is_to_come_in_the_running_month(prometheus: Running, package: str) -> None:
    assert columns(shown(package, "SMS per month", replies(prometheus, "SMS per month"))) == {
        "Month": ["2025-09", "2025-10", "2025-11"],
        "Sent": [9000, 6800, 3800],
        "To come": [None, None, pytest.approx(3800)],
    }


@pytest.mark.parametrize("package", DATA)
def test_a_part_alone_makes_bars(prometheus: Running, package: str) -> None:
    assert columns(shown(package, "Cost per SMS", replies(prometheus, "Cost per SMS", currency="USD"))) == {
        "Month": ["2025-10", "2025-11"],
        "Per SMS USD": [50 / 800, 20 / 500],
    }


@pytest.mark.parametrize("package", DATA)
def test_a_reply_without_months_is_no_error(package: str) -> None:
    result = shown(package, "Cost per month", [{"data": {"result": []}}] * 2)
    assert all(not field["values"] for frame in result["frames"] for field in frame)


@pytest.mark.parametrize("package", DATA)
def test_grafana_knows_every_unit(package: str) -> None:
    assert shown(package, "SMS per month", [], [*UNITS, "furlong"])["unknown"] == ["furlong"]


@pytest.mark.parametrize("package", ["schema-10", "schema-12"])
def test_the_file_has_the_types_that_grafana_reads(package: str) -> None:
    checked = node("types.mjs", package)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(("old", "new"), [('"barWidth"', '"barWith"'), ('"mode": "multi"', '"mode": "many"')])
def test_a_wrong_type_would_be_noticed(tmp_path: Path, old: str, new: str) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text(FILE.read_text().replace(old, new, 1))
    assert FILE.read_text() != broken.read_text()
    assert new.split('"')[-2] in node("types.mjs", "schema-12", broken).stdout
