"""From an account that overspends to the message that says so, with the shipped rules and examples."""

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from exporter.months import month_of, paris_date
from tests.support.bodies import october
from tests.support.running import ROOT, Running, Started, eventually, order, query

pytestmark = pytest.mark.journey

RUNNING_MONTH = "sms_cost_monthly and smspartner_month_elapsed_ratio"
FIRST_KEY, SECOND_KEY = "first-key", "second-key"


class Inbox:
    """What Alertmanager's webhooks were told, and whom it was for."""

    def __init__(self) -> None:
        self.url = ""
        self.messages: list[tuple[str, dict[str, Any]]] = []

    def told(self, receiver: str, alert: str, status: str = "firing") -> list[dict[str, Any]]:
        return [
            each
            for to, message in self.messages
            for each in message["alerts"]
            if (to, each["labels"]["alertname"], each["status"]) == (receiver, alert, status)
        ]

    def await_alert(self, receiver: str, alert: str, status: str = "firing") -> dict[str, Any]:
        return eventually(lambda: self.told(receiver, alert, status), within=90)[0]


@contextmanager
def receiving() -> Iterator[Inbox]:
    inbox = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            inbox.messages.append((self.path.strip("/"), message))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def example(name: str) -> str:
    """Return an example with every minute, hour and day in it made a second."""
    return re.sub(r": \d+[smhd]$", ": 1s", (ROOT / "prometheus" / name).read_text(), flags=re.MULTILINE)


def start_alertmanager(started: Started, directory: Path, inbox: Inbox) -> Running:
    config = yaml.safe_load(example("alertmanager.yml"))
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{inbox.url}/{receiver['name']}"}]
    return started.alertmanager(directory, yaml.safe_dump(config))


def start_prometheus(
    started: Started, directory: Path, exporter: Running, alertmanager: Running, site: str | None = None
) -> Running:
    """Start the example. Prometheus servers of sites call their exporters alike, as those on localhost do."""
    (directory / "rules.yml").write_text(example("rules.yml"))
    config = example("prometheus.yml")
    for address, running in (("localhost:10035", exporter), ("localhost:9093", alertmanager)):
        assert address in config
        config = config.replace(address, running.url.removeprefix("http://"))
    if site:
        settings = yaml.safe_load(config)
        settings["global"]["external_labels"] = {"site": site}
        same = {"target_label": "instance", "replacement": "localhost:10035"}
        settings["scrape_configs"][0]["relabel_configs"] = [same]
        config = yaml.safe_dump(settings)
    return started.prometheus(directory, config)


@pytest.mark.long
def test_who_answers_for_an_account_is_told_in_time(started: Started, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(FIRST_KEY)
    settings = {
        "poll_interval": "13s",
        "current_month": False,
        "credits": False,
        "accounts": [{"name": "marketing", "api_key_file": str(key_file), "monthly_budget": 10_000}],
    }
    simulator = started.simulator(f"--api-key={FIRST_KEY}", f"--api-key={SECOND_KEY}")
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**settings, "base_url": simulator.url}))
    exporter = started.exporter("--config.file", config, "--state.dir", tmp_path / "state")
    with receiving() as inbox:
        alertmanager = start_alertmanager(started, tmp_path, inbox)
        prometheus = start_prometheus(started, tmp_path, exporter, alertmanager)
        running = eventually(lambda: query(prometheus, RUNNING_MONTH), within=60)
        month = running[0].labels["month"]
        assert not query(prometheus, 'ALERTS{alertname="SmsPartnerBudgetExceeded"}')

        overspent = october(year=month[:4], m=month[5:], cost="10000.001")
        order(simulator, key=FIRST_KEY, misbehave="body", body=overspent.decode())
        for receiver in ("marketing", "on-call"):
            exceeded = inbox.await_alert(receiver, "SmsPartnerBudgetExceeded")
            assert (
                exceeded["annotations"]["summary"] == f"SMS budget of {month} exceeded by account marketing"
            )

        order(simulator, key=FIRST_KEY, misbehave="key_rejected")
        rejected = inbox.await_alert("on-call", "SmsPartnerKeyRejected")
        assert rejected["labels"]["account"] == "marketing"
        assert not inbox.told("marketing", "SmsPartnerBudgetExceeded", "resolved")

        key_file.write_text(SECOND_KEY)
        inbox.await_alert("on-call", "SmsPartnerKeyRejected", "resolved")

        exporter.end(signal.SIGKILL)
        down = inbox.await_alert("on-call", "SmsPartnerExporterDown")
        assert down["labels"]["instance"] == exporter.url.removeprefix("http://")
        told = json.dumps(inbox.messages)
        assert FIRST_KEY not in told
        assert SECOND_KEY not in told


def alert(name: str, subject: str, exporter: str, **labels: str) -> dict[str, Any]:
    of_all = {"alertname": f"SmsPartner{name}", "job": "smspartner", "subject": subject}
    return {"labels": {**of_all, "exporter": exporter, **labels}}


def held_back(alertmanager: Running) -> set[tuple[str, ...]]:
    """Return names and telling labels of the alerts that Alertmanager inhibits."""
    url = f"{alertmanager.url}/api/v2/alerts"
    suppressed = requests.get(url, params={"active": "false"}, timeout=10).json()
    telling = ("account", "site", "cluster", "environment", "replica")
    return {
        (
            each["labels"]["alertname"].removeprefix("SmsPartner"),
            *(each["labels"][name] for name in telling if name in each["labels"]),
        )
        for each in suppressed
    }


