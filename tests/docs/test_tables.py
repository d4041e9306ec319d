"""The tables of the documentation say what the code does."""

import re
from pathlib import Path

from exporter.cli import parser
from exporter.config.accounts import KEY_FILE_VARIABLE, KEY_VARIABLE
from exporter.config.schema import KEYS
from exporter.model import (
    FIGURE_QUERIES,
    Account,
    Credits,
    Figures,
    MonthFigures,
    Poll,
    Reason,
    Status,
)
from exporter.web import config_schema as web_config
from tests.stress.hostile import BAD, UNUSUAL
from tests.support.documents import table
from tests.support.families import collect
from tests.support.running import ROOT

CONFIGURATION = ROOT / "docs" / "configuration.md"
METRICS = ROOT / "docs" / "metrics.md"
WEB_SECURITY = ROOT / "docs" / "web-security.md"
GUARANTEES = ROOT / "docs" / "guarantees.md"


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_metric_is_listed_with_its_type_and_labels() -> None:
    account = Account(
        name=None,
        monthly_budget=1.0,
        figures=Figures(
            history={"2026-10": MonthFigures(1.0, 1)},
            credits=Credits(1.0, "EUR", {"sms": 1}, 1),
            fetched=dict.fromkeys(FIGURE_QUERIES, 1.0),
        ),
        polls={query: Poll(due=1.0, succeeded=True) for query in FIGURE_QUERIES},
        request_stats={},
    )
    exposed = {}
    for family in collect((account,), Status(900, 5, 0, True, True, 0.0, 0.0), 0):
        name = family.name + ("_total" if family.type == "counter" else "")
        assert family.samples, name
        exposed[name] = (family.type, sorted(family.samples[0].labels))
    documented = {
        names(metric)[0]: (kind, sorted(names(labels)))
        for metric, kind, labels, _ in table(METRICS, "metric")
    }
    assert documented == exposed


def test_every_flag_is_listed_with_its_default() -> None:
    documented = {names(flag)[0].split()[0]: default for flag, default, _ in table(CONFIGURATION, "flag")}
    text = re.sub(r"\s+", " ", parser().format_help().partition("options:")[2])
    flags = {each.split()[0]: each for each in re.split(r" (?:-h, )?(?=--[a-z])", text) if each}
    assert set(documented) == set(flags) - {"--help"}
    for flag, default in documented.items():
        if default.startswith("`") and "see" not in default:
            assert f"(default: {names(default)[0]})" in flags[flag]


def test_every_configuration_key_is_listed() -> None:
    assert {names(key)[0] for key, _, _ in table(CONFIGURATION, "key")} == set(KEYS[""])
    [accounts] = [meaning for key, _, meaning in table(CONFIGURATION, "key") if key == "`accounts`"]
    assert "name" in names(accounts)


def test_every_key_of_the_web_configuration_is_compared_with_other_exporters() -> None:
    documented: set[str] = set()
    for cell, *_ in table(WEB_SECURITY, "key"):
        first, *others = names(cell)
        section = first.rpartition(".")[0]
        documented |= {first, *(f"{section}.{key}" for key in others)}
    keys = web_config.KEYS
    assert documented == {"basic_auth_users", "rate_limit"} | {
        f"{section}.{key}" for section in ("tls_server_config", "http_server_config") for key in keys[section]
    }


def test_every_reason_is_listed() -> None:
    assert {names(reason)[0] for reason, _, _ in table(METRICS, "reason")} == {
        reason.value for reason in Reason
    }


def test_every_environment_variable_is_listed() -> None:
    documented = {name for cell, _ in table(CONFIGURATION, "variable") for name in names(cell)}
    assert {KEY_VARIABLE, KEY_FILE_VARIABLE, "STATE_DIRECTORY"} <= documented
    sources = "".join(path.read_text() for path in Path("exporter").rglob("*.py"))
    read = set(re.findall(r'environ(?:ment)?\.get\("([A-Z_]+)"\)', sources))
    assert read <= documented


def test_the_guarantees_name_as_many_hostile_replies_as_the_tests_play() -> None:
    said = re.search(r"(\d+) hostile replies.+?(\d+) unusual ones", GUARANTEES.read_text())
    assert said
    assert [int(number) for number in said.groups()] == [len(BAD), len(UNUSUAL)]
