"""The simulated API without a network: the documented shapes, keys, intervals, and the limit."""

import json
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Any
from urllib.parse import urlencode

import pytest

from exporter.simulator.history import PARIS, SimulatedAccount, days, midnight
from exporter.simulator.simulator import Simulator

KEY = "S3CR+T/key"
NOVEMBER = datetime(2021, 11, 20, 15, tzinfo=PARIS).timestamp()


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp()


def simulated(now: float = NOVEMBER, *keys: str, limit: int | None = None) -> Simulator:
    return Simulator(keys or None, requests_per_minute=limit, now=lambda: now, monotonic=lambda: 0.0)


def target(path: str, **parameters: str) -> str:
    return f"/v1/{path}?{urlencode({'apiKey': KEY, **parameters})}"


def me(simulator: Simulator, **parameters: str) -> Any:
    return json.loads(simulator.answer("GET", target("me", **parameters)).body)


def statistics(simulator: Simulator, interval: str, **parameters: str) -> Any:
    reply = simulator.answer("GET", target("statistics/cost-resume", interval=interval, **parameters))
    return json.loads(reply.body)


def entries(simulator: Simulator, interval: str, **parameters: str) -> list[Any]:
    datas: list[Any] = statistics(simulator, interval, **parameters)["datas"]
    return datas


def thousandths(text: str) -> int:
    whole, _, decimals = text.partition(".")
    assert len(decimals) == 3
    return int(whole) * 1000 + int(decimals)


def names(datas: list[Any]) -> list[str]:
    return [f"{entry['year']}-{entry['m']}" for entry in datas]


def test_statistics_have_the_documented_shape() -> None:
    reply = statistics(simulated(), "custom", **{"from": "01-10-2021", "to": "30-11-2021"})
    assert reply.keys() == {"success", "datas"}
    assert reply["success"] is True
    october, november = reply["datas"]
    fixed = {"month": "october", "year": "2021", "m": "10", "date": 1633039200, "type": "month"}
    assert october == fixed | {"cost": october["cost"], "nb_send": october["nb_send"]}
    assert (november["month"], november["date"]) == ("november", 1635721200)
    for entry in reply["datas"]:
        assert list(entry) == ["month", "year", "m", "date", "type", "cost", "nb_send"]
        assert thousandths(entry["cost"]) > 0
        assert str(int(entry["nb_send"])) == entry["nb_send"]


def test_credits_have_the_documented_shape() -> None:
    reply = me(simulated())
    assert reply.keys() == {"success", "code", "user", "credits"}
    assert (reply["success"], reply["code"]) == (True, 200)
    assert reply["user"].keys() == {"username", "firstname", "lastname"}
    left = reply["credits"]
    balance = thousandths(left["balance"])
    assert left["solde"] == left["balance"]
    assert left["currency"] == "EUR"
    assert balance // 50 <= left["creditSms"] <= balance // 40
    assert (left["creditSmsECO"], left["creditHlr"]) == (balance // 23, balance // 5)
    assert left["toSend"] in range(12)
    assert len(left) == 7


def test_the_past_never_changes() -> None:
    then, later = simulated(), simulated(at("2025-03-01T00:00:00"))
    year = {"from": "01-11-2020", "to": "31-10-2021"}
    assert entries(then, "custom", **year) == entries(later, "custom", **year)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (date(2021, 3, 1), date(2021, 3, 31)),
        (date(2021, 10, 1), date(2021, 10, 31)),
        (date(2024, 2, 1), date(2024, 2, 29)),
        (date(2021, 12, 1), date(2021, 12, 31)),
    ],
)
def test_days_add_up_to_their_month(first: date, last: date) -> None:
    simulator = simulated(at("2025-01-01T00:00:00"))
    asked = {"from": f"{first:%d-%m-%Y}", "to": f"{last:%d-%m-%Y}"}
    by_day = entries(simulator, "custom", **asked)
    assert {entry["type"] for entry in by_day} == {"day"}
    assert [entry["date"] for entry in by_day] == [int(midnight(day)) for day in days(first, last)]

    asked["to"] = f"{last + timedelta(days=1):%d-%m-%Y}"
    whole = entries(simulator, "custom", **asked)[0]
    assert whole["type"] == "month"
    assert sum(int(entry["nb_send"]) for entry in by_day) == int(whole["nb_send"])
    assert sum(thousandths(entry["cost"]) for entry in by_day) == thousandths(whole["cost"])


