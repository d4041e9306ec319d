"""The Grafana dashboard as tests read it, and a Prometheus that holds made-up pasts."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from exporter.model import (
    FIGURE_QUERIES,
    Account,
    Credits,
    Endpoint,
    Figures,
    MonthFigures,
    Poll,
    Reason,
    RequestStats,
    Status,
)
from exporter.months import PARIS
from tests.support.families import collect
from tests.support.running import ROOT, TOOLS, Running, Started

FILE = ROOT / "grafana" / "dashboards" / "smspartner.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text())
PANELS: dict[str, dict[str, Any]] = {
    each["title"]: each for panel in DASHBOARD["panels"] for each in (panel, *panel.get("panels", ()))
}
VARIABLES: dict[str, dict[str, Any]] = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
SHOWN = {title: panel for title, panel in PANELS.items() if panel["type"] != "row"}
TARGETS = [(title, target) for title, panel in SHOWN.items() for target in panel["targets"]]


def interpolate(promql: str, accounts: str = ".*", time_range: str = "86400s", currency: str = "EUR") -> str:
    """Fill in the variables, as Grafana does. Without a known currency, what the variable holds is ``^$``."""
    filled = promql.replace("$account", accounts).replace("$__range", time_range)
    filled = filled.replace("$currency", currency or "^$").replace("${currency:text}", currency or "unknown")
    assert "$" not in re.sub(r'"[^"]*"', "", filled), filled
    return filled


def paris(*moment: int) -> float:
    return datetime(*moment, tzinfo=PARIS).timestamp()  # type: ignore[arg-type, misc]


def account(
    name: str | None,
    months: Mapping[str, tuple[float, int]],
    now: float,
    balance: tuple[float, str] | None = None,
    budget: float | None = None,
    fails: Reason | None = None,
) -> Account:
    """An account that was asked a minute ago."""
    figures = Figures(
        history={month: MonthFigures(cost, sent) for month, (cost, sent) in months.items()},
        credits=Credits(*balance, remaining={}, queued=0) if balance else None,
        fetched=dict.fromkeys(FIGURE_QUERIES, now - 60),
    )
    return Account(
        name=name,
        monthly_budget=budget,
        figures=figures,
        polls={query: Poll(due=now + 60, succeeded=not fails, reason=fails) for query in FIGURE_QUERIES},
        request_stats=dict.fromkeys(Endpoint, RequestStats(10, 2.5)),
    )


@dataclass(frozen=True)
class Past:
    """What was scraped at an instant."""

    at: float
    accounts: tuple[Account, ...]
    instance: str = "a:10035"
    state_writable: bool = True

    def samples(self) -> Iterator[str]:
        status = Status(
            poll_interval=900,
            requests_per_minute=5,
            requests_last_minute=3,
            state_writable=self.state_writable,
            reload_successful=True,
            reload_success_time=self.at,
            wall_clock_offset=0,
        )
        for family in collect(self.accounts, status, self.at):
            for sample in family.samples:
                labelled = {**sample.labels, "instance": self.instance}
                labels = ",".join(f'{name}="{value}"' for name, value in labelled.items())
                yield f"{sample.name}{{{labels}}} {float(sample.value)} {self.at}"


def prometheus_of(started: Started, directory: Path, pasts: Sequence[Past]) -> Running:
    """Start a Prometheus that holds these pasts, earliest first."""
    text = directory / "pasts.txt"
    text.write_text("\n".join([*(line for past in pasts for line in past.samples()), "# EOF\n"]))
    subprocess.run(
        [
            TOOLS / "promtool",
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "--quiet",
            text,
            directory / "data",
        ],
        check=True,
        capture_output=True,
    )
    return started.prometheus(directory, "{}", "--storage.tsdb.retention.time=100y")


def expression(title: str, index: int = 0) -> str:
    """Return a panel's query."""
    promql: str = SHOWN[title]["targets"][index]["expr"]
    return promql


def ask(prometheus: Running, promql: str, at: float | None = None) -> Any:
    """Return the reply to an instant query. POST, as Grafana does."""
    asked = {"query": promql} | ({"time": at} if at is not None else {})
    reply = requests.post(f"{prometheus.url}/api/v1/query", data=asked, timeout=30).json()
    assert reply["status"] == "success", (reply, promql)
    return reply
