"""Alerts and recording rules: that they hold, that none is untested or unused, that they name what is exposed."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.durations import parse_duration
from exporter.model import (
    FIGURE_QUERIES,
    Account,
    Credits,
    Endpoint,
    Figures,
    MonthFigures,
    Poll,
    Reason,
    Status,
)
from tests.support.dashboard import Past, account, ask, paris, prometheus_of
from tests.support.families import collect
from tests.support.running import ROOT, TOOLS, Running, Started, run

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

INHIBITIONS: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())[
    "inhibit_rules"
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
        history=months, credits=Credits(1.0, "EUR", {"sms": 1}, 1), fetched=dict.fromkeys(FIGURE_QUERIES, 1.0)
    )
    polls = {query: Poll(due=1.0, succeeded=True) for query in FIGURE_QUERIES}
    marketing = Account("marketing", 500.0, figures, polls, {})
    status = Status(900.0, 5, 1, True, True, 1.0, 0.0)
    samples = [sample for family in collect((marketing,), status, 1.0) for sample in family.samples]
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
        estate = {"job", "instance", "site", "replica"}
        assert set(labels) <= {*known[match["name"]], "account", *estate}, series
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
def test_a_record_is_used(record: str) -> None:
    assert any(record in metrics_of(rule["expr"]) for rule in RULES)


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_named_level_metric_operation(record: str) -> None:
    assert re.fullmatch(r"smspartner:[a-z_]+:[a-z0-9_]+", record)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_tells_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert set(rule["labels"]) == {"severity", "subject", "exporter"}
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


def test_only_what_tells_no_exporter_from_another_is_left_out_of_the_label_exporter() -> None:
    (template,) = {rule["labels"]["exporter"] for rule in ALERTS.values()}
    left_out = re.search(r"\^\((.+?)\)\$", template)
    assert left_out
    expressions = " ".join(rule["expr"] for rule in ALERTS.values())
    of_metrics = set().union(*(labels for name, labels in exposed().items() if name in expressions))
    of_records = {"currency"}
    assert set(left_out[1].split("|")) == {"__name__"} | of_metrics | of_records


@pytest.mark.parametrize("inhibition", INHIBITIONS)
def test_only_alerts_of_one_known_exporter_inhibit_each_other(inhibition: dict[str, Any]) -> None:
    assert inhibition["equal"][0] == "exporter"
    for side in ("source_matchers", "target_matchers"):
        assert 'exporter=~".+=.+"' in inhibition[side]


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


# --- the calendar of Paris, of which promtool knows nothing: its time begins in 1970


def expanded(promql: str) -> str:
    """Return an expression with every recorded figure's own expression in its place."""
    for record in RECORDS:
        if record in promql:
            return expanded(promql.replace(record, f"({RECORDS[record]['expr'].strip()})"))
    return promql


def spent(name: str, at: float, **months: float) -> Past:
    """An account with a budget of 100 and 60 left, and what it had spent by then."""
    costs = {month.lstrip("m").replace("_", "-"): (cost, 10) for month, cost in months.items()}
    return Past(at, (account(name, costs, at, balance=(60.0, "EUR"), budget=100),))


NEW_YEARS_EVE, NEW_YEAR = paris(2025, 12, 31, 23, 59, 59), paris(2026, 1, 1)
LAST_OF_OCTOBER, FIRST_OF_NOVEMBER = paris(2026, 10, 31, 23, 30), paris(2026, 11, 1, 0, 30)
SUMMER_TIME_BEGINS, FIRST_OF_APRIL = paris(2026, 3, 29, 4), paris(2026, 4, 1, 0, 10)
EARLY, LATER = paris(2026, 3, 2, 13), paris(2026, 3, 2, 13, 20)
PASTS = [
    spent("eve", NEW_YEARS_EVE, m2025_12=150),
    spent("not polled yet", NEW_YEAR, m2025_12=150),
    spent("polled", NEW_YEAR, m2025_12=150, m2026_01=120),
    spent("early", EARLY, m2026_02=10, m2026_03=6),
    spent("later", LATER, m2026_02=10, m2026_03=6),
    spent("summer", SUMMER_TIME_BEGINS, m2025_12=9, m2026_01=9, m2026_02=9, m2026_03=91),
    spent("april", FIRST_OF_APRIL, m2026_03=101, m2026_04=0),
    spent("october", LAST_OF_OCTOBER, m2026_10=101),
    spent("november", FIRST_OF_NOVEMBER, m2026_10=101, m2026_11=1),
]