def test_the_month_changes_at_midnight_in_france() -> None:
    before, after = simulated(at("2021-10-31T23:59:59")), simulated(at("2021-11-01T00:00:00"))
    assert names(entries(before, "last_month")) == ["2021-09"]
    assert names(entries(after, "last_month")) == ["2021-10"]
    newest = entries(after, "last_twelve_months")[-1]
    assert (newest["month"], newest["nb_send"], newest["cost"]) == ("november", "0", "0.000")


@pytest.mark.parametrize(
    ("now", "first", "last"),
    [
        ("2021-11-20T15:00:00", "2020-12", "2021-11"),
        ("2021-12-31T23:59:59", "2021-01", "2021-12"),
        ("2022-01-01T00:00:00", "2021-02", "2022-01"),
    ],
)
def test_the_last_twelve_months_end_with_the_running_one(now: str, first: str, last: str) -> None:
    listed = names(entries(simulated(at(now)), "last_twelve_months"))
    assert (len(listed), listed[0], listed[-1]) == (12, first, last)
    assert listed == sorted(listed)


@pytest.mark.parametrize(
    ("begin", "end", "types"),
    [
        ("05-10-2021", "07-10-2021", ["day"] * 3),
        ("31-10-2021", "01-11-2021", ["month"] * 2),
        ("19-11-2021", "30-11-2021", ["day"] * 2),
        ("01-12-2021", "31-12-2021", []),
        ("01-01-0001", "31-12-9999", ["month"] * 47),
    ],
)
def test_a_custom_interval_has_days_within_one_month_and_else_months(
    begin: str, end: str, types: list[str]
) -> None:
    listed = entries(simulated(), "custom", **{"from": begin, "to": end})
    assert [entry["type"] for entry in listed] == types


def test_a_part_of_a_month_counts_its_days_alone() -> None:
    part, _ = entries(simulated(), "custom", **{"from": "05-10-2021", "to": "05-11-2021"})
    used = SimulatedAccount(KEY).usage(date(2021, 10, 5), date(2021, 10, 31), NOVEMBER)
    assert (part["date"], int(part["nb_send"])) == (1633039200, used.sent)


def test_a_day_without_sms_is_an_entry_with_zeros() -> None:
    listed = entries(simulated(), "custom", **{"from": "24-12-2020", "to": "26-12-2020"})
    assert [entry["nb_send"] == "0" for entry in listed] == [False, True, False]


def test_keys_are_asked_for_and_checked() -> None:
    simulator = simulated(NOVEMBER, KEY)
    assert me(simulator)["success"] is True
    assert me(simulator, apiKey="") == {"success": False, "code": 1, "message": "API key is required"}
    assert me(simulator, apiKey="other") == {"success": False, "code": 10, "message": "Incorrect API Key"}
    assert json.loads(simulator.answer("GET", "/v1/me").body)["code"] == 1


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"interval": ""}, ["interval"]),
        ({"interval": "last_week"}, ["interval"]),
        ({"interval": "custom"}, ["from", "to"]),
        ({"interval": "custom", "from": "01-10-2021"}, ["to"]),
        ({"interval": "custom", "from": "2021-10-01", "to": "31-10-2021"}, ["from"]),
        ({"interval": "custom", "from": "31-02-2021", "to": "1-3-2021"}, ["from", "to"]),
        ({"interval": "custom", "from": "02-10-2021", "to": "01-10-2021"}, ["to"]),
    ],
)
def test_wrong_parameters_give_a_list_of_field_errors(parameters: dict[str, str], fields: list[str]) -> None:
    reply = json.loads(simulated().answer("GET", target("statistics/cost-resume", **parameters)).body)
    assert reply["success"] is False
    assert "message" not in reply
    assert [error["elementId"] for error in reply["error"]] == [f"children[{field}].data" for field in fields]


