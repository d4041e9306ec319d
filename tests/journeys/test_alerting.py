"""From an account that overspends to the message that says so, with the shipped rules and examples."""

import json
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.support.running import ROOT, Running, Started, eventually, query

pytestmark = pytest.mark.journey

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


def start_prometheus(started: Started, directory: Path, exporter: Running, alertmanager: Running) -> Running:
    (directory / "rules.yml").write_text(example("rules.yml"))
    config = example("prometheus.yml")
    for address, running in (("localhost:10035", exporter), ("localhost:9093", alertmanager)):
        assert address in config
        config = config.replace(address, running.url.removeprefix("http://"))
    return started.prometheus(directory, config)


def order(simulator: Running, **orders: object) -> None:
    url = simulator.url.removesuffix("/v1") + "/simulator"
    requests.post(url, json={"key": FIRST_KEY, **orders}, timeout=10).raise_for_status()


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
        newest = eventually(lambda: query(prometheus, "smspartner:cost_monthly:newest"), within=60)
        month = newest[0].labels["month"]
        assert not query(prometheus, 'ALERTS{alertname="SmsPartnerBudgetExceeded"}')

        order(simulator, send=1_000_000)
        for receiver in ("marketing", "on-call"):
            exceeded = inbox.await_alert(receiver, "SmsPartnerBudgetExceeded")
            assert (
                exceeded["annotations"]["summary"] == f"SMS budget of {month} exceeded by account marketing"
            )

        order(simulator, misbehave="key_rejected")
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


def test_what_is_known_already_is_not_told_again(started: Started, tmp_path: Path) -> None:
    def alert(name: str, subject: str, **labels: str) -> dict[str, Any]:
        return {
            "labels": {"alertname": f"SmsPartner{name}", "job": "smspartner", "subject": subject, **labels}
        }

    posted = [
        alert("ExporterDown", "exporter", instance="down"),
        alert("BudgetExceeded", "money", instance="down", month="2026-11"),
        alert("KeyRejected", "polling", instance="down", account="a", endpoint="credits"),
        alert("ReloadFailed", "exporter", instance="down"),
        alert("BudgetExceeded", "money", instance="up", account="a", month="2026-11"),
        alert("BudgetForecastExceeded", "money", instance="up", account="a", month="2026-11"),
        alert("BudgetForecastExceeded", "money", instance="up", account="b", month="2026-11"),
        alert("KeyRejected", "polling", instance="up", account="a", endpoint="credits"),
        alert("DataStale", "polling", instance="up", account="a", endpoint="credits"),
        alert("DataStale", "polling", instance="up", account="b", endpoint="credits"),
        alert("BalanceNearlySpent", "money", instance="up"),
        alert("BalanceLow", "money", instance="up"),
    ]
    expected = {
        ("BudgetExceeded", None),
        ("KeyRejected", "a"),
        ("ReloadFailed", None),
        ("BudgetForecastExceeded", "a"),
        ("DataStale", "a"),
        ("BalanceLow", None),
    }
    alertmanager = started.alertmanager(tmp_path, (ROOT / "prometheus" / "alertmanager.yml").read_text())
    url = f"{alertmanager.url}/api/v2/alerts"
    requests.post(url, json=posted, timeout=10).raise_for_status()

    def held_back() -> set[tuple[str, str | None]]:
        suppressed = requests.get(url, params={"active": "false"}, timeout=10).json()
        labels = [alert["labels"] for alert in suppressed]
        return {(each["alertname"].removeprefix("SmsPartner"), each.get("account")) for each in labels}

    eventually(lambda: held_back() >= expected)
    assert held_back() == expected
