"""The whole way, with real processes over real HTTP."""

import json
import re
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest
import requests

from exporter.metrics import families as metrics
from tests.support.running import Running, Started, eventually, order, query

pytestmark = pytest.mark.journey

KEY = "S3CR+T/key=%41&é"
SAMPLE = (Path(__file__).parents[1] / "data" / "cost-resume.json").read_text()


def asked(simulator: Running) -> list[dict[str, object]]:
    reply = requests.get(simulator.url.removesuffix("/v1") + "/simulator", timeout=5).json()
    requested: list[dict[str, object]] = reply["requests"]
    return requested


def exporter_of(started: Started, simulator: Running, state: Path, *flags: str, **config: object) -> Running:
    file = state.parent / "config.yaml"
    file.write_text(json.dumps({"base_url": simulator.url, **config}))
    return started.exporter(
        f"--config.file={file}", f"--state.dir={state}", "--log.level=debug", *flags, SMSPARTNER_API_KEY=KEY
    )


def test_the_demo_shows_everything_an_unnamed_account_has(started: Started) -> None:
    exporter = started.exporter("--demo")
    months = eventually(lambda: exporter.series("sms_cost_monthly"), within=5)
    assert len(months) >= 12
    assert len(exporter.series("sms_sent_monthly")) == len(months)
    eventually(lambda: exporter.series("smspartner_balance"), within=40)
    exposed = {re.split(r"[{ ]", series)[0] for series in exporter.series()}
    gauges = {metric.name for metric in metrics.ACCOUNT_GAUGES}
    assert gauges <= exposed
    assert min(exporter.series("sms_").values()) >= 0
    assert exporter.series("smspartner_up") == {
        'smspartner_up{endpoint="statistics"}': 1,
        'smspartner_up{endpoint="credits"}': 1,
    }
    assert sum(exporter.series("smspartner_poll_failing").values()) == 0
    assert exporter.get("/-/ready").ok


def test_the_documented_sample_reply_is_exposed_unchanged(started: Started, state: Path) -> None:
    simulator = started.simulator()
    order(simulator, misbehave="body", endpoint="statistics", body=SAMPLE)
    exporter = exporter_of(started, simulator, state, current_month=False)
    eventually(lambda: exporter.series("sms_"))
    assert exporter.series("sms_") == {
        'sms_cost_monthly{month="2021-10"}': 49.174,
        'sms_cost_monthly{month="2021-11"}': 67.674,
        'sms_sent_monthly{month="2021-10"}': 1210,
        'sms_sent_monthly{month="2021-11"}': 1409,
    }
    assert 'sms_cost_monthly{month="2021-10"} 49.174\n' in exporter.get().text
    assert 'sms_sent_monthly{month="2021-10"} 1210.0\n' in exporter.get().text


@pytest.mark.long
def test_with_a_limit_per_key_a_hundred_accounts_are_polled_within_90_seconds(
    started: Started, state: Path
) -> None:
    simulator = started.simulator("--limit-per-key")
    accounts = [{"name": f"account-{number}", "api_key": f"test-key-{number}"} for number in range(100)]
    exporter = exporter_of(started, simulator, state, accounts=accounts, limit_scope="account")
    assert "earlier requests with a key are unknown" in exporter.get("/-/ready").text
    eventually(lambda: len(asked(simulator)) == 300, within=90)
    assert exporter.get("/-/ready").ok
    assert sum(exporter.series("smspartner_up").values()) == 200
    assert exporter.series("smspartner_api_requests_last_minute") == {
        "smspartner_api_requests_last_minute": 3
    }
    by_account: dict[object, list[float]] = {}
    for request in asked(simulator):
        assert request["status"] == 200
        by_account.setdefault(request["account"], []).append(float(str(request["monotonic"])))
    assert all(min(after - before for before, after in pairwise(times)) > 12 for times in by_account.values())


