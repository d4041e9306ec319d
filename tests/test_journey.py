"""The whole way, with real processes over real HTTP."""

import json
from pathlib import Path

import pytest

from tests.running import Started, eventually, query

pytestmark = pytest.mark.journey


def test_prometheus_scrapes_the_exporter_and_answers(started: Started, tmp_path: Path) -> None:
    exporter = started.exporter("--demo")
    target = exporter.url.removeprefix("http://")
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "smspartner", "static_configs": [{"targets": [target]}]}],
    }
    prometheus = started.prometheus(tmp_path, json.dumps(config))
    result = eventually(lambda: query(prometheus, "sms_cost_monthly"))
    assert len(result) >= 12
    exposed = exporter.series("sms_cost_monthly")
    answered = {
        f'sms_cost_monthly{{month="{sample["metric"]["month"]}"}}': float(sample["value"][1])  # type: ignore[index]
        for sample in result
    }
    assert set(answered) == set(exposed)
