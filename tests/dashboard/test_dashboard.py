"""The Grafana dashboard's file."""

import itertools
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.models import units

from exporter.model import Status
from tests.support.dashboard import DASHBOARD, FILE, PANELS, SHOWN, TARGETS, VARIABLES
from tests.support.families import collect
from tests.support.running import ROOT

PROVISIONING = ROOT / "grafana" / "provisioning"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
STATUS = Status(900, 5, 0, True, True, 0, 0)
OPERATORS = {"and", "or", "unless"}


def metric_names(promql: str) -> set[str]:
    """Every name in a query that is neither function, operator nor label."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]', "", promql)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"\b[a-z_:][\w:]*\b(?!\s*\()", bare)) - OPERATORS


def exposed_names() -> Iterator[str]:
    suffixes = {"summary": ("_sum", "_count"), "counter": ("_total",)}
    for family in collect((), STATUS, 0):
        yield from (family.name + suffix for suffix in suffixes.get(family.type, ("",)))


def units_of(node: Any) -> Iterator[str]:
    """Every unit that a part of the dashboard names, overrides included."""
    if isinstance(node, list):
        for each in node:
            yield from units_of(each)
    elif isinstance(node, dict):
        if "unit" in node:
            yield node["unit"]
        if node.get("id") == "unit":
            yield node["value"]
        for each in node.values():
            yield from units_of(each)


def test_the_file_is_what_the_script_writes() -> None:
    script = subprocess.run(
        [sys.executable, ROOT / "grafana" / "dashboard.py"], check=True, capture_output=True, text=True
    )
    assert script.stdout == FILE.read_text(), "run make dashboard"


def test_metric_names_are_told_from_functions_labels_and_operators() -> None:
    promql = 'sum by (a, b) (x{c="d"}[5m]) * on (e) group_left () (clamp_max(y, 1) and z_total) > time()'
    assert metric_names(promql) == {"x", "y", "z_total"}


@pytest.mark.parametrize(("title", "target"), TARGETS)
def test_queries_use_only_metrics_that_the_exporter_exposes(title: str, target: dict[str, Any]) -> None:
    names = metric_names(target["expr"])
    assert names, title
    assert names <= set(exposed_names())


def test_panels_have_their_own_ids_and_places() -> None:
    ids = [panel["id"] for panel in PANELS.values()]
    assert len(set(ids)) == len(ids) == len(PANELS), "titles are unique too"
    taken: dict[tuple[int, int], str] = {}
    for title, panel in ((panel["title"], panel) for panel in DASHBOARD["panels"]):
        x, y, width, height = (panel["gridPos"][side] for side in "xywh")
        assert x + width <= 24
        for cell in itertools.product(range(x, x + width), range(y, y + height)):
            assert taken.setdefault(cell, title) == title


def test_the_money_fits_a_laptop_screen() -> None:
    units_high = PANELS["Budget by account"]["gridPos"]["y"]
    assert units_high * 38 < 900 - 200, "a grid unit is 38 px; browser and Grafana take about 200"


@pytest.mark.parametrize("title", SHOWN)
def test_every_panel_explains_itself_and_takes_the_chosen_data_source(title: str) -> None:
    panel = SHOWN[title]
    assert panel["description"].endswith(".")
    assert panel["datasource"] == DATASOURCE
    assert [target["datasource"] for target in panel["targets"]] == [DATASOURCE] * len(panel["targets"])
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["noValue"]
    missing = defaults["thresholds"]["steps"][0]
    assert (missing["value"], missing["color"]) == (None, "text"), "no data is not good, and not bad"


def test_units_are_grafanas() -> None:
    known = {value for name, value in vars(units).items() if name[0].isupper()}
    used = set(units_of(DASHBOARD["panels"]))
    assert {"percentunit", "suffix:€"} <= used
    assert {unit for unit in used if not unit.startswith("suffix:")} <= known


def test_one_file_is_for_provisioning_and_for_import() -> None:
    assert "__inputs" not in DASHBOARD
    assert DASHBOARD.get("id") is None
    assert list(VARIABLES) == ["datasource", "account", "currency", "runbook"]
    source, accounts = VARIABLES["datasource"], VARIABLES["account"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    assert (accounts["includeAll"], accounts["allValue"]) == (True, "[^/]*")
    (firing,) = DASHBOARD["annotations"]["list"]
    for asked in (accounts, VARIABLES["currency"], firing):
        assert asked["datasource"] == DATASOURCE


def test_a_person_can_read_the_queries() -> None:
    lengths = [len(target["expr"]) for _, target in TARGETS]
    assert max(lengths) <= 600
    assert statistics.median(lengths) <= 250


def test_money_is_of_one_currency_at_a_time() -> None:
    assert not VARIABLES["currency"]["multi"]
    assert not VARIABLES["currency"]["includeAll"]
    for title, target in TARGETS:
        added = re.search(r"sum(?: by \(month\))? \(?.*(sms_cost_monthly|smspartner_balance)", target["expr"])
        if added and title != "Balance lasts":
            assert 'currency=~"$currency"' in target["expr"], title


def test_every_alert_is_explained_from_the_panel_that_shows_its_cause() -> None:
    rules = yaml.safe_load((ROOT / "prometheus" / "rules.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    linked = set()
    for link in (link for panel in SHOWN.values() for link in panel.get("links", ())):
        alert = link["title"].removeprefix("Runbook: ")
        assert link["url"] == f"${{runbook:raw}}#{alert.lower()}"
        assert f"\n## {alert}\n" in runbook
        linked.add(alert)
    assert linked == alerts
    assert VARIABLES["runbook"]["query"].endswith("/docs/runbook.md")


def test_provisioning_finds_the_dashboards() -> None:
    sources = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())
    assert [source["type"] for source in sources["datasources"]] == ["prometheus"]
    providers = yaml.safe_load((PROVISIONING / "dashboards" / "smspartner.yaml").read_text())
    assert [each["options"]["path"] for each in providers["providers"]] == ["/var/lib/grafana/dashboards"]