def post(alertmanager: Running, alerts: list[dict[str, Any]]) -> None:
    requests.post(f"{alertmanager.url}/api/v2/alerts", json=alerts, timeout=10).raise_for_status()


def shipped_alertmanager(started: Started, directory: Path) -> Running:
    return started.alertmanager(directory, (ROOT / "prometheus" / "alertmanager.yml").read_text())


def test_what_is_known_already_is_not_told_again(started: Started, tmp_path: Path) -> None:
    down, up = ("instance=down;job=smspartner;", "instance=up;job=smspartner;")
    posted = [
        alert("ExporterDown", "exporter", down),
        alert("BudgetExceeded", "money", down, month="2026-11"),
        alert("KeyRejected", "polling", down, account="a", endpoint="credits"),
        alert("ReloadFailed", "exporter", down),
        alert("BudgetExceeded", "money", up, account="a", month="2026-11"),
        alert("BudgetForecastExceeded", "money", up, account="a", month="2026-11"),
        alert("BudgetForecastExceeded", "money", up, account="b", month="2026-11"),
        alert("KeyRejected", "polling", up, account="a", endpoint="credits"),
        alert("DataStale", "polling", up, account="a", endpoint="credits"),
        alert("DataStale", "polling", up, account="b", endpoint="credits"),
        alert("BalanceNearlySpent", "money", up, currency="EUR"),
        alert("BalanceLow", "money", up, currency="EUR"),
    ]
    expected = {
        ("BudgetExceeded",),
        ("KeyRejected", "a"),
        ("ReloadFailed",),
        ("BudgetForecastExceeded", "a"),
        ("DataStale", "a"),
        ("BalanceLow",),
    }
    alertmanager = shipped_alertmanager(started, tmp_path)
    post(alertmanager, posted)
    eventually(lambda: held_back(alertmanager) >= expected)
    assert held_back(alertmanager) == expected


@pytest.mark.parametrize("label", ["site", "cluster", "environment", "replica"])
def test_no_alert_is_held_back_by_another_one_of_the_estates(
    started: Started, tmp_path: Path, label: str
) -> None:
    here, there = {label: "here"}, {label: "there"}
    same = {"instance": "localhost:10035", "month": "2026-11", "endpoint": "credits"}
    of_centre = f"instance=localhost:10035;job=smspartner;{label}="
    sources = [("ExporterDown", "exporter"), ("BudgetExceeded", "money"), ("BalanceNearlySpent", "money")]
    targets = [("BudgetForecastExceeded", "money"), ("DataStale", "polling"), ("BalanceLow", "money")]
    posted = [
        # Rules at the sites know nothing of their external labels.
        *(
            alert(name, subject, "unknown", **same, **here)
            for name, subject in [*sources, ("KeyRejected", "polling")]
        ),
        *(alert(name, subject, "unknown", **same, **there) for name, subject in targets),
        # Rules in the centre see them in every series.
        alert("ExporterDown", "exporter", f"{of_centre}here;", **same, **here),
        alert("BudgetExceeded", "money", f"{of_centre}there;", account="a", **same, **there),
        # This one alone is of an exporter that is known to be down.
        alert("StateNotWritable", "exporter", f"{of_centre}here;", **same, **here),
    ]
    alertmanager = shipped_alertmanager(started, tmp_path)
    post(alertmanager, posted)
    eventually(lambda: held_back(alertmanager))
    assert held_back(alertmanager) == {("StateNotWritable", "here")}


@pytest.mark.long
def test_one_sites_outage_leaves_the_other_sites_alerts_alone(started: Started, tmp_path: Path) -> None:
    simulator = started.simulator(f"--api-key={FIRST_KEY}")
    month = month_of(paris_date(time.time()))
    overspent = october(year=month[:4], m=month[5:], cost="2.5")
    order(simulator, key=FIRST_KEY, misbehave="body", endpoint="statistics", body=overspent.decode())
    sites = {}
    with receiving() as inbox:
        alertmanager = start_alertmanager(started, tmp_path, inbox)
        for site in ("north", "south"):
            directory = tmp_path / site
            directory.mkdir()
            config = directory / "config.yaml"
            settings = {"base_url": simulator.url, "api_key": FIRST_KEY, "monthly_budget": 1}
            config.write_text(yaml.safe_dump({**settings, "requests_per_minute": 2}))
            exporter = started.exporter("--config.file", config, "--state.dir", directory / "state")
            sites[site] = exporter, start_prometheus(started, directory, exporter, alertmanager, site)
        sites["south"][0].end(signal.SIGKILL)

        down = inbox.await_alert("on-call", "SmsPartnerExporterDown")
        exceeded = inbox.await_alert("on-call", "SmsPartnerBudgetExceeded")
        assert down["labels"]["instance"] == exceeded["labels"]["instance"]
        assert (down["labels"]["site"], exceeded["labels"]["site"]) == ("south", "north")
        assert held_back(alertmanager) == set()
        for _, prometheus in sites.values():
            groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
            assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}
