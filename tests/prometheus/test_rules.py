"""Alerts and recording rules: that they hold, that none is untested, that they name what the exporter exposes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.durations import parse_duration
from exporter.metrics import families as metrics
from exporter.model import Account, Credits, Endpoint, Figures, MonthFigures, Poll, Query, Reason, Status
from tests.support.running import ROOT, TOOLS, run

PROMETHEUS = ROOT / "prometheus"
RULES_FILE = PROMETHEUS / "rules.yml"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES_FILE.read_text())["groups"] for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDS = {rule["record"]: rule for rule in RULES if "record" in rule}
CASE_FILES = sorted((PROMETHEUS / "tests").glob("*.test.yml"))
CASES: list[dict[str, Any]] = [
    case for file in CASE_FILES for case in yaml.safe_load(file.read_text())["tests"]
]

# Prometheus 3 is not to be had on every system.
PROMTOOLS = [TOOLS / "promtool", *ROOT.glob(".tools/prometheus-3/bin/promtool")]
each_promtool = pytest.mark.parametrize("promtool", PROMTOOLS, ids=lambda path: path.parent.parent.name)

_NO_METRIC = re.compile(
    r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\b(by|without|on|ignoring|group_left)\s*\([^)]*\)|\b(and|or|unless)\b'
)
_METRIC = re.compile(r"(?<![\w:])[a-zA-Z_:][\w:]*\b(?!\s*\()")
_SERIES = re.compile(r"(?P<name>[\w:]+)(?:\{(?P<labels>.*)\})?")


def exposed() -> dict[str, set[str]]:
    """Return the label names of every metric of the exporter, those of a named account."""
    months = {"2026-10": MonthFigures(1.0, 1), "2026-11": MonthFigures(1.0, 1)}
    figures = Figures(
        history=months, credits=Credits(1.0, "EUR", {"sms": 1}, 1), fetched=dict.fromkeys(Query, 1.0)
    )
    polls = {query: Poll(due=1.0, succeeded=True) for query in Query}
    account = Account("marketing", 500.0, figures, polls, {})
    status = Status(900.0, 5, 1, True, True, 1.0, 0.0)
    samples = [sample for family in metrics.collect((account,), status, 1.0) for sample in family.samples]
    return {sample.name: set(sample.labels) for sample in samples}


def metrics_of(promql: str) -> set[str]:
    return {match[0] for match in _METRIC.finditer(_NO_METRIC.sub(" ", promql))}


@pytest.mark.journey
@each_promtool
@pytest.mark.parametrize("file", CASE_FILES, ids=lambda file: file.name)
def test_every_case_holds(promtool: Path, file: Path) -> None:
    run(promtool, "test", "rules", file)


@pytest.mark.journey
@each_promtool
def test_the_example_starts_prometheus(promtool: Path) -> None:
    assert f"{len(RULES)} rules found" in run(promtool, "check", "config", PROMETHEUS / "prometheus.yml")
    run(promtool, "check", "rules", "--lint-fatal", RULES_FILE)


def test_names_of_metrics_are_found() -> None:
    promql = 'round(rate(a_total{b="c"}[1h])) > on (d) group_left () 2 * x:y:z or min without (e) (f == 1e9)'
    assert metrics_of(promql) == {"a_total", "x:y:z", "f"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_names_what_there_is(rule: dict[str, Any]) -> None:
    earlier = {other["record"] for other in RULES[: RULES.index(rule)] if "record" in other}
    used = metrics_of(rule["expr"])
    assert used
    assert used <= {"up", *exposed(), *earlier}


def test_rules_name_reasons_that_there_are() -> None:
    matched = [
        value
        for rule in RULES
        for values in re.findall(r'reason=~?"([^"]+)"', rule["expr"])
        for value in values.split("|")
    ]
    assert set(matched) == set(Reason)


def test_cases_feed_series_that_there_are() -> None:
    known = {"up": set[str](), **exposed()}
    for series in (series["series"] for case in CASES for series in case["input_series"]):
        match = _SERIES.fullmatch(series)
        assert match, series
        labels = dict(re.findall(r'(\w+)="([^"]*)"', match["labels"] or ""))
        assert set(labels) <= {*known[match["name"]], "job", "instance", "account"}, series
        assert labels.get("reason", Reason.TIMEOUT) in set(Reason), series
        assert labels.get("endpoint", Endpoint.CREDITS) in set(Endpoint), series


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_in_one_case_and_not_in_another(alert: str) -> None:
    expected = [
        bool(check.get("exp_alerts"))
        for case in CASES
        for check in case.get("alert_rule_test", ())
        if check["alertname"] == alert
    ]
    assert set(expected) == {True, False}


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_has_a_value_in_one_case_and_none_in_another(record: str) -> None:
    checks = [check for case in CASES for check in case.get("promql_expr_test", ())]
    assert any(check.get("exp_samples") for check in checks if record in metrics_of(check["expr"]))
    assert any(not check.get("exp_samples") for check in checks if check["expr"] == record)


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_named_level_metric_operation(record: str) -> None:
    assert re.fullmatch(r"smspartner:[a-z_]+:[a-z0-9_]+", record)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_tells_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["labels"]["subject"] in {"money", "polling", "exporter"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{alert.lower()}"
    assert f"\n## {alert}\n" in RUNBOOK


def test_the_runbook_lists_every_alert() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| (\w+) \| .+ \| (.+) \|$", RUNBOOK, re.MULTILINE)
    assert rows == [
        (alert, alert.lower(), rule["labels"]["severity"], rule.get("for", "at once"))
        for alert, rule in ALERTS.items()
    ]


def test_a_killed_exporter_resolves_no_alert_before_it_is_told() -> None:
    told_after = parse_duration(ALERTS["SmsPartnerExporterDown"]["for"])
    for alert, rule in ALERTS.items():
        if metrics_of(rule["expr"]) != {"up"}:
            assert parse_duration(rule["keep_firing_for"]) >= 2 * told_after, alert


@pytest.mark.journey
def test_the_example_starts_alertmanager() -> None:
    run(TOOLS / "amtool", "check-config", PROMETHEUS / "alertmanager.yml")


@pytest.mark.journey
@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("severity=warning subject=polling", "team"),
        ("severity=warning subject=money", "team"),
        ("severity=warning subject=money account=other", "team"),
        ("severity=critical subject=exporter", "on-call"),
        ("severity=critical subject=money", "on-call"),
        ("severity=critical subject=polling account=marketing", "on-call"),
        ("severity=warning subject=money account=marketing", "marketing"),
        ("severity=critical subject=money account=marketing", "marketing,on-call"),
    ],
)
def test_alerts_go_to_those_they_concern(labels: str, receivers: str) -> None:
    config = f"--config.file={PROMETHEUS / 'alertmanager.yml'}"
    assert run(TOOLS / "amtool", "config", "routes", "test", config, *labels.split()).strip() == receivers