def test_series_of_named_accounts_carry_the_account_label(started: Started, state: Path) -> None:
    simulator = started.simulator("--api-key=first-key", "--api-key=other-key")
    accounts = [{"name": "sales", "api_key": "first-key"}, {"name": "ops", "api_key": "other-key"}]
    exporter = exporter_of(started, simulator, state, accounts=accounts, current_month=False, credits=False)
    assert re.search("no figures yet of .*ops", exporter.get("/-/ready").text)
    eventually(lambda: exporter.get("/-/ready").ok, within=30)
    series = exporter.series("sms_cost_monthly")
    assert {re.findall(r'account="(\w+)"', name)[0] for name in series} == {"sales", "ops"}


def test_a_first_start_waits_before_its_first_request_and_ready_says_why(
    started: Started, tmp_path: Path
) -> None:
    simulator = started.simulator()
    begin = time.monotonic()
    exporter = exporter_of(started, simulator, tmp_path / "new")
    exporter.line("earlier requests are unknown")
    reply = exporter.get("/-/ready")
    assert reply.status_code == 503
    assert "so the first one waits" in reply.text
    assert not exporter.series("sms_")
    eventually(lambda: exporter.get("/-/ready").ok, within=20)
    assert time.monotonic() - begin > 14.2


def test_figures_survive_a_kill_and_are_served_before_the_first_poll(started: Started, state: Path) -> None:
    simulator = started.simulator()
    exporter = exporter_of(started, simulator, state)
    eventually(lambda: exporter.series("sms_"))
    figures = exporter.series("sms_")
    eventually(lambda: list(state.glob("figures-*.json")))  # they are shown first, then kept
    exporter.end(signal.SIGKILL)
    simulator.end()
    restarted = exporter_of(started, simulator, state)
    assert restarted.series("sms_") == figures
    assert restarted.get("/-/ready").ok
    eventually(lambda: sum(restarted.series("smspartner_poll_failing").values()), within=60)
    failing = [series for series, value in restarted.series("smspartner_poll_failing").items() if value]
    assert [re.findall(r'reason="(\w+)"', series) for series in failing] == [["unreachable"]]
    assert restarted.series("sms_") == figures


def test_of_many_reloads_while_a_request_hangs_the_last_one_shows_at_once(
    started: Started, state: Path
) -> None:
    simulator = started.simulator()
    order(simulator, misbehave="hang")
    exporter = exporter_of(started, simulator, state)
    eventually(lambda: asked(simulator))
    begin = time.monotonic()
    for number in range(200):
        account = {"name": f"account-{number}", "api_key": KEY}
        (state.parent / "config.yaml").write_text(
            json.dumps({"base_url": simulator.url, "accounts": [account]})
        )
        assert requests.post(f"{exporter.url}/-/reload", timeout=10).text == "reloaded\n"
    shown = exporter.series("smspartner_poll_failing")
    assert {re.findall(r'account="([^"]*)"', series)[0] for series in shown} == {"account-199"}
    assert time.monotonic() - begin < 25, "the request hangs for 30 s"
    assert len(asked(simulator)) == 1


def test_scrapes_are_answered_while_a_poll_hangs_and_cause_no_request(started: Started, state: Path) -> None:
    simulator = started.simulator()
    exporter = exporter_of(started, simulator, state)
    eventually(lambda: exporter.series("sms_"))
    figures = exporter.series("sms_")
    order(simulator, misbehave="hang")
    eventually(lambda: len(asked(simulator)) == 2, within=20)
    for _ in range(100):
        assert exporter.series("sms_") == figures
    assert len(asked(simulator)) == 2
    begin = time.monotonic()
    assert exporter.end(signal.SIGTERM) == 0
    assert time.monotonic() - begin < 2


def test_prometheus_scrapes_the_exporter_and_answers_queries(started: Started, tmp_path: Path) -> None:
    exporter = started.exporter("--demo")
    eventually(lambda: exporter.series("sms_"))
    target = exporter.url.removeprefix("http://")
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "smspartner", "static_configs": [{"targets": [target]}]}],
    }
    prometheus = started.prometheus(tmp_path, json.dumps(config))
    result = eventually(lambda: query(prometheus, "sms_cost_monthly"))
    answered = {f'sms_cost_monthly{{month="{sample.labels["month"]}"}}' for sample in result}
    assert answered == set(exporter.series("sms_cost_monthly"))
    assert query(prometheus, 'up{job="smspartner"}')[0].value == 1