@pytest.fixture(scope="module")
def calendar(processes: Started, tmp_path_factory: pytest.TempPathFactory) -> Running:
    pasts = sorted(PASTS, key=lambda past: past.at)
    return prometheus_of(processes, tmp_path_factory.mktemp("calendar"), pasts)


@pytest.mark.journey
@pytest.mark.parametrize(
    ("at", "alert", "expected"),
    [
        (NEW_YEARS_EVE, "SmsPartnerBudgetExceeded", {("eve", "2025-12"): 150}),
        (NEW_YEAR, "SmsPartnerBudgetExceeded", {("polled", "2026-01"): 120}),
        (NEW_YEAR, "SmsPartnerBudgetForecastExceeded", {}),
        (EARLY, "SmsPartnerBudgetForecastExceeded", {}),
        (LATER, "SmsPartnerBudgetForecastExceeded", {("later", "2026-03"): 6 * 743 / (37 + 1 / 3)}),
        (SUMMER_TIME_BEGINS, "SmsPartnerBudgetExceeded", {}),
        (
            SUMMER_TIME_BEGINS,
            "SmsPartnerBudgetForecastExceeded",
            {("summer", "2026-03"): 91 * 743 / (28 * 24 + 3)},
        ),
        (SUMMER_TIME_BEGINS, "SmsPartnerSpendUnusual", {("summer", "2026-03"): 91 * 743 / (28 * 24 + 3)}),
        (FIRST_OF_APRIL, "SmsPartnerBudgetExceeded", {}),
        (LAST_OF_OCTOBER, "SmsPartnerBudgetExceeded", {("october", "2026-10"): 101}),
        (FIRST_OF_NOVEMBER, "SmsPartnerBudgetExceeded", {}),
        (FIRST_OF_NOVEMBER, "SmsPartnerSpendUnusual", {}),
    ],
)
def test_months_are_those_of_paris(
    calendar: Running, at: float, alert: str, expected: dict[tuple[str, str], float]
) -> None:
    result = ask(calendar, expanded(ALERTS[alert]["expr"]), at)["data"]["result"]
    found = {
        (sample["metric"]["account"], sample["metric"]["month"]): float(sample["value"][1])
        for sample in result
    }
    of_an_earlier_scrape = {past.accounts[0].name for past in PASTS if past.at != at}
    now = {series: value for series, value in found.items() if series[0] not in of_an_earlier_scrape}
    assert now == pytest.approx(expected)


@pytest.mark.journey
@pytest.mark.parametrize(
    ("at", "name", "months"),
    [
        (NEW_YEARS_EVE, "eve", 1),
        (NEW_YEAR, "not polled yet", 1),
        (NEW_YEAR, "polled", 1),
        (SUMMER_TIME_BEGINS, "summer", 1.9),
        (LAST_OF_OCTOBER, "october", 1),
        (FIRST_OF_NOVEMBER, "november", 1),
    ],
)
def test_the_balance_lasts_as_long_as_the_months_before_tell(
    calendar: Running, at: float, name: str, months: float
) -> None:
    (past,) = (past for past in PASTS if past.at == at and past.accounts[0].name == name)
    recent = list(past.accounts[0].figures.months.values())[-2:]
    expected = 60 / (sum(month.cost for month in recent) / (30.44 * months))
    promql = expanded("smspartner:balance:runway_days")
    (lasts,) = (
        float(sample["value"][1])
        for sample in ask(calendar, promql, at)["data"]["result"]
        if sample["metric"]["account"] == name
    )
    assert lasts == pytest.approx(expected, rel=0.03)
