"""Sub-accounts that find themselves: the whole way, with real processes over real HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.stress.search import pages, remains
from tests.support.running import Running, Started, eventually, order

pytestmark = pytest.mark.journey

KEY = "S3CR+T/key=%41&é"


def listed(simulator: Running) -> list[dict[str, Any]]:
    reply = requests.get(f"{simulator.url}/subaccount/list", params={"apiKey": KEY}, timeout=5)
    entries: list[dict[str, Any]] = reply.json()["data"]
    return entries


def start(started: Started, simulator: Running, state: Path, **config: object) -> Running:
    agency = {
        "name": "agency",
        "api_key": KEY,
        "subaccounts": True,
        "subaccount_names": {2: "shop-lyon"},
        "subaccount_budgets": {2: 200},
    }
    file = state.parent / "config.yaml"
    settings = {"base_url": simulator.url, "accounts": [agency], "current_month": False, "credits": False}
    # JSON would put the ids in quotes, which is fine, too.
    file.write_text(json.dumps({**settings, **config}))
    return started.exporter(f"--config.file={file}", f"--state.dir={state}", "--log.level=debug")


def accounts(exporter: Running) -> set[str]:
    return {series.split('account="')[1].split('"')[0] for series in exporter.series("sms_cost_monthly")}


@pytest.mark.long
def test_sub_accounts_appear_survive_a_restart_and_show_no_secret(started: Started, state: Path) -> None:
    simulator = started.simulator("--requests-per-minute=0")
    exporter = start(started, simulator, state, limit_scope="account")
    names = {"agency", "agency/1", "agency/shop-lyon", "agency/3"}
    eventually(lambda: accounts(exporter) == names, within=60)
    assert exporter.get("/-/ready").ok
    info = exporter.series("smspartner_account_info")
    assert sum('parent="agency"' in series and 'currency="EUR"' in series for series in info) == 3
    assert exporter.series("smspartner_monthly_budget") == {
        'smspartner_monthly_budget{account="agency/shop-lyon"}': 200
    }
    assert len(exporter.series("smspartner_balance")) == 3
    shown = pages(exporter)
    assert "agency/shop-lyon" in exporter.get("/").text
    exporter.end()
    private = [
        text for entry in listed(simulator) for text in (entry["apiKey"], entry["token"], entry["email"])
    ]
    assert len(private) == 9
    everything = b"\n".join({**shown, **remains(exporter, state)}.values()).decode("utf-8", "replace")
    assert not [text for text in private if text in everything]

    order(simulator, misbehave="server_error")
    restarted = start(started, simulator, state, limit_scope="account")
    assert accounts(restarted) == names, "shown before the list is read again"
    failing = 'smspartner_poll_failing{account="agency",endpoint="subaccounts",reason="server_error"}'
    eventually(lambda: restarted.series(failing).get(failing) == 1, within=60)
    assert accounts(restarted) == names


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('{"success": true, "total": 29, "nb_per_page": 20, "page": 1, "data": []}', "ends after 0 of 29"),
        ('{"success": true, "total": 1, "page": 1, "data": [{"id": 1, "apiKey"', "not JSON"),
        ('{"success": true, "total": 0, "page": 7, "data": []}', "page 1 was asked for"),
    ],
    ids=["cut short", "cut off", "another page"],
)
def test_a_list_that_is_no_list_is_named_in_the_log(
    started: Started, state: Path, body: str, detail: str
) -> None:
    simulator = started.simulator("--requests-per-minute=0")
    order(simulator, misbehave="body", body=body, endpoint="subaccounts")
    exporter = start(started, simulator, state, limit_scope="account")
    line = exporter.line("poll failed.*query=subaccounts", within=60)
    assert "reason=invalid_reply" in line.string
    assert detail in line.string
