"""Past months with real processes: the exporter's own, and Prometheus."""

import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import requests

from exporter.backfill.fetcher import latest_complete_month
from exporter.months import month_end, months_between
from tests.support.backfill import INTERVAL, KEY, command_over_http, of_simulator, series_of
from tests.support.running import TOOLS, Running, Started, query


@pytest.mark.long
@pytest.mark.journey
def test_interrupted_and_resumed_it_asks_for_each_month_once(started: Started, tmp_path: Path) -> None:
    simulator = started.simulator("--api-key", KEY)
    key_file, config, output = tmp_path / "key", tmp_path / "config.yaml", tmp_path / "out.om"
    key_file.write_text(KEY)
    config.write_text(f"{{base_url: '{simulator.url}', api_key_file: '{key_file}'}}")
    months = months_between("2000-01", latest_complete_month(time.time()))[-3:]

    def backfill() -> Running:
        return started.command(
            *(sys.executable, "-m", "exporter", "backfill", "--log.level=debug", f"--from={months[0]}"),
            *(f"--config.file={config}", f"--state.dir={tmp_path / 'state'}", f"--output={output}"),
        )

    first = backfill()
    first.line(r'msg="backfill begins".* requests=3 takes=37s')
    first.line(rf'msg="month fetched" month={months[0]}', within=40)
    before = time.monotonic()
    assert first.end(signal.SIGINT) == 1
    assert time.monotonic() - before < 2
    assert first.lines[-1] == (
        "smspartner-exporter: stopped; 1 of 3 months are fetched and kept for this key: "
        "run the same command again to continue"
    )
    assert not output.exists()

    again = backfill()
    again.line(r'msg="backfill begins".* kept=1 requests=2 takes=25s')
    again.process.wait(60)
    assert again.end() == 0
    samples = series_of(output.read_bytes())
    assert {dict(labels)["month"] for _, labels in samples} == set(months)
    state = requests.get(f"{simulator.url.removesuffix('/v1')}/simulator", timeout=10).json()
    assert [request["status"] for request in state["requests"]] == [200, 200, 200]
    arrivals = [request["monotonic"] for request in state["requests"]]
    assert min(later - earlier for earlier, later in pairwise(arrivals)) >= INTERVAL
    written = [*first.lines, *again.lines, *(file.read_text() for file in (tmp_path / "state").iterdir())]
    assert not any("S3CR" in text for text in written)


@pytest.mark.journey
def test_prometheus_shows_three_years(started: Started, tmp_path: Path) -> None:
    months = months_between("2000-01", latest_complete_month(time.time()))[-36:]
    account, output, data = 'the-"best"-\\-été', tmp_path / "months.om", tmp_path / "data"
    with command_over_http(tmp_path) as command:
        assert command.run(f"--from={months[0]}", f"--output={output}", name=account) == 0
    create = (TOOLS / "promtool", "tsdb", "create-blocks-from", "openmetrics", output, data)
    subprocess.run(create, check=True, timeout=120, stdout=subprocess.DEVNULL)

    prometheus = started.prometheus(tmp_path, "{}", "--storage.tsdb.retention.time=10y")
    bars = query(prometheus, "max by (month) (last_over_time(sms_cost_monthly[4y]))")
    expected = of_simulator(months, time.time(), KEY + account)
    assert {bar.labels["month"]: bar.value for bar in bars} == {
        month: figures.cost for month, figures in expected.items()
    }
    (series,) = query(prometheus, "count by (account, instance, job) (last_over_time(sms_sent_monthly[4y]))")
    assert series.labels == {"account": account, "instance": "localhost:10035", "job": "smspartner"}
    for month in months:
        at_its_end = query(prometheus, f"sms_sent_monthly @ {month_end(month)}")
        assert [sample.labels["month"] for sample in at_its_end] == [month]
        assert query(prometheus, f"sms_sent_monthly @ {month_end(month) + 600}") == []
