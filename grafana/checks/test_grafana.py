"""The dashboard in the packages that Grafana publishes. `make check-dashboard` installs them and runs this."""

import json
import random
import subprocess
from collections.abc import Iterator
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


def shown(package: str, title: str, reply: Any, units: list[str]) -> dict[str, Any]:
    """What one of Grafana's packages makes of a panel's reply, in whatever order the series come."""
    random.Random(7).shuffle(reply["data"]["result"])
    asked = {"transformations": SHOWN[title]["transformations"], "reply": reply, "units": units}
    done = node("transform.mjs", package, stdin=asked)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def columns(result: dict[str, Any]) -> dict[str, list[Any]]:
    (frame,) = result["frames"]
    assert [field["type"] for field in frame] == ["string"] + ["number"] * (len(frame) - 1)
    return {field["name"]: field["values"] for field in frame}


@pytest.mark.parametrize("package", DATA)
def test_cost_bars_are_months_in_order_stacked_from_their_parts(prometheus: Running, package: str) -> None:
    reply = ask(prometheus, interpolate(expression("Cost per month"), "shop"), NOW)
    assert columns(shown(package, "Cost per month", reply, [])) == {
        "Month": ["2025-09", "2025-10", "2025-11"],
        "Full month EUR": [410, 300, None],
        "So far EUR": [None, None, 150],
        "To come EUR": [None, None, pytest.approx(150)],
    }


@pytest.mark.parametrize("package", DATA)
def test_two_currencies_are_never_stacked(prometheus: Running, package: str) -> None:
    reply = ask(prometheus, interpolate(expression("Cost per month")), NOW)
    bars = columns(shown(package, "Cost per month", reply, []))
    assert bars.pop("Month") == ["2025-09 EUR", "2025-10 EUR", "2025-10 USD", "2025-11 EUR", "2025-11 USD"]
    assert list(bars) == [
        f"{part} {code}" for part in ("Full month", "So far", "To come") for code in ("EUR", "USD")
    ]
    for row in zip(*bars.values(), strict=True):
        parts = {name.split()[-1] for name, value in zip(bars, row, strict=True) if value is not None}
        assert len(parts) == 1


@pytest.mark.parametrize("package", DATA)
def test_sms_bars_tell_the_running_month_apart(prometheus: Running, package: str) -> None:
    reply = ask(prometheus, interpolate(expression("SMS per month")), NOW)
    assert columns(shown(package, "SMS per month", reply, [])) == {
        "Month": ["2025-09", "2025-10", "2025-11"],
        "Full month": [9000, 6800, None],
        "So far": [None, None, 3800],
    }


@pytest.mark.parametrize("package", DATA)
def test_a_reply_without_months_is_no_error(package: str) -> None:
    result = shown(package, "Cost per month", {"data": {"result": []}}, [])
    assert all(not field["values"] for frame in result["frames"] for field in frame)


@pytest.mark.parametrize("package", DATA)
def test_grafana_knows_every_unit(prometheus: Running, package: str) -> None:
    reply = ask(prometheus, interpolate(expression("SMS per month")), NOW)
    assert shown(package, "SMS per month", reply, [*UNITS, "furlong"])["unknown"] == ["furlong"]


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
