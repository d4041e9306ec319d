"""What a real process does when it is told to end, to read its configuration again, or gets another key."""

import json
import re
import signal
import sys
import time
from pathlib import Path

import pytest
import requests

from tests.support.running import Running, Started, eventually

pytestmark = pytest.mark.journey

KEY = "S3CR3T-K3Y"
ENDINGS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)


def configured(directory: Path, simulator: Running, **values: object) -> Path:
    path = directory / "config.yml"
    path.write_text(json.dumps({"base_url": simulator.url, "api_key": KEY, **values}))
    return path


def started_with(started: Started, config: Path, state: Path, *flags: str) -> Running:
    return started.exporter(f"--config.file={config}", f"--state.dir={state}", "--log.level=debug", *flags)


def requests_of(simulator: Running) -> int:
    answer = requests.get(simulator.url.removesuffix("/v1") + "/simulator", timeout=10).json()
    return len(answer["requests"])


def assert_ends_well(running: Running, number: int = signal.SIGTERM) -> None:
    begin = time.monotonic()
    assert running.end(number) == 0
    assert time.monotonic() - begin < 2
    text = "\n".join(running.lines)
    assert "Traceback" not in text
    assert KEY not in text


@ENDINGS
def test_ends_while_a_request_hangs(started: Started, tmp_path: Path, state: Path, number: int) -> None:
    simulator = started.simulator("--misbehave=hang")
    exporter = started_with(started, configured(tmp_path, simulator), state)
    eventually(lambda: requests_of(simulator) == 1, within=60)
    assert_ends_well(exporter, number)
    assert "msg=stopped" in exporter.lines[-1]


@ENDINGS
def test_ends_while_it_starts(started: Started, number: int) -> None:
    exporter = started.command(sys.executable, "-m", "exporter", "--demo", "--web.listen-address=127.0.0.1:0")

    def catches_it() -> bool:
        status = Path(f"/proc/{exporter.process.pid}/status").read_text()
        caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))

    eventually(catches_it, within=60)
    assert_ends_well(exporter, number)


@ENDINGS
def test_being_told_twice_does_no_harm(started: Started, number: int) -> None:
    exporter = started.exporter("--demo")
    while exporter.process.poll() is None:
        exporter.process.send_signal(number)
        time.sleep(0.001)
    assert_ends_well(exporter)


@pytest.mark.parametrize("how", ["SIGHUP", "POST"])
def test_reads_its_configuration_again(started: Started, tmp_path: Path, state: Path, how: str) -> None:
    simulator = started.simulator()
    config = configured(tmp_path, simulator, poll_interval="15m", credits=False, current_month=False)
    exporter = started_with(started, config, state)

    def reload() -> tuple[int, str]:
        if how == "SIGHUP":
            exporter.process.send_signal(signal.SIGHUP)
            return 0, ""
        reply = requests.post(f"{exporter.url}/-/reload", timeout=10)
        return reply.status_code, reply.text

    def has(series: str, value: float) -> bool:
        return exporter.series(f"smspartner_{series}") == {f"smspartner_{series}": value}

    figures = eventually(lambda: exporter.series("sms_cost_monthly"), within=60)
    assert has("poll_interval_seconds", 900)

    configured(tmp_path, simulator, poll_interval="30m", credits=False, current_month=False)
    assert reload() in {(0, ""), (200, "reloaded\n")}
    eventually(lambda: has("poll_interval_seconds", 1800))
    assert has("config_last_reload_successful", 1)

    configured(tmp_path, simulator, poll_interval="1s", api_key=KEY)
    message = f"{config}: poll_interval: 1 account needs 3 requests a round, 4.9 a minute are possible: "
    status, text = reload()
    assert status in {0, 500}
    assert status == 0 or text == f"{message}poll_interval must be at least 37s\n"
    eventually(lambda: has("config_last_reload_successful", 0))
    assert has("poll_interval_seconds", 1800)
    assert exporter.series("sms_cost_monthly") == figures
    assert exporter.get("/-/healthy").ok
    exporter.line(f"configuration not reloaded.*{re.escape(message)}")
    assert_ends_well(exporter)


def test_a_rotated_key_is_used_without_a_restart(started: Started, tmp_path: Path, state: Path) -> None:
    simulator = started.simulator("--api-key=the-new-key")
    (tmp_path / "key").write_text(f"{KEY}\n")
    config = tmp_path / "config.yml"
    config.write_text(
        json.dumps(
            {"base_url": simulator.url, "api_key_file": "key", "credits": False, "current_month": False}
        )
    )
    exporter = started_with(started, config, state)
    rejected = 'smspartner_poll_failing{endpoint="statistics",reason="key_rejected"}'
    eventually(lambda: exporter.series(rejected).get(rejected) == 1, within=60)
    assert exporter.get("/-/ready").text == "not ready: no figures yet; polling fails: key_rejected\n"
    (tmp_path / "key").write_text("the-new-key\n")
    eventually(lambda: exporter.get("/-/ready").ok, within=60)
    assert exporter.series(rejected)[rejected] == 0
    assert exporter.series("sms_cost_monthly")
    assert_ends_well(exporter)
    assert "the-new-key" not in "\n".join(exporter.lines)
