"""The page on larger estates: its figures are the configuration's, and its examples work."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.config.loader import ConfigError, load
from exporter.config.schema import KEYS
from exporter.ratelimit.decision import MAX_REQUESTS_PER_MINUTE
from tests.support.documents import table, yaml_blocks
from tests.support.running import ROOT, Running, Started, eventually, query

PAGE = ROOT / "docs" / "larger-estates.md"
LIMITS = (5, 3, 2, 1)


def shortest_interval(directory: Path, accounts: int, requests_per_minute: int) -> str:
    """Ask the configuration for the shortest poll_interval that it takes."""
    file = directory / "config.yaml"
    named = [{"name": f"account-{number}", "api_key": f"test-key-{number}"} for number in range(accounts)]
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


def configured(config: dict[str, Any], url: str) -> str:
    """Return a shown configuration of Prometheus's that scrapes this, and runs the shipped rules, all of it soon."""
    config.setdefault("global", {}).update(scrape_interval="1s", evaluation_interval="1s")
    config["rule_files"] = [str(ROOT / "prometheus" / "rules.yml")]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [url.removeprefix("http://")]}]
    return yaml.safe_dump(config)


def rules_of(prometheus: Running) -> list[dict[str, Any]]:
    groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.journey
def test_the_centre_sees_what_the_site_sees_even_if_both_run_the_rules(
    started: Started, tmp_path: Path
) -> None:
    asking, writing = yaml_blocks(PAGE, "scrape_configs")
    (by_site,) = yaml_blocks(PAGE, "groups")
    by_site["groups"][0]["rules"][0]["for"] = "0s"
    for name in ("written", "site", "asking"):
        (tmp_path / name).mkdir()
    (tmp_path / "by_site.yml").write_text(yaml.safe_dump(by_site))
    both = [str(ROOT / "prometheus" / "rules.yml"), str(tmp_path / "by_site.yml")]
    central = yaml.safe_dump({"global": {"evaluation_interval": "1s"}, "rule_files": both})

    exporter = started.exporter("--demo", f"--state.dir={tmp_path / 'state'}")
    written = started.prometheus(tmp_path / "written", central, "--web.enable-remote-write-receiver")
    writing["remote_write"][0]["url"] = f"{written.url}/api/v1/write"
    site = started.prometheus(tmp_path / "site", configured(writing, exporter.url))
    (own,) = eventually(lambda: query(site, 'up{job="smspartner"} == 1'))
    asked = started.prometheus(tmp_path / "asking", configured(asking, site.url))

    for prometheus in (site, written, asked):
        recorded = eventually(partial(query, prometheus, "smspartner:cost_daily:avg"), within=60)
        assert len(recorded) == 1, "recorded here, and not brought along as well"
        assert {rule["health"] for rule in rules_of(prometheus)} <= {"ok", "unknown"}
    for centre in (written, asked):
        (found,) = eventually(partial(query, centre, 'up{job="smspartner"}'), within=30)
        assert found.labels == {**own.labels, "site": "north"}
        assert len(eventually(partial(query, centre, "sms_cost_monthly"), within=30)) >= 12
    (absent,) = eventually(partial(query, written, 'ALERTS{alertname="SmsPartnerSiteAbsent"}'))
    assert absent.labels["site"] == "south"

    written_by_then = sum(site.series("prometheus_remote_storage_samples_total").values())
    eventually(
        lambda: sum(site.series("prometheus_remote_storage_samples_total").values()) > written_by_then + 1000
    )
    assert sum(site.series("prometheus_remote_storage_samples_failed_total").values()) == 0
    problems = [line for each in (site, written, asked) for line in each.lines if "level=info" not in line]
    assert problems == []
