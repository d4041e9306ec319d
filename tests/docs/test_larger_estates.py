"""The page on larger estates: its figures are the configuration's, and its examples work."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config.loader import KEYS, ConfigError, load
from exporter.ratelimit.decision import MAX_REQUESTS_PER_MINUTE
from tests.support.documents import table, yaml_blocks
from tests.support.running import ROOT, Started, eventually, query

PAGE = ROOT / "docs" / "larger-estates.md"
LIMITS = (5, 3, 2, 1)


def shortest_interval(directory: Path, accounts: int, requests_per_minute: int) -> str:
    """Ask the configuration for the shortest poll_interval that it takes."""
    file = directory / "config.yaml"
    named = [{"name": f"account-{number}", "api_key": f"key-{number}"} for number in range(accounts)]
    config = {"poll_interval": "1s", "requests_per_minute": requests_per_minute, "accounts": named}
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError) as refused:
        load(file, {})
    found = re.search(r"poll_interval must be at least (\S+)$", str(refused.value))
    assert found
    return found[1]


def test_the_shortest_intervals_are_those_of_the_configuration(tmp_path: Path) -> None:
    rows = table(PAGE, f"accounts | {' | '.join(map(str, LIMITS))}")
    assert len(rows) > 3
    for accounts, *intervals in rows:
        assert intervals == [shortest_interval(tmp_path, int(accounts), limit) for limit in LIMITS]


def test_exporters_of_one_estate_divide_limit_and_accounts() -> None:
    estate = yaml_blocks(PAGE, "requests_per_minute", "accounts")
    assert len(estate) > 1
    assert sum(config["requests_per_minute"] for config in estate) == MAX_REQUESTS_PER_MINUTE
    for name in ("name", "api_key_file"):
        used = [account[name] for config in estate for account in config["accounts"]]
        assert len(set(used)) == len(used)


def test_every_key_that_the_page_speaks_of_is_one() -> None:
    spoken = set(re.findall(r"`([a-z]+_[a-z_]+)`", PAGE.read_text()))
    assert spoken - {"external_labels"} <= set(KEYS[""])


def with_target(config: dict[str, Any], url: str) -> str:
    """Return a shown configuration of Prometheus's that scrapes this, and soon."""
    config.setdefault("global", {})["scrape_interval"] = "1s"
    config["scrape_configs"][0]["static_configs"] = [{"targets": [url.removeprefix("http://")]}]
    return yaml.safe_dump(config)


@pytest.mark.journey
def test_the_centre_sees_what_the_site_sees(started: Started, tmp_path: Path) -> None:
    asking, writing = yaml_blocks(PAGE, "scrape_configs")
    for name in ("written", "site", "asking"):
        (tmp_path / name).mkdir()
    exporter = started.exporter("--demo", f"--state.dir={tmp_path / 'state'}")
    written = started.prometheus(tmp_path / "written", "{}", "--web.enable-remote-write-receiver")
    writing["remote_write"][0]["url"] = f"{written.url}/api/v1/write"
    site = started.prometheus(tmp_path / "site", with_target(writing, exporter.url))
    (own,) = eventually(lambda: query(site, 'up{job="smspartner"} == 1'))
    asked = started.prometheus(tmp_path / "asking", with_target(asking, site.url))

    for centre in (written, asked):
        (found,) = eventually(partial(query, centre, 'up{job="smspartner"}'), within=30)
        assert found.labels == {**own.labels, "site": "north"}
        assert len(eventually(partial(query, centre, "sms_cost_monthly"), within=30)) >= 12