def test_other_paths_and_methods() -> None:
    simulator = simulated()
    assert simulator.answer("GET", "/").status == 404
    assert simulator.answer("GET", "/v1/me/").status == 404
    assert simulator.answer("POST", target("me")).status == 405


def statuses(*arrivals: tuple[float, str], **limit: Any) -> list[int]:
    clock = [0.0]
    simulator = Simulator(now=lambda: NOVEMBER, monotonic=lambda: clock[0], **limit)

    def ask(arrived: float, key: str) -> int:
        clock[0] = arrived
        return simulator.answer("GET", target("me", apiKey=key)).status

    return [ask(*arrival) for arrival in arrivals]


def test_five_requests_in_sixty_sliding_seconds() -> None:
    seconds = [0, 10, 20, 30, 40, 59.999, 60, 69.999, 70, 79.999, 80]
    answered = statuses(*((1000 + second, KEY) for second in seconds))
    assert answered == [200] * 5 + [429, 200, 429, 200, 429, 200]


def test_refused_requests_do_not_count() -> None:
    burst = [(float(second), KEY) for second in range(60)]
    assert statuses(*burst, (60.0, KEY)) == [200] * 5 + [429] * 55 + [200]


def test_errors_and_all_paths_count() -> None:
    simulator = simulated(limit=3)
    assert [simulator.answer("GET", path).status for path in ("/", "/v1/me", target("me"), "/v1/me")] == [
        *(404, 200, 200),
        429,
    ]


def test_the_limit_counts_for_the_server_or_for_each_key() -> None:
    arrivals = [(0.0, "a"), (0.0, "b")] * 2
    assert statuses(*arrivals, requests_per_minute=2) == [200, 200, 429, 429]
    assert statuses(*arrivals, requests_per_minute=1, limit_per_key=True) == [200, 200, 429, 429]
    assert statuses(*arrivals * 50, requests_per_minute=None) == [200] * 200


def test_the_accounts_are_bounded() -> None:
    simulator = simulated()
    for number in range(1000):
        simulator.answer("GET", f"/v1/?apiKey={number}")
    assert me(simulator)["code"] == 10


def listing(simulator: Simulator, **parameters: str) -> Any:
    return json.loads(simulator.answer("GET", target("subaccount/list", **parameters)).body)


def test_an_account_lists_three_sub_accounts_in_the_documented_shape() -> None:
    reply = listing(simulated())
    assert reply.keys() == {"success", "code", "total", "nb_per_page", "page", "data"}
    assert (reply["total"], reply["nb_per_page"], reply["page"]) == (3, 20, 1)
    assert [entry["id"] for entry in reply["data"]] == [1, 2, 3]
    fields = {"id", "email", "type", "token", "apiKey", "createdAt", "credits"}
    assert all(entry.keys() == fields for entry in reply["data"])
    assert all(entry["credits"].keys() == {"balance", "currency"} for entry in reply["data"])


def test_the_list_of_sub_accounts_comes_in_pages_of_20() -> None:
    simulator = Simulator(requests_per_minute=None, subaccounts=45, now=lambda: NOVEMBER)
    pages = [[entry["id"] for entry in listing(simulator, page=str(page))["data"]] for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [20, 20, 5, 0]
    assert list(chain.from_iterable(pages)) == list(range(1, 46))
    assert listing(simulator, page="0")["code"] == 9


@pytest.mark.parametrize("keys", [(), (KEY,)], ids=["any key", "one key"])
def test_a_sub_account_has_months_of_its_own_and_no_sub_accounts(keys: tuple[str, ...]) -> None:
    simulator = simulated(NOVEMBER, *keys)
    subaccount = listing(simulator)["data"][0]
    october = {"from": "01-10-2021", "to": "31-10-2021"}
    own = entries(simulator, "custom", apiKey=subaccount["apiKey"], **october)
    assert own
    assert own != entries(simulator, "custom", **october)
    assert (
        me(simulator, apiKey=subaccount["apiKey"])["credits"]["balance"] == subaccount["credits"]["balance"]
    )
    assert listing(simulator, apiKey=subaccount["apiKey"])["total"] == 0
